"""From people to pairs: who they are in Intercom, and which group conversations they are in.

The search reads people in groups, as many as one request may name. It searches a few groups at a
time, and begins no other while pairs wait to be taken. A group goes through three steps, and the
journal keeps each before the next begins: the people are read, their contacts are looked up, all
their pairs have rows. So a run that was killed searches again only for people that are not done.

A search's pages shift while conversations leave its result. So the search finds all conversations
of a group before it hands out the first. Others may detach meanwhile: a pass through the pages
counts if it met as many conversations as each page announced. Otherwise it is repeated until two
passes bring nothing new, and once more after everything else.
"""

import asyncio
import functools
import logging
import re
from collections import Counter, deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, TypeVar

import attrs

from intercom_async.detaching import Detach
from intercom_async.errors import (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    IntercomError,
    InvalidArgumentError,
    InvalidRequestError,
    PermissionDeniedError,
    readable,
)
from intercom_async.ids import check_id
from intercom_async.journal import Binding, Journal, JournalError, Row, Session, State
from intercom_async.journal.people import People, Person, PersonState
from intercom_async.model import ContactReference, Conversation
from intercom_async.pairs import check_input
from intercom_async.structuring import decode_contacts
from intercom_async.transport import wire
from intercom_async.transport.answers import error_of

By: TypeAlias = Literal["contact", "email", "external-id"]
FIELDS: Final = {"contact": "id", "email": "email", "external-id": "external_id"}
"""What people are named by, and that field in Intercom's search."""

_SEARCHES: Final = 8
"""Groups of people that are searched at the same time."""

_ROWS: Final = 1000
"""Pairs that are written at once at most."""

_FINAL: Final = (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    JournalError,
    PermissionDeniedError,
)
"""Errors after which no other search can succeed."""

_OTHERS: Final = "the search returned others than it was asked for"
_SHOWN: Final = {PersonState.NOT_FOUND, PersonState.AMBIGUOUS, PersonState.FAILED}
_EXAMPLES: Final = 100
"""People that a summary names at most."""

_HOPS: Final = 5
"""Merges that are followed from one contact at most."""

logger: Final = logging.getLogger("intercom_async")
_CANONICAL: Final = re.compile(r'</contacts/([^/>]+)>\s*;\s*rel="?canonical"?', re.ASCII)
_Page: TypeAlias = AsyncIterator[tuple[tuple[Any, ...], int | None]]
_Found = TypeVar("_Found")


@attrs.frozen(kw_only=True)
class PeopleSummary:
    """The people of a run in numbers, those of its earlier sessions included.

    Attributes:
        states: people by `PersonState`; those without people are missing.
        contacts: that they are in Intercom; one person may be several.
        merged: contacts that were found by following a merge.
        without_email: contacts without an e-mail address: they cannot be attached again by id.
        duplicates: people that occurred again.
        alone: conversations found in this session in which one of them is the only contact; they
            stay there.
        searches: requests that searched for them, in this session.
        examples: people of this session who were not found, are ambiguous or failed; a hundred
            at most.
        one_by_one: what Intercom does not let search in batches: "contacts", "conversations".
    """

    states: dict[PersonState, int]
    contacts: int = 0
    merged: int = 0
    without_email: int = 0
    duplicates: int = 0
    alone: int = 0
    searches: int = 0
    examples: tuple[Person, ...] = ()
    one_by_one: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """People that were read."""
        return sum(self.states.values())

    @property
    def settled(self) -> int:
        """People whom no session need look for again."""
        return sum(count for state, count in self.states.items() if state.settled)


class Calls(NamedTuple):
    """What a search calls: the pages of both kinds of search, and a single request."""

    contacts: Callable[[Callable[..., wire.Request]], _Page]
    conversations: Callable[[Callable[..., wire.Request]], _Page]
    send: Callable[[wire.Request], Awaitable[wire.Reply]]


