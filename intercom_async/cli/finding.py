"""The command `find`: the pairs of every group conversation a contact takes part in."""

import csv
import sys

from rich.console import Console

from intercom_async.cli.running import ExitStatus, say
from intercom_async.client import IntercomClient
from intercom_async.errors import InvalidArgumentError
from intercom_async.model import Conversation


async def find(
    client: IntercomClient,
    console: Console,
    *,
    contact_id: str | None,
    email: str | None,
    external_id: str | None,
    every: bool,
) -> ExitStatus:
    """Print CSV that `detach -` reads, a line at a time, so that both can work together.

    Args:
        client: asks.
        console: where people look.
        contact_id: whose conversations; give this, `email` or `external_id`.
        email: of the contacts.
        external_id: of the contact.
        every: print conversations in which the contact is alone, too.

    Raises:
        InvalidArgumentError: not exactly one of the three is given.
        IntercomError: Intercom cannot be asked.
    """
    given = [value for value in (contact_id, email, external_id) if value is not None]
    if len(given) != 1:
        raise InvalidArgumentError(
            "--contact, --email or --external-id", None, "given, exactly one of them"
        )
    async with client:
        contact_ids = [contact_id]
        if contact_id is None:
            found_contacts = client.find_contacts(email=email, external_id=external_id)
            contact_ids = [contact.id async for contact in found_contacts]
        if not contact_ids:
            say(console, f"no contact found for {given[0]}", "yellow")
            return ExitStatus.SOME_FAILED
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["conversation_id", "contact_id"])
        found = 0
        for one in contact_ids:
            if one is None:  # the search answered with a contact it did not name
                continue
            async for conversation in client.find_conversations(one):
                if not _is_plain(conversation.id) or not _is_plain(one):
                    say(console, f"left out, for its id is none: {conversation.id!r:.80}", "yellow")
                elif every or _is_group(conversation):
                    writer.writerow([conversation.id, one])
                    sys.stdout.flush()
                    found += 1
    say(console, f"{found:,} conversations of {len(contact_ids):,} contacts", "dim")
    return ExitStatus.SETTLED


def _is_plain(value: str | None) -> bool:
    """Whether a spreadsheet takes an id for text.

    It runs what begins with =, +, - or @, in their wide forms in some countries, and where commas
    are for decimals it begins a cell at a semicolon.
    """
    return value is not None and value.isprintable() and value[:1].isalnum() and ";" not in value


def _is_group(conversation: Conversation) -> bool:
    """Whether more than one contact takes part; the last one could not be removed anyway."""
    return len(conversation.participants) > 1 or not conversation.participants_known
