"""Asks Intercom for the contacts of people, and for the group conversations of contacts."""

import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from intercom_async.errors import APIError, ContradictoryReplyError, GatewayError
from intercom_async.model import ContactReference, Conversation
from intercom_async.search import Search
from intercom_async.structuring import decode_page
from intercom_async.transport import wire

FIELDS: Final = {"contact": "id", "email": "email", "external-id": "external_id"}
"""What people are named by, and its field in Intercom's search."""

_HOPS: Final = 5
"""The most merges that are followed from one contact."""

_CANONICAL: Final = re.compile(r'</contacts/([^/>]+)>\s*;\s*rel="?canonical"?', re.ASCII)


async def contacts_of(
    search: Search, by: str, values: Sequence[str]
) -> dict[str, dict[str, ContactReference]]:
    """Return the contacts of each person, by their ids; raise if the search found others."""
    contacts: dict[str, dict[str, ContactReference]] = {value: {} for value in values}
    async with aclosing(search.contacts(FIELDS[by], *values)) as results:
        async for contact in results:
            for value in _named(contact, by, values):
                contacts[value][contact.id or ""] = contact
    if by == "contact":
        for value, found in contacts.items():
            if value in found:
                contacts[value] = {value: found[value]}
            elif len(found) > 1:
                raise _others()
            elif not found:
                contacts[value] = await _merged_into(search, value)
    return contacts


async def _merged_into(search: Search, contact_id: str) -> dict[str, ContactReference]:
    """Ask for a contact that no search finds, and for the one it was merged into."""
    for _ in range(_HOPS):
        search.count()
        try:
            reply = await search.call(wire.get_contact(contact_id), search.options)
        except APIError as error:
            if error.status not in {404, 410} or isinstance(error, GatewayError):
                raise
            link = "" if error.reply is None else error.reply.headers.get("Link", "")
            into = _CANONICAL.search(link) if error.status == 410 else None
            if into is None:
                break
            contact_id = into[1]
        else:
            page = decode_page(b'{"data":[%b]}' % reply.body, ContactReference)
            return {contact.id: contact for contact in page.entries if contact.id}
    return {}


async def pairs_of(search: Search, contact_ids: Sequence[str]) -> tuple[list[tuple[str, str]], int]:
    """Return the pairs of contacts, and in how many conversations one of them is alone.

    Nothing could remove the last contact of a conversation. A search that found others raises.
    """
    pairs: list[tuple[str, str]] = []
    alone = 0
    async with aclosing(search.conversations(*contact_ids)) as results:
        async for one in results:
            takers = _takers(one, contact_ids)
            if len(one.participants) > 1 or not one.participants_known:
                pairs += [(one.id or "", taker) for taker in takers]
            else:
                alone += 1
    return pairs, alone


def _others() -> ContradictoryReplyError:
    reason = "the search returned results that nobody asked for"
    return ContradictoryReplyError(reason, status=wire.SUCCESS)


def _takers(conversation: Conversation, contact_ids: Sequence[str]) -> Sequence[str]:
    """Return those of the contacts that take part; at least one must, as they were searched for."""
    if len(contact_ids) == 1:
        return contact_ids
    listed = {contact.id for contact in conversation.participants}
    takers = [contact_id for contact_id in contact_ids if contact_id in listed]
    if takers and conversation.participants_known:
        return takers
    raise _others()


def _named(contact: ContactReference, by: str, values: Sequence[str]) -> Sequence[str]:
    """Return those of the values that name a contact; at least one must, as they were searched."""
    # Intercom may ignore the case of an address, so each spelling of it is the same person.
    plain = str.casefold if by == "email" else str
    name = {
        "contact": contact.id,
        "email": contact.extra.get("email"),
        "external-id": contact.external_id,
    }[by]
    named = [value for value in values if plain(value) == plain(str(name))]
    if named:
        return named
    if len(values) == 1 and (name is None or by == "contact"):  # perhaps a merged one
        return values
    raise _others()
