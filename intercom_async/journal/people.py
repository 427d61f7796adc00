"""People as rows, in the journal of a run that was given them."""

import enum
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from intercom_async.journal.session import Session

_COLUMNS: Final = (
    "by", "value", "state", "contacts", "merged", "without_email", "note", "session",
)  # fmt: skip
_NAMES: Final = ", ".join(_COLUMNS)


class PersonState(enum.StrEnum):
    """How far a person's row is.

    Attributes:
        PENDING: read, and nothing else.
        LOOKED_UP: the contacts are known, their conversations are not.
        DONE: every conversation was found: each of the person's pairs has a row.
        NOT_FOUND: nobody in the workspace is it.
        AMBIGUOUS: several contacts are, and only one was to be.
        FAILED: nobody could find out; the next session tries again.
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
        value: the id or the address.
        state: how far it is.
        contacts: ids of the contacts that the person is.
        merged: how many of them were found by following a merge.
        without_email: how many of them cannot be attached again by their id.
        note: why it failed, what was followed.
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


class People:
    """The rows of a session's people."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def look_up(self, by: str, values: Sequence[str]) -> dict[str, Person]:
        """Return what is known of some people, by their values."""
        found = await self._session.ask(
            f"SELECT {_NAMES} FROM person WHERE by = ? "
            "AND value IN (SELECT value FROM json_each(?))",
            by,
            _json(values),
        )
        return {person.value: person for person in map(_person, found)}

    async def keep(self, people: Sequence[Person]) -> None:
        """Keep rows; they are on the disk when it returns."""
        for person in people:
            person.session = self._session.number
        places = ", ".join(f"json_extract(value, '$.{name}')" for name in _COLUMNS)
        await self._session.ask(
            f"INSERT OR REPLACE INTO person ({_NAMES}) SELECT {places} FROM json_each(?)",
            _json(people),
        )

    async def left(self, most: int) -> list[Person]:
        """Return people of one kind that earlier sessions left unsettled."""
        found = await self._session.ask(
            f"SELECT {_NAMES} FROM person WHERE session < ? "
            "AND state IN ('pending', 'looked_up', 'failed') ORDER BY by, value LIMIT ?",
            self._session.number,
            most,
        )
        return [person for person in map(_person, found) if person.by == found[0][0]]

    async def counts(self) -> list[tuple[str, int, int, int, int]]:
        """Return people, contacts, followed merges and contacts without an address, by state."""
        return [(one, *numbers) for one, *numbers in await self._session.ask(COUNTS)]


COUNTS: Final = """
    SELECT state, count(*), sum(json_array_length(contacts)), sum(merged), sum(without_email)
    FROM person GROUP BY state"""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _person(values: Sequence[Any]) -> Person:
    facts = dict(zip(_COLUMNS, values, strict=True))
    return msgspec.convert({**facts, "contacts": msgspec.json.decode(facts["contacts"])}, Person)
