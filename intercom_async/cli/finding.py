"""The command `find`: the pairs of every group conversation a contact takes part in."""

import json

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
    found = 0
    async with client:
        contact_ids = [contact_id]
        if contact_id is None:
            found_contacts = client.find_contacts(email=email, external_id=external_id)
            contact_ids = [contact.id async for contact in found_contacts]
        if not contact_ids:
            say(console, f"no contact found for {given[0]}", "yellow")
            return ExitStatus.SOME_FAILED
        if not as_json:
            _write("conversation_id", "contact_id", as_json=False)
        try:
            for one in contact_ids:
                if one is None:  # the search answered with a contact it did not name
                    continue
                async for conversation in client.find_conversations(one):
                    if conversation.id is None or not _is_plain(conversation.id, one):
                        say(console, f"skipped: malformed id {conversation.id!r:.80}", "yellow")
                    elif every or _is_group(conversation):
                        _write(conversation.id, one, as_json=as_json)
                        found += 1
        except IntercomError:
            print_out("find failed: this list is not complete")
            raise
    say(
        console,
        f"{amount(found, 'conversation')} of {amount(len(contact_ids), 'contact')}",
        "dim",
    )
    return ExitStatus.SETTLED


def _write(conversation_id: str, contact_id: str, *, as_json: bool) -> None:
    line = f"{conversation_id},{contact_id}"
    if as_json:
        line = json.dumps({"conversation_id": conversation_id, "contact_id": contact_id})
    print_out(line)


def _is_plain(*ids: str) -> bool:
    """Whether ids need no quotes and a spreadsheet takes them for text.

    It runs what begins with =, +, - or @, in their wide forms in some countries, and where commas
    are for decimals it begins a cell at a semicolon.
    """
    return all(
        value.isprintable() and value[:1].isalnum() and not {";", ",", '"'} & set(value)
        for value in ids
    )


def _is_group(conversation: Conversation) -> bool:
    """Whether more than one contact takes part; the last one could not be removed anyway."""
    return len(conversation.participants) > 1 or not conversation.participants_known
