"""What is told of a run's people, and of what detaching cannot undo."""

from collections.abc import Collection
from typing import Final

from rich.console import Console

from intercom_async.bulk import DetachSummary
from intercom_async.cli.running import amount, say
from intercom_async.client import IntercomClient
from intercom_async.detaching import Outcome
from intercom_async.errors import IntercomError, InvalidRequestError
from intercom_async.people import PeopleSummary
from intercom_async.transport.wire import FILTERS

LISTED: Final = 20
"""People who are named at the end of a run at most."""

FEW: Final = 10
"""Absent contacts that are nothing to wonder about."""

LOOKED_AT: Final = 10 * FILTERS
"""Absent contacts of which is asked, at the end of a run, whether the workspace knows them."""

WARNING: Final = (
    "Not to be undone: a contact without an e-mail address cannot be attached again by its id. "
    "The last contact of a conversation stays, and a customer's CC can bring somebody back. To "
    "delete people, use Intercom's own bulk delete of contacts (Preview, 100 per request)."
)


def people_line(people: PeopleSummary) -> str:
    """Return how many people there are, and how far they are."""
    states = ", ".join(f"{n:,} {state.replace('_', ' ')}" for state, n in people.states.items())
    persons = "1 person" if people.total == 1 else f"{people.total:,} people"
    return f"{persons}: {states or 'none'}; {amount(people.contacts, 'contact')}"


def tell_people(console: Console, people: PeopleSummary) -> None:
    """Print what became of people, and name those of whom something must be decided."""
    searches = f", found by {amount(people.searches, 'request')}" if people.searches else ""
    say(console, people_line(people) + searches)
    for one in people.examples[:LISTED]:
        more = f": {one.note}" if one.note else ""
        more += f": {', '.join(one.contacts)}" if len(one.contacts) > 1 else ""
        say(console, f"  {one.state.replace('_', ' ')}: {one.value}{more}", "yellow")
    for what in people.one_by_one:
        say(console, f"Intercom refused to search {what} in batches: searched one by one", "dim")
    told = (
        (people.alone, "conversation", "in which somebody stays, being the only contact"),
        (people.merged, "contact", "merged into another, which was taken instead"),
        (people.without_email, "contact", "without an e-mail address, not to be put back by id"),
    )
    for count, noun, what in told:
        if count:
            say(console, f"{amount(count, noun)} {what}", "yellow")


def tell_what_stays(console: Console, summary: DetachSummary) -> None:
    """Print what a run could not do, or what cannot be undone of what it did."""
    last = summary.outcomes[Outcome.REFUSED_LAST_CONTACT]
    if last:
        say(console, f"{amount(last, 'contact')} stayed as the last of a conversation", "yellow")
    if summary.outcomes[Outcome.DETACHED]:
        say(console, WARNING, "dim")


async def strangers(
    client: IntercomClient, summary: DetachSummary, absent: Collection[str]
) -> tuple[int, int] | None:
    """Return of how many absent contacts was asked, and how many of them nobody knows.

    None if they are too few to wonder about, or if that could not be found out.
    """
    if len(absent) < FEW or summary.outcomes[Outcome.ALREADY_ABSENT] * 10 < summary.total:
        return None
    known: set[str | None] = set()
    asked = sorted(absent)
    size = FILTERS
    while size:
        try:
            for start in range(0, len(asked), size):
                found = client.find_contacts(contact_ids=asked[start : start + size])
                known |= {one.id async for one in found}
            break
        except InvalidRequestError:
            size = 1 if size > 1 else 0  # one by one, then not at all
        except IntercomError:
            return None
    return (len(asked), len(set(asked) - known)) if size else None


def tell_strangers(console: Console, asked: int, unknown: int) -> None:
    """Print what `strangers` found."""
    say(
        console,
        f"{unknown:,} of {amount(asked, 'contact')} that were not in their conversations are "
        "unknown to this workspace: deleted, merged into others, or never in it",
        "bold yellow" if unknown else "dim",
    )
