"""What a report says, section by section; the terminal and the page only lay it out."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

from intercom_async.cli.printing import amount, span
from intercom_async.cli.report.chart import lay_out
from intercom_async.cli.report.queries import ErrorGroup, Report
from intercom_async.cli.states import LOOKS, name
from intercom_async.journal import Row
from intercom_async.journal.journal import URLS
from intercom_async.transport.wire import region_of

_LISTED: Final = 20  # workspaces, at most

_MEANING: Final[Mapping[str, str]] = {
    "pending": "the run read it from the input and has not sent it yet",
    "sending": "the run was sending it when it was killed, or when this report was made",
    "refused_last_contact": "it is the last contact of its conversation, which Intercom keeps",
    "AuthenticationError": "Intercom refused the access token",
    "PermissionDeniedError": "the token lacks the permission",
    "AdminNotFoundError": "Intercom does not know the admin",
    "NotFoundError": "Intercom did not find something; its message says what",
    "RateLimitedError": "Intercom's rate limit refused every attempt",
    "ConnectionFailedError": "Intercom could not be reached, or did not answer",
    "CertificateError": "the server's certificate was refused: a proxy, or a wrong address",
    "UnknownOutcomeError": "no reply came, and no check could find out what happened",
    "GatewayError": "a gateway on the way to Intercom answered in its place",
    "ServerError": "Intercom had a fault, which may be over by now",
    "InvalidRequestError": "Intercom did not accept the request; its message says why",
    "InvalidArgumentError": "something in the input is not an id",
    "ResponseDecodeError": "something on the way to Intercom sent the reply",
    "ContradictoryReplyError": "the reply contradicts itself or the question",
    "ResponseTooLargeError": "the reply was too large to come from Intercom",
    "RedirectError": "the reply was a redirect, and redirects are never followed",
    "ClientStateError": "the client was closed before the pair's turn came",
}


class Line(NamedTuple):
    """A text; the style is "command", or one of Rich and a class of the page."""

    text: str
    style: str = ""
    url: str | None = None


Cell: TypeAlias = str | Line | float
"""A number is the length of a bar, as a part of the longest one."""


class Table(NamedTuple):
    """Rows of cells.

    Attributes:
        numbers: the columns that are aligned to the right.
        summary: the line that a page folds the rows under; a terminal shows neither.
    """

    rows: Sequence[Sequence[Cell]]
    heads: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    summary: str = ""


Section: TypeAlias = tuple[str, Sequence[Line | Table]]
"""A title, which may be empty, and what stands below it."""


def conclusion(facts: Report) -> str:
    """Return the result of a run in one or two sentences."""
    if facts.left:
        result = f"{amount(facts.left, 'pair')} {'is' if facts.left == 1 else 'are'} not settled."
    elif facts.pairs:
        result = f"Every pair {'so far is' if facts.unread else 'is'} settled."
    elif facts.complete:
        result = "The input was empty."
        if facts.people:
            result = "None of the people is in a group conversation."
    else:
        result = "Nothing was recorded yet."
    if facts.unread:
        return f"{result} The input was not read to its end."
    lacking = facts.pairs and not facts.left and not facts.complete
    return f"{result} Some people could not be looked up." if lacking else result


def origin(facts: Report) -> str:
    """Return the journal, and the run's operation, workspace, region and time."""
    where = [amount(len(facts.workspaces), "workspace")] if len(facts.workspaces) > 1 else []
    if len(facts.workspaces) == 1:
        one = facts.workspaces[0]
        where = [part for part in (one.workspace, one.app_name, one.app_id) if part]
    home = region_of(facts.base_url)
    place = f"region {home}" if home else facts.base_url
    first, last = facts.moments
    when = [f"{_moment(first)} to {_moment(last)} UTC"] if first and last else []
    return ", ".join([facts.path, facts.operation, *where, place, *when])


def sections(facts: Report) -> Iterator[Section]:
    """Yield what stands below a report's conclusion and origin."""
    outcomes = (
        (Line(name(state), LOOKS[state].colour), f"{count:,}", f"{count / facts.pairs:.1%}",
         LOOKS[state].advice)
        for state, count in facts.states.items()
    )  # fmt: skip
    numbers = ((label, number, "", remark) for label, number, remark in _numbers(facts))
    yield "", [Table([*outcomes, ("",) * 4, *numbers], ("",) * 4, (1, 2))]
    if remarks := [Line(remark, "yellow") for remark in _remarks(facts)]:
        yield "", remarks
    yield from _chart(facts)
    yield from _workspaces(facts)
    for cause in facts.causes:
        yield "", [*_cause(facts, cause)]
    if facts.other_causes:
        yield "", [Line(f"{amount(facts.other_causes, 'pair')} with other causes", "dim")]
    if facts.left:
        yield "To list them:", [Line(_export(facts, "unsettled"), "command")]
    if (command := _go_on(facts)) is not None:
        yield "To go on:", [Line(command, "command")]


def _numbers(facts: Report) -> Iterator[tuple[str, str, str]]:
    before = f", {facts.settled_before:,} in earlier sessions" if facts.settled_before else ""
    quota = f"quota: {facts.quota:,} in 10 s" if facts.quota else "quota unknown"
    if facts.people:
        states = ", ".join(f"{count:,} {name(state)}" for state, count in facts.people.items())
        yield "People", f"{sum(facts.people.values()):,}", states
    yield "Pairs", f"{facts.pairs:,}", f"{facts.pairs - facts.left:,} settled{before}"
    yield "Requests", f"{facts.requests:,}", "not counting refused ones"
    yield "Retries", f"{facts.retries:,}", "of the requests; checks included"
    yield "Refused", f"{facts.refusals:,}", "by the rate limit"
    yield "Second tries", f"{facts.second_tries:,}", "at the end of a session"
    yield "Duplicates", f"{facts.duplicates:,}", "in the input, sent once"
    yield "Time at work", span(facts.elapsed), f"in {amount(len(facts.sessions), 'session')}"
    yield "Requests/s", f"{facts.requests / (facts.elapsed or 1):,.1f}", quota


