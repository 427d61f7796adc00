"""What numbers, times and states are called in a report, and what is to be done. Pure."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from intercom_async.cli.report.queries import Facts, Session
from intercom_async.transport.wire import REGIONS

ADVICE: Final[Mapping[str, str]] = {
    "detached": "removed; nothing to do",
    "already_absent": "was not in the conversation; nothing to do",
    "conversation_missing": "no such conversation; nothing to do",
    "refused_last_contact": "cannot be removed; decide about the conversation",
    "failed": "not applied; see the cause, then go on",
    "unknown": "may have been applied; go on, that is safe",
    "attached": "put back; nothing to do",
    "sending": "may have been applied; the next run checks it",
    "pending": "not sent yet; go on",
}
"""What to do next, by state."""

_INBOX: Final = {
    REGIONS["us"]: "https://app.intercom.com",
    REGIONS["eu"]: "https://app.eu.intercom.com",
    REGIONS["au"]: "https://app.au.intercom.com",
}


def name(state: str) -> str:
    """Return a state in words."""
    return state.replace("_", " ")


def amount(number: int, noun: str) -> str:
    """Return a number with its noun: "1 pair", "2,000 pairs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: int, whole: int) -> str:
    """Return a percentage that is never rounded to nothing or to all."""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.9 < percent < 100 else f"{percent:.1f} %"


def rate(per_second: float) -> str:
    """Return a rate without its unit."""
    return f"{per_second:,.0f}" if per_second >= 99.95 else f"{per_second:.2g}"


def moment(at: float | None) -> str:
    """Return Unix seconds as "2025-01-31 22:00:00"."""
    try:
        return "unknown" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return "unknown"


def span(seconds: float) -> str:
    """Return a duration the way it is spoken: "0.4 s", "42 s", "3 min 7 s", "2 h 5 min", "4 d"."""
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    minutes = round(whole / 60)
    if minutes < 24 * 60:
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(whole / 3600)
    return _two(hours // 24, "d", hours % 24, "h")


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large:,} {unit} {small} {smaller}" if small else f"{large:,} {unit}"


def verdict(facts: Facts) -> str:
    """Return what a report comes to, in one or two sentences."""
    unread = "" if facts.input_ended else " The input was not read to its end."
    if facts.left:
        are = "is" if facts.left == 1 else "are"
        return f"{amount(facts.left, 'pair')} {are} not settled.{unread}"
    if facts.pairs:
        return f"Every pair {'is' if facts.input_ended else 'so far is'} settled.{unread}"
    return "The input was empty." if facts.input_ended else "Nothing was recorded yet."


def remarks(facts: Facts) -> Iterator[str]:
    """Yield what is to be known beyond the outcomes, a sentence or two each."""
    last = facts.sessions[-1] if facts.sessions else None
    if last is not None and last.stopped_by:
        yield f"The last session was stopped: {last.stopped_by}"
    if last is not None and last.ended_at is None:
        yield (
            f"Session {last.number} has no end: it goes on now, or it was killed. Its own numbers "
            f"may be a second old. The last record is of {moment(facts.last_record)}."
        )
    if facts.states.get("already_absent") == facts.pairs != 0:
        yield (
            "Not one contact was in its conversation. After an earlier run that is right; "
            "otherwise it may be the wrong workspace, file or column."
        )
    if facts.inferred:
        yield (
            f"{amount(facts.inferred, 'outcome')} came from a check, because the reply was lost. "
            "Somebody else may have done it, so an undo does not take them for granted."
        )
    if facts.second_tries:
        yield f"{amount(facts.second_tries, 'pair')} got a second try at the end of a session."
    if duplicates := facts.total("duplicates"):
        verb = "was" if duplicates == 1 else "were"
        yield f"{amount(duplicates, 'line')} of the input {verb} a pair again, and sent nothing."
    if last is not None and not facts.input_ended and last.source_kind not in {None, "file"}:
        yield (
            f"The input ({last.source_kind}) was not read to its end: to go on with the rest, run "
            "the same command with the same input and this journal."
        )


def numbers(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Yield what the run cost: name, number, and what else is to be said of it."""
    settled, elapsed = facts.pairs - facts.left, facts.elapsed
    before = f", {facts.settled_before:,} by earlier sessions" if facts.settled_before else ""
    yield "Pairs", f"{facts.pairs:,}", f"{settled:,} settled{before}"
    yield "Requests", f"{facts.total('requests'):,}", "without those refused"
    yield "Retries", f"{facts.total('retries'):,}", "of the requests, with checks"
    yield "Refused", f"{facts.total('refusals'):,}", "by the rate limit"
    sessions = amount(len(facts.sessions), "session")
    yield "Time at work", span(elapsed), f"in {sessions}"
    speed = rate(facts.total("requests") / elapsed) if elapsed else "0"
    quota = f"the quota is {facts.quota / 10:,g}" if facts.quota else "the quota is unknown"
    yield "Requests/s", speed, quota


def ending(session: Session) -> str:
    """Return how a session ended."""
    if session.ended_at is None:
        return "goes on, or was killed"
    return session.stopped_by or session.ending or "ended"


def source(session: Session) -> str:
    """Return where a session's pairs came from."""
    return session.source_name or session.source_kind or ""


def go_on(facts: Facts, path: str) -> str | None:
    """Return the command that does what is left; None if nothing is, or no command can."""
    unread = not facts.input_ended and facts.sessions and facts.sessions[-1].source_kind == "file"
    if not facts.left and not unread:
        return None
    region = next((key for key, url in REGIONS.items() if url == facts.base_url), None)
    where = ["--base-url", facts.base_url] if region is None else ["--region", region]
    return shlex.join(
        ["intercom-async", facts.operation, path, *([] if region == "us" else where)]
    )


def export_of(state: str, path: str) -> str:
    """Return the command that lists the pairs of a state."""
    return shlex.join(["intercom-async", "export", path, "--csv", "--state", state])


def link(base_url: str, app_id: str | None, conversation_id: str) -> str | None:
    """Return where the conversation is in Intercom, None where that is not known."""
    inbox = _INBOX.get(base_url)
    if inbox is None or not app_id or len(conversation_id) > 60:
        return None
    app, conversation = quote(app_id, safe=""), quote(conversation_id, safe="")
    return f"{inbox}/a/inbox/{app}/inbox/conversation/{conversation}"


def origin(facts: Facts) -> list[str]:
    """Return whose run it is: operation, workspace, region."""
    told = [facts.operation]
    if len(facts.workspaces) == 1:
        one = facts.workspaces[0]
        told += [part for part in (one.workspace, one.app_name, one.app_id) if part]
    elif facts.workspaces:
        told.append(amount(len(facts.workspaces), "workspace"))
    region = next((key for key, url in REGIONS.items() if url == facts.base_url), None)
    told.append(facts.base_url if region is None else f"region {region}")
    return told
