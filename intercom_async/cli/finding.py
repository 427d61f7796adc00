"""The command `find`: the pairs of every group conversation that people take part in."""

import csv
import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from rich.console import Console

from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.export import harmless
from intercom_async.cli.inputs import people_from
from intercom_async.cli.options import PeopleOptions, option
from intercom_async.cli.printing import amount, print_out, say
from intercom_async.cli.summary import show_people
from intercom_async.detaching import Detach
from intercom_async.errors import IntercomError, InvalidArgumentError
from intercom_async.ids import check_id
from intercom_async.journal.people import PersonState

if TYPE_CHECKING:
    from intercom_async.people import By

# This line is no pair, so a `detach -` that reads it cannot end with status 0.
_INCOMPLETE: Final = "find failed: this list is not complete"


@attrs.frozen(kw_only=True)
class FindOptions(PeopleOptions):
    """The options of `find`."""

    contact: str | None = option(None, "Intercom's id of the contact.")
    email: str | None = option(None, "The contact's e-mail address.")
    external_id: str | None = option(None, "Your own id of the contact.")
    people: Path | None = option(
        None, "A file of people, the same as for detach --people; - for standard input.", "--from"
    )
    columns: str | None = option(None, "The column's name in the file: email=Mail.")


async def find(options: FindOptions) -> ExitStatus:
    """Print the pairs of people's conversations.

    Only group conversations are listed: the last contact of a conversation cannot be removed. The
    output is CSV, or JSON lines with --json; detach reads both.
    """
    console = Console(stderr=True)
    named: dict[By, str | None] = {
        "contact": options.contact,
        "email": options.email,
        "external-id": options.external_id,
    }
    given: dict[By, str] = {
        by: check_id(f"--{by}", one) for by, one in named.items() if one is not None
    }
    if len(given) + (options.people is not None) != 1:
        raise InvalidArgumentError(
            "--contact, --email, --external-id or --from", None, "given, exactly one of them"
        )
    feed = None
    if options.people is not None:
        feed = people_from(options.people, options.by, options.columns).feed(console)
    async with options.open_client() as client:
        search = client.find_pairs(
            feed or given.values(),
            by=next(iter(given)) if given else options.by,
            one_per_address=options.one_per_address,
        )
        if not options.as_json:
            print_out("conversation_id,contact_id")
        found = 0
        try:
            async with aclosing(search):
                async for pair in search:
                    found += _write(pair, console, as_json=options.as_json)
        except IntercomError:
            print_out(_INCOMPLETE)
            raise
    states = search.summary.states
    if PersonState.FAILED in states:
        print_out(_INCOMPLETE)
    say(console, amount(found, "conversation"), "dim")
    show_people(console, search.summary)
    done = [*states] in ([], [PersonState.DONE]) and not (feed and feed.bad)
    return ExitStatus.SETTLED if done else ExitStatus.SOME_FAILED


def _write(pair: Detach, console: Console, *, as_json: bool) -> bool:
    """Print a pair, unless a spreadsheet would run an id; return whether it was printed."""
    ids = {"conversation_id": pair.conversation_id, "contact_id": pair.contact_id}
    for value in ids.values():
        if harmless(value) != value:
            say(console, f"left out: malformed id {value!r:.80}", "yellow")
            return False
    if as_json:
        print_out(json.dumps(ids))
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerow(ids.values())
        sys.stdout.flush()
    return True