def _remarks(facts: Report) -> Iterator[str]:
    for last in facts.sessions[-1:]:
        if stopped_by := last.facts.get("stopped_by"):
            yield f"The last session was stopped: {stopped_by}"
        if last.ended_at is None:
            yield (
                f"Session {last.number} has no end: it goes on now, or it was killed. Its "
                "numbers may be a second old."
            )
    if facts.unread and not facts.unread.kind.startswith(("file", "undo")):
        yield (
            f"The input ({facts.unread.kind}) was not read to its end. For the rest, run it again "
            "with the same input and this journal."
        )
    if facts.states.get("already_absent") == facts.pairs != 0:
        yield (
            "No contact was in its conversation. That is right after an earlier run; otherwise the "
            "workspace, the file or a column may be the wrong one."
        )
    if facts.inferred:
        yield (
            f"{amount(facts.inferred, 'outcome')} came from a check, because the reply was lost. "
            "Another person or program may have made that change, so an undo leaves it alone."
        )


def _chart(facts: Report) -> Iterator[Section]:
    width, cells = lay_out(facts.timeline)
    if len(cells) < 2:
        return
    highest = max(cell.pairs for cell in cells if not isinstance(cell, int))
    quota = (facts.quota or 0) * width // 10
    # A scale up to a quota far above all columns would make them invisible.
    top = quota if highest < quota <= 4 * highest else highest
    rows: list[Sequence[Cell]] = []
    for cell in cells:
        if isinstance(cell, int):
            rows.append(("", f"nothing for {span(cell)}", *("",) * 4))
            continue
        counts = (cell.pairs, cell.unsettled, cell.retries, cell.refusals)
        shown = (f"{count:,}" if count else "" for count in counts)
        rows.append((_moment(cell.at)[5:], cell.pairs / top, *shown))
    heads = ("UTC", "", "pairs", "not settled", "retries", "refused")
    bound = f"; the quota is {quota:,} requests" if quota else ""
    title = f"Pairs over time, one line for {span(width)}{bound}"
    yield title, [Table(rows, heads, (2, 3, 4, 5))]


def _workspaces(facts: Report) -> Iterator[Section]:
    if len(facts.workspaces) < 2:
        return
    rows = [
        (one.workspace, one.app_name or one.app_id or "", f"{one.pairs:,}", f"{one.left:,}")
        for one in facts.workspaces[:_LISTED]
    ]
    more = len(facts.workspaces) - len(rows)
    table = Table(rows, ("workspace", "name", "pairs", "not settled"), (2, 3))
    yield "", [table, *([Line(f"{more:,} more", "dim")] if more else [])]


def _cause(facts: Report, cause: ErrorGroup) -> Iterator[Line | Table]:
    one = cause.examples[0]
    meaning = _MEANING.get(one.state) or _MEANING.get(one.error_type or "") or "another error"
    yield Line(f"{cause.pairs:,} {name(one.state)}: {meaning}", LOOKS[one.state].colour)
    if error := ": ".join(part for part in (one.error_type, one.error) if part):
        yield Line(error)
    where = f" in {one.workspace}" if one.workspace else ""
    request = f", request id {one.request_id}" if one.request_id else ""
    ids = f"conversation {one.conversation_id}, contact {one.contact_id}"
    yield Line(f"for example {ids}{where}{request}", "dim")
    heads = ("conversation", "contact", "error", "UTC", "workspace")
    rows = [
        (Line(row.conversation_id, url=_link(facts, row)), row.contact_id, row.error or "",
         _moment(row.updated_at), row.workspace)
        for row in cause.examples
    ]  # fmt: skip
    listed = amount(cause.pairs, "pair")
    if cause.pairs > len(rows):
        listed = f"The first {len(rows)} of {listed}; all of them: {_export(facts, one.state)}"
    yield Table(rows, heads, (), listed)


def _export(facts: Report, state: str) -> str:
    return shlex.join(["intercom-async", "export", facts.path, "--csv", "--state", state])


def _go_on(facts: Report) -> str | None:
    """Return the command that does what is left; None if nothing is left or no command can."""
    unread = facts.unread
    if facts.path.startswith(URLS):  # workers do what is left
        waits = facts.left and facts.operation == "detach"
        return "intercom-async work" if waits else None
    given = [facts.path]
    if unread and unread.kind == "undo":
        given = ["--undo", unread.name or "", "--journal", facts.path]
    elif facts.complete or not (facts.left or facts.people or (unread and unread.kind == "file")):
        return None
    home = region_of(facts.base_url)
    where = ["--base-url", facts.base_url] if home is None else ["--region", home]
    return shlex.join(["intercom-async", facts.operation, *given, *(where if home != "us" else ())])


def _link(facts: Report, row: Row) -> str | None:
    """Return the conversation's address in Intercom, None without a known workspace."""
    home = region_of(facts.base_url)
    app = next((one.app_id for one in facts.workspaces if one.workspace == row.workspace), None)
    if home is None or not app:
        return None
    host = "app.intercom.com" if home == "us" else f"app.{home}.intercom.com"
    ids = quote(app, safe=""), quote(row.conversation_id, safe="")
    return "https://{}/a/inbox/{}/inbox/conversation/{}".format(host, *ids)


def _moment(at: float) -> str:
    """Return Unix seconds as "2025-01-31 22:00:00"."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
