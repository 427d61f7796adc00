"""Asks Intercom which contacts people are, and which group conversations contacts are in."""

import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from intercom_async.errors import ContradictoryReplyError
from intercom_async.model import ContactReference, Conversation
from intercom_async.structuring import decode_contacts
from intercom_async.transport import wire
from intercom_async.transport.doubt import error_of

FIELDS: Final = {"contact": "id", "email": "email", "external-id": "external_id"}
"""What people are named by, and that field in Intercom's search."""

_HOPS: Final = 5
"""The most merges that are followed from one contact."""

_IDLE: Final = 3
"""A search is complete after this many passes in a row that bring nothing new."""

_MARGIN: Final = 10_000
"""Results that a search may have beyond twice those that its first page announces."""

_OTHERS: Final = "the search returned others than it was asked for"
_CANONICAL: Final = re.compile(r'</contacts/([^/>]+)>\s*;\s*rel="?canonical"?', re.ASCII)

_Search: TypeAlias = Callable[
    [Callable[..., wire.Request]], AsyncIterator[tuple[tuple[Any, ...], int | None]]
]


class Calls(NamedTuple):
    """What a search calls: the pages of both kinds of search, and a single request."""

    contacts: _Search
    conversations: _Search
    send: Callable[[wire.Request], Awaitable[wire.Reply]]


class RunTally(Protocol):
    """Counts the requests of a run."""

    requests: int


class Lookup:
    """Asks Intercom who people are and where they take part.

    Attributes:
        run: counts the requests, too, if a run uses this search.
        requests: how many were made; a request that had to be repeated counts once.
        alone: conversations that were left out, because the contact is the only one in them.
    """

    def __init__(self, calls: Calls, *, every: bool) -> None:
        self.calls = calls
        self.run: RunTally | None = None
        self.requests = 0
        self.alone = 0
        self._every = every

    def _count(self) -> None:
        self.requests += 1
        if self.run is not None:
            self.run.requests += 1

    async def contacts(
        self, by: str, values: Sequence[str]
    ) -> dict[str, dict[str, ContactReference]]:
        """Return the contacts of each person, by their ids.

        Raises:
            ContradictoryReplyError: the search returned a contact that matches none of the people.
        """
        contacts: dict[str, dict[str, ContactReference]] = {value: {} for value in values}
        request = functools.partial(wire.search_contacts, FIELDS[by], *values)
        async with aclosing(self._entries(self.calls.contacts, request)) as entries:
            async for contact in entries:
                for value in _named(contact, by, values):
                    contacts[value][contact.id] = contact
        if by == "contact":
            return {value: await self._unmerged(value, contacts[value]) for value in values}
        return contacts

    async def _unmerged(
        self, contact_id: str, contacts: dict[str, ContactReference]
    ) -> dict[str, ContactReference]:
        """Return the contact with an id, or else the one that it was merged into."""
        if contact_id in contacts:
            return {contact_id: contacts[contact_id]}
        if len(contacts) > 1:
            raise _contradiction(_OTHERS)
        return contacts or await self._follow(contact_id)

    async def _follow(self, contact_id: str) -> dict[str, ContactReference]:
        """Ask for a contact that no search finds, and for the one it was merged into."""
        for _ in range(_HOPS):
            self._count()
            reply = await self.calls.send(wire.get_contact(contact_id))
            if reply.succeeded:
                page = decode_contacts(b'{"data":[%b]}' % reply.body)
                return {contact.id: contact for contact in page.contacts if contact.id}
            into = _CANONICAL.search(reply.link or "") if reply.status == 410 else None
            if into is None and reply.status not in {404, 410}:
                raise error_of(reply)
            if into is None:
                break
            contact_id = into[1]
        return {}

    async def pairs(self, contact_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return the pairs of contacts.

        Raises:
            ContradictoryReplyError: the search returned a conversation that does not clearly name
                one of the contacts.
        """
        pairs: dict[tuple[str, str], None] = {}
        alone = set[str]()
        request = functools.partial(wire.search_conversations, *contact_ids)
        async with aclosing(self._entries(self.calls.conversations, request)) as entries:
            async for one in entries:
                takers = _takers(one, contact_ids)
                # The last contact of a conversation could not be removed anyway.
                if self._every or len(one.participants) > 1 or not one.participants_known:
                    pairs.update(dict.fromkeys((one.id, taker) for taker in takers))
                else:
                    alone.add(one.id)
        self.alone += len(alone)
        return list(pairs)

    async def _entries(
        self, search: _Search, request: Callable[..., wire.Request]
    ) -> AsyncGenerator[Any]:
        """Iterate over what a search finds; some of it may come more than once.

        Pages shift while conversations leave the result. So a pass through the pages counts only
        if it brought as many entries as each page announced. Otherwise it is repeated, until some
        passes in a row bring nothing new.
        """

        def counted(**page: Any) -> wire.Request:
            self._count()
            return request(**page)

        seen = set[str]()
        most: int | None = None
        idle = 0
        while idle < _IDLE:
            before, passed, totals = len(seen), set[str](), set[int | None]()
            async for entries, total in search(counted):
                most = _MARGIN + 2 * (total or 0) if most is None else most
                totals.add(total)
                for entry in entries:
                    if entry.id is not None:
                        passed.add(entry.id)
                        yield entry
                seen |= passed
                if len(seen) > most:
                    raise _contradiction(
                        f"the search has {len(seen):,} results, far more than it announced, and "
                        "more follow"
                    )
            if len(totals) == 1 and len(passed) >= (totals.pop() or 0):
                break
            idle = idle + 1 if len(seen) == before else 0


def _contradiction(reason: str) -> ContradictoryReplyError:
    return ContradictoryReplyError(reason, status=wire.SUCCESS)


def _takers(conversation: Conversation, contact_ids: Sequence[str]) -> Sequence[str]:
    """Return those of the contacts that take part; at least one must, as they were searched for."""
    if len(contact_ids) == 1:
        return contact_ids
    listed = {contact.id for contact in conversation.participants}
    takers = [contact_id for contact_id in contact_ids if contact_id in listed]
    if takers and conversation.participants_known:
        return takers
    raise _contradiction(_OTHERS)


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
    raise _contradiction(_OTHERS)
