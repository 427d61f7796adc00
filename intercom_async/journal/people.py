"""The people of a run, as rows of its journal."""

import enum
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from intercom_async.journal.session import Session


class PersonState(enum.StrEnum):
    """How far the search for a person has come.

    Attributes:
        PENDING: the search has not begun.
        LOOKED_UP: the journal has the contacts, but not their conversations.
        DONE: the journal has a row for each of the person's pairs.
        NOT_FOUND: no contact in the workspace is the person.
        AMBIGUOUS: several contacts are the person, and only one was allowed.
        FAILED: the search failed; the next session tries again.
    """

    PENDING = "pending"
    LOOKED_UP = "looked_up"
    DONE = "done"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """Whether looking again would be pointless."""
        return self in {PersonState.DONE, PersonState.NOT_FOUND, PersonState.AMBIGUOUS}


class Person(msgspec.Struct, kw_only=True):
    """A person's row.

    Attributes:
        by: what the person is named by: "contact", "email" or "external-id".
        contacts: ids of the contacts that the person is.
        merged: how many of them were found by following a merge.
        without_email: how many of them cannot be attached again by their id.
        note: why it failed, or which merge was followed.
        session: number of the session that wrote the row last.
    """

    by: str
    value: str
    state: PersonState = PersonState.PENDING
    contacts: list[str] = []
    merged: int = 0
    without_email: int = 0
    note: str | None = None
    session: int = 0


_COLUMNS: Final = Person.__struct_fields__
_SELECT: Final = f"""
    SELECT json_group_array(json_object({", ".join(f"'{name}', {name}" for name in _COLUMNS)}))
    FROM (SELECT * FROM person WHERE {{condition}})
""".replace("'contacts', contacts", "'contacts', json(contacts)")
_KEEP: Final = f"""
    INSERT OR REPLACE INTO person ({", ".join(_COLUMNS)})
    SELECT {", ".join(f"json_extract(value, '$.{name}')" for name in _COLUMNS)} FROM json_each(?)
"""
_THESE: Final = _SELECT.format(condition="by = ? AND value IN (SELECT value FROM json_each(?))")
_LEFT: Final = _SELECT.format(
    condition="session < ? AND state IN ('pending', 'looked_up', 'failed')"
    " ORDER BY by, value LIMIT ?"
)
_OPEN: Final = _SELECT.format(
    condition="session = ? AND state IN ('not_found', 'ambiguous', 'failed') LIMIT ?"
)
COUNTS: Final = """
    SELECT state, count(*), sum(json_array_length(contacts)), sum(merged), sum(without_email)
    FROM person GROUP BY state
"""
"""People, contacts, followed merges and contacts without an address, by state."""


class People:
    """The rows of a session's people."""

    def __init__(self, session: Session) -> None:
        self.session = session

    async def _fetch(self, statement: str, *values: Any) -> list[Person]:
        ((text,),) = await self.session.ask(statement, *values)
        return msgspec.json.decode(text, type=list[Person])

    async def begin(self, people: Sequence[Person]) -> list[Person]:
        """Make people this session's own; return those to search for.

        It leaves out people whom it has begun before, and settled ones. The others come with what
        earlier sessions found, but without the note of a failed search.
        """
        if not people:
            return []
        values = msgspec.json.encode([person.value for person in people]).decode()
        found = await self._fetch(_THESE, people[0].by, values)
        kept = {person.value: person for person in found}
        begun: list[Person] = []
        for person in people:
            row = kept.get(person.value, person)
            if row.session < self.session.number and not row.state.settled:
                begun.append(person if row.state is PersonState.FAILED else row)
        await self.keep(begun)
        return begun

    async def keep(self, people: Sequence[Person]) -> None:
        """Write rows; return when they are on the disk."""
        for person in people:
            person.session = self.session.number
        await self.session.ask(_KEEP, msgspec.json.encode(people).decode())

    async def left(self, most: int) -> list[Person]:
        """Return people that earlier sessions left unsettled, all named by the same field."""
        found = await self._fetch(_LEFT, self.session.number, most)
        return [person for person in found if person.by == found[0].by]

    async def open(self, most: int) -> list[Person]:
        """Return people of this session who were not found, are ambiguous or failed."""
        return await self._fetch(_OPEN, self.session.number, most)

    async def counts(self) -> list[tuple[Any, ...]]:
        """Return the rows of `COUNTS`."""
        return await self.session.ask(COUNTS)
