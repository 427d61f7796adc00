"""The command `find`: the pairs of every group conversation a contact takes part in."""

import csv
import json
import sys

from rich.console import Console

from intercom_async.cli.running import ExitStatus, amount, print_out, say
from intercom_async.client import IntercomClient
from intercom_async.errors import IntercomError, InvalidArgumentError
from intercom_async.model import Conversation


async def find(
    client: IntercomClient,
    console: Console,
    *,
    contact_id: str | None,
    email: str | None,
    external_id: str | None,
    every: bool,
    as_json: bool,
) -> ExitStatus:
    """Print what `detach -` reads, a line at a time, so that both can work together.

    Args:
        client: asks.
        console: where people look.
        contact_id: whose conversations; give this, `email` or `external_id`.
        email: of the contacts.
        external_id: of the contact.
        every: print conversations in which the contact is alone, too.
        as_json: print JSON lines instead of CSV.

    Raises:
        InvalidArgumentError: not exactly one of the three is given.
        IntercomError: Intercom cannot be asked. Then the last line is no pair, so that a
            `detach -` that reads it does not end as if it had got everything.
    """
    given = [value for value in (contact_id, email, external_id) if value is not None]
    if len(given) != 1:
        raise InvalidArgumentError(
            "--contact, --email or --external-id", None, "given, exactly one of them"
        )
    async with client:
        contact_ids = [contact_id] if contact_id is not None else []
        if contact_id is None:
            contacts = client.find_contacts(email=email, external_id=external_id)
            contact_ids = [contact.id async for contact in contacts if contact.id is not None]
        if not contact_ids:
            say(console, f"no contact found for {given[0]}", "yellow")
            return ExitStatus.SOME_FAILED
        if not as_json:
            print_out("conversation_id,contact_id")
        found = 0
        try:
            for one in contact_ids:
                async for conversation in client.find_conversations(one):
                    if every or _is_group(conversation):
                        found += _write(conversation.id, one, console, as_json=as_json)
        except IntercomError as error:
            if not isinstance(error, InvalidArgumentError):
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
