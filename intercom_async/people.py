"""From people to pairs: who they are in Intercom, and which group conversations they are in.

A group of people is as many as one search may name. Each group takes three steps: read the people,
look up their contacts, find their pairs. The journal keeps the result of each step before the next
begins, so after a kill a run searches again only for people who are not done. A few groups are
searched at a time, and none begins while pairs wait for the run to take them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, Final, Literal, Self, TypeAlias

import attrs
from msgspec.structs import replace

from intercom_async.detaching import Detach
from intercom_async.errors import (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ContradictoryReplyError,
    IntercomError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    readable,
)
from intercom_async.ids import check_id
from intercom_async.journal import Binding, Journal, JournalError, Row, Session, State
from intercom_async.journal.people import People, Person, PersonState
from intercom_async.lookup import FIELDS, contacts_of, pairs_of
from intercom_async.pairs import check_input
from intercom_async.search import Requests, Search
from intercom_async.transport import wire

By: TypeAlias = Literal["contact", "email", "external-id"]
_SEARCHES: Final = 8
"""Groups of people that are searched at the same time."""

_ROWS: Final = 1000
"""The most pairs that are written at once."""

_EXAMPLES: Final = 100
"""The most people that a summary names."""

_COUNTED_EVERY: Final = 2.0  # seconds

_OPEN: Final = {PersonState.PENDING, PersonState.LOOKED_UP}

_FINAL: Final = (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    JournalError,
    PermissionDeniedError,
)
"""Errors after which no other search can succeed."""

_REFUSED: Final = (
    ContradictoryReplyError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
)
"""Errors that a repeated search would get again."""

_Step: TypeAlias = Callable[[list[Person]], Awaitable[None]]

logger: Final = logging.getLogger("intercom_async")


@attrs.frozen(kw_only=True)
class PeopleSummary:
    """The people of a run in numbers, those of its earlier sessions included.

    They are counted when a run begins, every two seconds or so of the search, and at its end.

    Attributes:
        states: people by `PersonState`; states without people are missing.
        contacts: the contacts that the people have in Intercom; one person may have several.
        merged: contacts that were found by following a merge.
        without_email: contacts without an e-mail address, which nothing can attach again by id.
        alone: conversations that keep their only contact, one of these; in this session.
        searches: requests that searched for them, in this session; repeated ones count once.
        examples: people of this session who were not found, are ambiguous or failed; a hundred
            at most.
        one_by_one: what Intercom refused to search in batches: "contacts", "conversations".
    """

    states: dict[PersonState, int] = attrs.field(factory=dict[PersonState, int])
    contacts: int = 0
    merged: int = 0
    without_email: int = 0
    alone: int = 0
    searches: int = 0
    examples: tuple[Person, ...] = ()
    one_by_one: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """People that were read."""
        return sum(self.states.values())


class PairSearch:
    """The pairs of people: an async iterator to give to `detach_contacts`.

    In a run it keeps its people in the run's journal and gives only pairs that the journal does
    not have. Used alone, it gives each pair once.

    Args:
        people, by, one_per_address: see `IntercomClient.find_pairs`.
        search: searches with the client's calls; waits for the end of an outage only in a run.
    """

    def __init__(
        self,
        people: Iterable[str | int] | AsyncIterable[str | int] | None,
        *,
        by: By,
        one_per_address: bool,
        search: Search,
    ) -> None:
        if by not in FIELDS:
            raise InvalidArgumentError("by", by, f"one of {', '.join(FIELDS)}")
        check_input("people", people, "an iterable or async iterable of people")
        self._given = people
        self._by: By = by
        self._one_per_address = one_per_address
        self._search = search
        self._kept: People | None = None
        self._pairs = self._find()
        self._found: deque[Detach] = deque()
        self._one_by_one: list[str] = []
        self._alone = 0
        self._counted = PeopleSummary()
        self._counted_at = 0.0

    @property
    def summary(self) -> PeopleSummary:
        """The people in numbers."""
        return attrs.evolve(
            self._counted,
            alone=self._alone,
            searches=self._search.requests,
            one_by_one=tuple(self._one_by_one),
        )

    async def join(self, session: Session, tally: Requests) -> None:
        """Join a run: keep people and pairs in its journal, if that can keep people."""
        if self._kept is None:
            self._search.options = replace(self._search.options, patient=True)
            self._search.run = tally
            if session.keeps_people:
                await self._keep_in(session)

    async def _keep_in(self, session: Session) -> None:
        self._kept = People(session)
        await self._count()

    async def _count(self) -> None:
        self._counted_at = asyncio.get_running_loop().time()
        rows = await self._people.counts()
        numbers = {state: number for state, number, *_ in rows}
        self._counted = PeopleSummary(
            states={state: numbers[state] for state in PersonState if state in numbers},
            contacts=sum(row[2] for row in rows),
            merged=sum(row[3] for row in rows),
            without_email=sum(row[4] for row in rows),
            examples=tuple(await self._people.open(_EXAMPLES)),
        )

    async def _count_now_and_then(self) -> None:
        if asyncio.get_running_loop().time() - self._counted_at >= _COUNTED_EVERY:
            await self._count()

    @property
    def _people(self) -> People:
        assert self._kept is not None  # noqa: S101  `_find` begins with it
        return self._kept

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[Detach]:
        return anext(self._pairs)

    async def aclose(self) -> None:
        """End the search and leave nothing behind; a second call does nothing."""
        await self._pairs.aclose()

    async def _find(self) -> AsyncGenerator[Detach]:
        searching: set[asyncio.Task[None]] = set()
        async with AsyncExitStack() as stack:
            if self._kept is None:  # a private temporary journal
                session = await Journal(None).open(Binding(operation="find", base_url=""))
                stack.push_async_callback(session.close)
                await self._keep_in(session)
            groups = await stack.enter_async_context(aclosing(self._groups(self._people)))
            try:
                async for group in groups:
                    searching.add(asyncio.create_task(self._find_group(group)))
                    await _forget_ended(searching, wait=len(searching) == _SEARCHES)
                    await self._count_now_and_then()
                    while self._found:
                        yield self._found.popleft()
                while searching:
                    await _forget_ended(searching)
                    await self._count_now_and_then()
                    while self._found:
                        yield self._found.popleft()
            finally:
                for task in searching:
                    task.cancel()
                await asyncio.gather(*searching, return_exceptions=True)
                with suppress(JournalError):
                    await self._count()

    async def _groups(self, people: People) -> AsyncGenerator[list[Person]]:
        """Yield the input's people in groups, then those that earlier sessions left."""
        group: dict[str, Person] = {}
        async with aclosing(each(self._given)) as given:
            async for value in given:
                person = _person(self._by, value)
                group[person.value] = person
                if len(group) == wire.FILTERS:
                    yield await people.begin([*group.values()])
                    group.clear()
        yield await people.begin([*group.values()])
        while left := await people.left(wire.FILTERS):
            again = [replace(_person(one.by, one.value), value=one.value) for one in left]
            yield await people.begin(again)

    # --- searching -----------------------------------------------------------------------------

    async def _find_group(self, group: list[Person]) -> None:
        """Find the pairs of a group; the next session searches again for people who failed."""
        try:
            pending = [person for person in group if person.state is PersonState.PENDING]
            await self._take("contacts", self._look_up, pending)
            known = [person for person in group if person.state is PersonState.LOOKED_UP]
            await self._take("conversations", self._find_pairs, known)
        except _FINAL:
            raise
        except IntercomError as error:
            await self._fail([person for person in group if person.state in _OPEN], error)

    async def _take(self, what: str, step: _Step, people: list[Person]) -> None:
        """Take a step for all people together, or one by one if Intercom refuses that."""
        refusal: IntercomError | None = None
        if len(people) > 1 and what not in self._one_by_one:
            try:
                await step(people)
            except _REFUSED as error:
                refusal = error
            else:
                return
        for person in people:
            try:
                await step([person])
            except _REFUSED as error:
                await self._fail([person], error)
                refusal = None  # perhaps because of this person
        if isinstance(refusal, InvalidRequestError) and what not in self._one_by_one:
            self._one_by_one.append(what)
            logger.warning("%s are searched one by one: %s", what, refusal)

    async def _fail(self, people: Sequence[Person], error: IntercomError) -> None:
        for person in people:
            person.state, person.note = PersonState.FAILED, readable(str(error))
        await self._people.keep(people)

    async def _look_up(self, people: list[Person]) -> None:
        """Find the contacts of some people, all of them named by the same field."""
        found = await contacts_of(self._search, people[0].by, [person.value for person in people])
        for person in people:
            contacts = found[person.value]
            merged = person.by == "contact" and bool(contacts) and person.value not in contacts
            person.contacts, person.merged = [*contacts], int(merged)
            person.without_email = sum(not one.extra.get("email") for one in contacts.values())
            person.note = f"merged into {person.contacts[0]}" if merged else None
            person.state = PersonState.LOOKED_UP if contacts else PersonState.NOT_FOUND
            if len(contacts) > 1 and self._one_per_address:
                person.state = PersonState.AMBIGUOUS
        await self._people.keep(people)

    async def _find_pairs(self, people: list[Person]) -> None:
        """Find the pairs of some people, write their rows and hand them out."""
        contact_ids = list(dict.fromkeys(one for person in people for one in person.contacts))
        size = wire.FILTERS if len(people) > 1 else 1  # Intercom may have refused the batch
        pairs: list[tuple[str, str]] = []
        for start in range(0, len(contact_ids), size):
            found, alone = await pairs_of(self._search, contact_ids[start : start + size])
            pairs += found
            self._alone += alone
        # All are found before the first is detached, which would shift the pages.
        for start in range(0, len(pairs), _ROWS):
            rows = [
                Row(conversation_id=one, contact_id=other, state=State.PENDING.value)
                for one, other in pairs[start : start + _ROWS]
            ]
            before = await self._people.session.plan(rows)
            self._found += [
                Detach(row.conversation_id, row.contact_id)
                for row, earlier in zip(rows, before, strict=True)
                if earlier is None
            ]
        for person in people:
            person.state = PersonState.DONE
        await self._people.keep(people)


async def _forget_ended(searching: set[asyncio.Task[None]], *, wait: bool = True) -> None:
    """Forget the searches that have ended, and raise their errors; `wait` until one has."""
    patience = None if wait else 0
    done, _ = await asyncio.wait(searching, timeout=patience, return_when="FIRST_COMPLETED")
    for task in done:
        searching.remove(task)
        task.result()


async def each(given: Iterable[Any] | AsyncIterable[Any] | None) -> AsyncGenerator[Any]:
    """Iterate over a sync or async iterable, and close it if it can be closed."""
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


def _person(by: str, value: object) -> Person:
    """Return the row of a person, a failed one if `value` cannot name a person."""
    try:
        name = check_id("address" if by == "email" else by, value)
    except InvalidArgumentError as error:
        shown = readable(str(value))
        return Person(by=by, value=shown, state=PersonState.FAILED, note=readable(str(error)))
    return Person(by=by, value=name)
