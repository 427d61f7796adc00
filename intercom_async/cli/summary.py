"""What a person reads at the end of a run: its pairs, its people, and what no undo puts back."""

from collections.abc import Collection
from typing import Final

from rich.console import Console

from intercom_async.bulk import DetachSummary
from intercom_async.cli.display import outcome_counts
from intercom_async.cli.printing import amount, say, span
from intercom_async.cli.states import LOOKS, name
from intercom_async.client import IntercomClient
from intercom_async.detaching import Outcome
from intercom_async.errors import IntercomError
from intercom_async.people import PeopleSummary
from intercom_async.transport.wire import FILTERS

_LISTED: Final = 20  # people named at the end of a run, at most
_FEW: Final = 10  # fewer absent contacts than this are not looked up
LOOKED_AT: Final = 10 * FILTERS
"""Absent contacts that are looked up at the end of a run, at most."""

WARNING: Final = (
    "An undo cannot put everything back: a contact without an e-mail address cannot be attached "
    "again by its id. The last contact of a conversation stays, and a customer who puts a person "
    "on CC brings that person back. To delete people, use Intercom's own bulk delete of contacts "
    "(in the API's Preview version, 100 per request)."
)


def show_summary(
    console: Console, summary: DetachSummary, *, bad_lines: int = 0, dry_run: bool = False
) -> None:
    """Print a run's summary for a person."""
    if dry_run:
        say(console, "dry run: nothing was changed; a real run would end like this:", "bold")
    if summary.total:
        console.print(outcome_counts(summary, dry_run=dry_run), highlight=False)
    for cause in summary.causes:
        example = f"{cause.example.conversation_id},{cause.example.contact_id}"
        line = f"  {cause.count:,} {name(cause.outcome)}: {cause.error} (for example {example})"
        say(console, line, LOOKS[cause.outcome].colour)
    say(console, _account(summary))
    _show_counts(
        console,
        "",
        (summary.settled_before, "pair", "settled by earlier sessions"),
        (summary.duplicates, "pair", "listed twice and sent once"),
        (summary.second_tries, "pair", "failed at first, and got a second try at the end"),
        (summary.inferred, "pair", "without a reply, confirmed by a check"),
    )
    _show_counts(console, "yellow", (bad_lines, "line", "gave no pair"))
    absent = summary.outcomes[Outcome.ALREADY_ABSENT]
    if absent and absent == summary.total and not summary.settled_before:
        seen = "no contact was in its conversation: was this done before, or is it the wrong "
        say(console, f"{seen}workspace, file or column?", "bold yellow")
    if summary.stopped_by is not None:
        say(console, f"stopped: {summary.stopped_by}", "red")


def _account(summary: DetachSummary) -> str:
    if summary.input_ended and not (summary.total or summary.settled_before or summary.requests):
        return "there was nothing to do"
    ideal = f" (about {span(summary.ideal)} at full quota)" if summary.ideal else ""
    retries = f", {summary.retries:,} of them retries" if summary.retries else ""
    refused = f", {summary.refusals:,} refused by the rate limit" if summary.refusals else ""
    return (
        f"{amount(summary.total, 'pair')} accounted for in {span(summary.elapsed)}{ideal}: "
        f"{amount(summary.requests, 'request')}{retries}{refused}"
    )


def _show_counts(console: Console, style: str, *counts: tuple[int, str, str]) -> None:
    for count, noun, what in counts:
        if count:
            say(console, f"{amount(count, noun)} {what}", style)


def people_line(people: PeopleSummary) -> str:
    """Return the number of people by state, in one line."""
    states = ", ".join(f"{count:,} {name(state)}" for state, count in people.states.items())
    persons = "1 person" if people.total == 1 else f"{people.total:,} people"
    return f"{persons}: {states or 'none'}; {amount(people.contacts, 'contact')}"


def show_people(console: Console, people: PeopleSummary) -> None:
    """Print the people by state, and name those that need a decision."""
    searches = f", found by {amount(people.searches, 'request')}" if people.searches else ""
    say(console, people_line(people) + searches)
    for one in people.examples[:_LISTED]:
        more = f": {one.note}" if one.note else ""
        more += f": {', '.join(one.contacts)}" if len(one.contacts) > 1 else ""
        say(console, f"  {name(one.state)}: {one.value}{more}", "yellow")
    for what in people.one_by_one:
        say(console, f"Intercom refused batches of {what}, so each was searched alone", "dim")
    _show_counts(
        console,
        "yellow",
        (people.alone, "conversation", "without another contact, left alone"),
        (people.merged, "contact", "merged into another, which was detached instead"),
        (people.without_email, "contact", "without an e-mail address, which no undo can put back"),
    )


async def strangers(
    client: IntercomClient, summary: DetachSummary, absent: Collection[str]
) -> dict[str, int] | None:
    """Return how many absent contacts were looked up, and how many the workspace lacks.

    None if there are too few to ask, or if Intercom did not answer.
    """
    if len(absent) < _FEW or summary.outcomes[Outcome.ALREADY_ABSENT] * 10 < summary.total:
        return None
    asked = sorted(absent)
    unknown = set[str | None](asked)
    try:
        for start in range(0, len(asked), FILTERS):
            batch = client.find_contacts(contact_ids=asked[start : start + FILTERS])
            unknown -= {contact.id async for contact in batch}
    except IntercomError:
        return None
    return {"asked": len(asked), "unknown": len(unknown)}


def show_strangers(console: Console, asked: int, unknown: int) -> None:
    """Print what `strangers` returned."""
    which = f"{unknown:,} of {amount(asked, 'contact')} that were not in their conversations"
    why = "deleted, merged into others, or never in it"
    style = "bold yellow" if unknown else "dim"
    say(console, f"{which} are unknown to this workspace: {why}", style)
