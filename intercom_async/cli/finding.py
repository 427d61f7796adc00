"""The command `find`: the pairs of every group conversation a contact takes part in."""

import csv
import json
import sys

import attrs
from rich.console import Console

from intercom_async.cli.options import Connection, option
from intercom_async.cli.running import ExitStatus, amount, print_out, say
from intercom_async.errors import IntercomError, InvalidArgumentError
from intercom_async.model import Conversation


@attrs.frozen(kw_only=True)
class FindOptions(Connection):
    """What `find` is given."""

    contact: str | None = option(None, "Intercom's id of the contact.")
    email: str | None = option(None, "The contact's address.")
    external_id: str | None = option(None, "Your own id of the contact.")
    every: bool = option(
        False, "Conversations, too, in which the contact is the only one.", "--all"
    )


async def find(options: FindOptions) -> ExitStatus:
    """Print the pairs of a contact's conversations.

    Group conversations only, unless --all is given: the last contact cannot be removed. The
    output, CSV or with --json JSON lines, is what detach reads.
    """
    console = Console(stderr=True)
    one_of = (options.contact, options.email, options.external_id)
    given = [value for value in one_of if value is not None]
    if len(given) != 1:
        raise InvalidArgumentError(
            "--contact, --email or --external-id", None, "given, exactly one of them"
        )
    async with options.open_client() as client:
        contact_ids = given
        if options.contact is None:
            contacts = client.find_contacts(email=options.email, external_id=options.external_id)
            contact_ids = [contact.id async for contact in contacts if contact.id is not None]
        if not contact_ids:
            say(console, f"no contact found for {given[0]}", "yellow")
            return ExitStatus.SOME_FAILED
        if not options.as_json:
            print_out("conversation_id,contact_id")
        found = 0
        try:
            for contact_id in contact_ids:
                async for conversation in client.find_conversations(contact_id):
                    if options.every or _is_group(conversation):
                        found += _write(
                            conversation.id, contact_id, console, as_json=options.as_json
                        )
        except IntercomError as error:
            if not isinstance(error, InvalidArgumentError):
                # No pair: a `detach -` that reads it must not end as if it had got everything.
                print_out("find failed: this list is not complete")
            raise
    found_in_all = f"{amount(found, 'conversation')} of {amount(len(contact_ids), 'contact')}"
    say(console, found_in_all, "dim")
    return ExitStatus.SETTLED


def _write(
    conversation_id: str | None, contact_id: str, console: Console, *, as_json: bool
) -> bool:
    """Print a pair; whether it could be."""
    if conversation_id is None or not (_is_plain(conversation_id) and _is_plain(contact_id)):
        say(console, f"left out: malformed id {conversation_id!r:.80}", "yellow")
        return False
    if as_json:
        print_out(json.dumps({"conversation_id": conversation_id, "contact_id": contact_id}))
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerow([conversation_id, contact_id])
        sys.stdout.flush()
    return True


def _is_plain(value: str) -> bool:
    """Whether a spreadsheet takes an id for text.

    It runs what begins with =, +, - or @, in their wide forms in some countries, and where commas
    are for decimals it begins a cell at a semicolon.
    """
    return value.isprintable() and value[:1].isalnum() and ";" not in value


def _is_group(conversation: Conversation) -> bool:
    """Whether more than one contact takes part; the last one could not be removed anyway."""
    return len(conversation.participants) > 1 or not conversation.participants_known