class PairSearch:
    """The pairs of people: an async iterator, to be given to `detach_contacts`.

    In a run it keeps its people in the run's journal and gives only pairs that the journal does
    not know. By itself, it gives each pair once.

    Args:
        people, by, every, one_per_address: see `IntercomClient.find_pairs`.
        calls: returns what searches; its argument says whether to wait for the end of an outage.
    """

    def __init__(
        self,
        people: Iterable[str | int] | AsyncIterable[str | int] | None,
        *,
        by: By,
        every: bool,
        one_per_address: bool,
        calls: Callable[[bool], Calls],
    ) -> None:
        if by not in FIELDS:
            raise InvalidArgumentError("by", by, f"one of {', '.join(FIELDS)}")
        check_input("people", people, "an iterable or async iterable of people")
        self._given = people
        self._by: By = by
        self._every = every
        self._one_per_address = one_per_address
        self._calls_for = calls
        self._calls = calls(False)
        self._session: Session | None = None
        self._people: People | None = None
        self._pairs: AsyncGenerator[Detach] | None = None
        self._found: deque[Detach] = deque()
        self._again: list[Person] = []
        self._last_round = False
        self._one_by_one: dict[str, str] = {}
        self._tally: Counter[str] = Counter()
        self._examples: dict[str, Person] = {}

    @property
    def summary(self) -> PeopleSummary:
        """The people in numbers, up to now."""
        return PeopleSummary(
            states={state: n for state in PersonState if (n := self._tally[state])},
            contacts=self._tally["contacts"],
            merged=self._tally["merged"],
            without_email=self._tally["without_email"],
            duplicates=self._tally["duplicates"],
            alone=self._tally["alone"],
            searches=self._tally["searches"],
            examples=tuple(self._examples.values()),
            one_by_one=tuple(self._one_by_one),
        )

    async def join(self, session: Session) -> None:
        """Keep people and pairs in a run's journal from now on, if that can keep people."""
        if self._pairs is None:
            self._calls = self._calls_for(True)
            await self._use(session)

    async def _use(self, session: Session) -> None:
        if session.keeps_people:
            self._session, self._people = session, People(session)
            for state, people, contacts, merged, without_email in await self._people.counts():
                self._tally.update({state: people, "contacts": contacts})
                self._tally.update(merged=merged, without_email=without_email)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Detach:
        if self._pairs is None:
            self._pairs = self._find()
        return await anext(self._pairs)

    async def aclose(self) -> None:
        """Leave nothing behind; harmless when done twice."""
        if self._pairs is not None:
            await self._pairs.aclose()

    async def _find(self) -> AsyncGenerator[Detach]:
        searching: set[asyncio.Task[None]] = set()
        async with self._journal():
            try:
                for self._last_round in (False, True):
                    async with aclosing(self._groups()) as groups:
                        unread = True
                        while unread or searching or self._found:
                            while self._found:
                                yield self._found.popleft()
                            if unread and len(searching) < _SEARCHES:
                                group = await anext(groups, None)
                                unread = group is not None
                                if group:
                                    searching.add(asyncio.create_task(self._search(group)))
                            elif searching:
                                await _one_of(searching)
            finally:
                for task in searching:
                    task.cancel()
                await asyncio.gather(*searching, return_exceptions=True)

    @asynccontextmanager
    async def _journal(self) -> AsyncGenerator[None]:
        """Open a private temporary journal unless a run has lent its own."""
        if self._session is not None:
            yield
            return
        session = await Journal(None).open(Binding(operation="find", base_url=""))
        try:
            await self._use(session)
            yield
        finally:
            await session.close()

    # --- reading -------------------------------------------------------------------------------

    async def _groups(self) -> AsyncGenerator[list[Person]]:
        """Read people up to as many as one search may name; then those that were left."""
        if self._last_round:
            for start in range(0, len(self._again), wire.FILTERS):
                yield self._again[start : start + wire.FILTERS]
            return
        group: dict[str, Person] = {}
        async with aclosing(each(self._given)) as given:
            async for value in given:
                person = _person(self._by, value)
                self._tally["duplicates"] += person.value in group
                group.setdefault(person.value, person)
                if len(group) == wire.FILTERS:
                    yield await self._begin(group)
                    group = {}
        if group:
            yield await self._begin(group)
        while left := await self._kept.left(wire.FILTERS):
            yield await self._take_up(left)

    @property
    def _kept(self) -> People:
        assert self._people is not None  # noqa: S101  `_find` began with it
        return self._people

    async def _begin(self, group: dict[str, Person]) -> list[Person]:
        """Return the people of a group that are to be searched, and write their rows."""
        known = await self._kept.look_up(self._by, list(group))
        begun: list[Person] = []
        for value, new in group.items():
            person = known.get(value)
            if person is None:
                self._tally[new.state] += 1
                begun.append(new)
            elif person.session == self._number:
                self._tally["duplicates"] += 1
            elif not person.state.settled:
                begun.append(person)
        return await self._take_up(begun)

    async def _take_up(self, people: list[Person]) -> list[Person]:
        """Make people this session's own, and leave out those that cannot be searched."""
        failed = [one for one in people if one.state is PersonState.FAILED and one.session]
        for person in failed:
            person.note = None
        await self._move(failed, PersonState.PENDING)
        await self._move(people, None)
        return [person for person in people if person.state is not PersonState.FAILED]

    @property
    def _number(self) -> int:
        assert self._session is not None  # noqa: S101  `_find` began with it
        return self._session.number

    async def _move(self, people: Sequence[Person], state: PersonState | None) -> None:
        """Write people's rows, in another state unless that is None."""
        for person in people:
            self._turn(person, state or person.state)
        if people:
            await self._kept.keep(people)

    def _turn(self, person: Person, state: PersonState) -> None:
        """Change a person's state; the caller writes the row."""
        self._tally[person.state] -= 1
        self._tally[state] += 1
        person.state = state
        self._examples.pop(person.value, None)
        if state in _SHOWN and len(self._examples) < _EXAMPLES:
            self._examples[person.value] = person

    # --- searching -----------------------------------------------------------------------------

    async def _search(self, group: list[Person]) -> None:
        try:
            await self._look_up([one for one in group if one.state is not PersonState.LOOKED_UP])
            await self._find_pairs([one for one in group if one.state is PersonState.LOOKED_UP])
        except _FINAL:
            raise
        except IntercomError as error:
            left = [one for one in group if not one.state.settled]
            if not self._last_round:
                self._again += left
                return
            for person in left:
                person.note = readable(str(error))
            await self._move(left, PersonState.FAILED)

    async def _look_up(self, group: list[Person]) -> None:
        """Find out which contacts some people of one kind are."""
        for by in dict.fromkeys(person.by for person in group):
            people = {person.value: person for person in group if person.by == by}
            ask = self._ask("contacts", [*people], functools.partial(self._contacts, by))
            async with aclosing(ask) as answers:
                async for found in answers:
                    for value, answer in found.items():
                        await self._identify(people[value], answer)
                    await self._kept.keep([people[value] for value in found])

    async def _identify(self, person: Person, answer: list[ContactReference] | str) -> None:
        """Find out who a person is."""
        if isinstance(answer, str):
            person.note = answer
            self._turn(person, PersonState.FAILED)
            return
        contacts = {contact.id: contact for contact in answer if contact.id is not None}
        merged = False
        if person.by == "contact" and person.value in contacts:
            contacts = {person.value: contacts[person.value]}
        elif person.by == "contact" and len(contacts) > 1:
            person.note = _OTHERS
            self._turn(person, PersonState.FAILED)
            return
        elif person.by == "contact":
            contact = next(iter(contacts.values()), None) or await self._follow(person.value)
            contacts = {} if contact is None or contact.id is None else {contact.id: contact}
            merged = bool(contacts) and person.value not in contacts
            person.note = f"merged into {next(iter(contacts))}" if merged else None
        self._count(person, -1)
        person.contacts, person.merged = list(contacts), int(merged)
        person.without_email = sum(not one.extra.get("email") for one in contacts.values())
        self._count(person, 1)
        state = PersonState.LOOKED_UP if contacts else PersonState.NOT_FOUND
        if len(contacts) > 1 and self._one_per_address:
            state = PersonState.AMBIGUOUS
        self._turn(person, state)

    def _count(self, person: Person, sign: int) -> None:
        self._tally["contacts"] += sign * len(person.contacts)
        self._tally["merged"] += sign * person.merged
        self._tally["without_email"] += sign * person.without_email

    async def _contacts(
        self, by: str, values: Sequence[str]
    ) -> dict[str, list[ContactReference]] | None:
        """Search contacts; None if nobody can tell which of the values one belongs to."""
        found: dict[str, list[ContactReference]] = {value: [] for value in values}
        # Intercom may ignore the case of an address, so each spelling of it is the same person.
        plain = str.casefold if by == "email" else str
        request = functools.partial(wire.search_contacts, FIELDS[by], *values)
        async for contacts, _ in self._calls.contacts(self._counted(request)):
            for contact in contacts:
                name = contact.extra.get("email") if by == "email" else contact.external_id
                name = contact.id if by == "contact" else name
                names = [one for one in values if plain(one) == plain(str(name))]
                if len(values) == 1 and (name is None or by == "contact"):  # perhaps a merged one
                    names = [*values]
                if not names:
                    return None
                for one in names:
                    found[one].append(contact)
        return found

    async def _follow(self, contact_id: str) -> ContactReference | None:
        """Ask for a contact that no search finds, and for the one it was merged into."""
        for _ in range(_HOPS):
            self._tally["searches"] += 1
            reply = await self._calls.send(wire.get_contact(contact_id))
            if reply.succeeded:
                return _contact(reply.body)
            into = _CANONICAL.search(reply.link or "") if reply.status == 410 else None
            if into is None:
                if reply.status in {404, 410}:
                    return None
                raise error_of(reply)
            contact_id = into[1]
        return None

    async def _find_pairs(self, people: list[Person]) -> None:
        """Find the conversations of some people, write their pairs' rows and hand them out."""
        contact_ids = list(dict.fromkeys(one for person in people for one in person.contacts))
        unasked = set(contact_ids)
        for start in range(0, len(contact_ids), wire.FILTERS):
            asked = contact_ids[start : start + wire.FILTERS]
            async with aclosing(self._ask("conversations", asked, self._conversations)) as answers:
                async for found in answers:
                    pairs = [
                        (one, contact_id)
                        for contact_id, answer in found.items()
                        if not isinstance(answer, str)
                        for one in answer
                        if one is not None
                    ]
                    await self._hand_out(pairs)
                    unasked.difference_update(found)
                    concerned = [one for one in people if not found.keys().isdisjoint(one.contacts)]
                    for person in concerned:
                        self._conclude(person, found, asked_all=unasked.isdisjoint(person.contacts))
                    await self._kept.keep(concerned)

    def _conclude(
        self, person: Person, found: Mapping[str, Sequence[str | None] | str], *, asked_all: bool
    ) -> None:
        """Say how far a person is after some answers, whose pairs have rows."""
        if person.state is not PersonState.LOOKED_UP:
            return
        for answer in (found[one] for one in person.contacts if one in found):
            if isinstance(answer, str):
                person.note = answer
                self._turn(person, PersonState.FAILED)
                return
            if None in answer and not self._last_round and person not in self._again:
                self._again.append(person)
        if asked_all and (self._last_round or person not in self._again):
            self._turn(person, PersonState.DONE)

    async def _conversations(
        self, contact_ids: Sequence[str]
    ) -> dict[str, list[str | None]] | None:
        """Return the conversations of each contact; a None among them if pages went on shifting.

        None as a whole if nobody can tell which of the contacts one belongs to.
        """
        found: dict[str, dict[str | None, None]] = {one: {} for one in contact_ids}
        request = functools.partial(wire.search_conversations, *contact_ids)
        met: set[str | None] = set()
        alone: set[str | None] = set()
        idle = 0
        while idle < 2:
            before, passed, totals = len(met), set[str | None](), set[int | None]()
            async for conversations, total in self._calls.conversations(self._counted(request)):
                totals.add(total)
                for conversation in conversations:
                    passed.add(conversation.id)
                    takers = _takers(conversation, contact_ids)
                    if not takers or not (conversation.participants_known or len(contact_ids) == 1):
                        return None
                    if self._every or _is_group(conversation):
                        for contact_id in takers:
                            found[contact_id][conversation.id] = None
                    else:
                        alone.add(conversation.id)
            met |= passed
            if len(totals) == 1 and len(passed) >= (totals.pop() or 0):
                self._tally["alone"] += len(alone)
                return {one: list(ids) for one, ids in found.items()}
            idle = idle + 1 if len(met) == before else 0
        return {one: [*ids, None] for one, ids in found.items()}

    def _counted(self, request: Callable[..., wire.Request]) -> Callable[..., wire.Request]:
        def count(**page: Any) -> wire.Request:
            self._tally["searches"] += 1
            return request(**page)

        return count

    async def _hand_out(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Write rows for the pairs that are new, then let them be taken."""
        assert self._session is not None  # noqa: S101  `_find` began with it
        for start in range(0, len(pairs), _ROWS):
            rows = [
                Row(conversation_id=one, contact_id=other, state=State.PENDING.value)
                for one, other in pairs[start : start + _ROWS]
            ]
            known = await self._session.plan(rows)
            for row, before in zip(rows, known, strict=True):
                if before is None:
                    self._found.append(Detach(row.conversation_id, row.contact_id))

    async def _ask(
        self,
        what: str,
        names: Sequence[str],
        search: Callable[[Sequence[str]], Awaitable[dict[str, list[_Found]] | None]],
    ) -> AsyncGenerator[Mapping[str, list[_Found] | str]]:
        """Search for all at once, or one by one where Intercom refuses that or says too little.

        A name that is refused even alone has the reason in place of an answer.
        """
        refused = ""
        if len(names) > 1 and what not in self._one_by_one:
            try:
                found = await search(names)
            except (InvalidRequestError, InvalidArgumentError) as error:
                refused = str(error)
            else:
                if found is not None:
                    yield {**found}
                    return
        for name in names:
            try:
                alone = await search([name])
                yield {name: _OTHERS if alone is None else alone[name]}
            except (InvalidRequestError, InvalidArgumentError) as error:
                refused = ""
                yield {name: readable(str(error))}
        if refused and what not in self._one_by_one:
            self._one_by_one[what] = refused
            logger.warning("%s are searched one by one: %s", what, refused)


async def _one_of(searching: set[asyncio.Task[None]]) -> None:
    """Wait until one of some searches has ended, and take it off the set; raise what it raises."""
    done, _ = await asyncio.wait(searching, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        searching.remove(task)
        task.result()


async def each(given: Iterable[Any] | AsyncIterable[Any] | None) -> AsyncGenerator[Any]:
    """Iterate over either sort, and close what can be closed."""
    if not isinstance(given, AsyncIterable):
        for value in given or ():
            yield value
        return
    items = aiter(given)
    try:
        async for value in items:
            yield value
    finally:
        close: Any = getattr(items, "aclose", None)
        if close is not None:
            await close()


def _person(by: By, value: object) -> Person:
    """Return the row of a person, a failed one if nobody can be named so."""
    try:
        name = check_id("address" if by == "email" else by, value)
    except InvalidArgumentError as error:
        shown = readable(str(value))
        return Person(by=by, value=shown, state=PersonState.FAILED, note=readable(str(error)))
    return Person(by=by, value=name)


def _contact(body: bytes) -> ContactReference | None:
    """Return the contact that a reply is."""
    return next(iter(decode_contacts(b'{"data":[%b]}' % body).contacts), None)


def _takers(conversation: Conversation, contact_ids: Sequence[str]) -> Sequence[str]:
    """Return which of the contacts that were searched for take part."""
    if len(contact_ids) == 1:
        return contact_ids
    listed = {contact.id for contact in conversation.participants}
    return [one for one in contact_ids if one in listed]


def _is_group(conversation: Conversation) -> bool:
    """Whether more than one contact takes part; the last one could not be removed anyway."""
    return len(conversation.participants) > 1 or not conversation.participants_known
