"""What a database does for a session. Everything here blocks: it runs in the session's thread."""

import enum
import json
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Final, TypedDict, TypeVar

import msgspec

from intercom_async.journal.row import SETTLED, Row, Source

COLUMNS: Final = tuple(dict.fromkeys(("workspace", *Row.__struct_fields__)))
"""Of the table of pairs: the members of a `Row`, those of the key first."""

NAMES: Final = ", ".join(COLUMNS)
KEY: Final = ", ".join(COLUMNS[:3])
UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[3:])

FLAGS: Final = tuple(field.name for field in msgspec.structs.fields(Row) if field.type is bool)
"""Columns that hold true or false, which SQLite keeps as a number."""

Key = tuple[str, str, str]
"""Workspace, conversation and contact."""

Values = tuple[Any, ...]
"""Values of `COLUMNS`."""

_Result = TypeVar("_Result")


class Wanted(enum.Enum):
    """Which rows `Session.rows` reads.

    Attributes:
        LEFT: not settled, and last written by an earlier session.
        DEFERRED: written by this session, and waiting for their second try.
        PLANNED: kept by `Session.plan` in this session, and not taken yet.
    """

    LEFT = enum.auto()
    DEFERRED = enum.auto()
    PLANNED = enum.auto()


UNSETTLED: Final = f"state NOT IN ({', '.join(repr(state) for state in SETTLED)})"
_CONDITIONS: Final = {
    Wanted.LEFT: f"{UNSETTLED} AND session <> {{session}}",
    Wanted.DEFERRED: "deferred AND session = {session}",
    Wanted.PLANNED: "session < 0 AND session = -{session}",
}


class Facts(TypedDict, total=False):
    """A session's numbers, by the names of their columns."""

    requests: int
    retries: int
    refusals: int
    duplicates: int
    elapsed: float
    quota_limit: int | None
    ending: str
    stopped_by: str | None


FACTS: Final = tuple(Facts.__annotations__)

values_of: Callable[[Row], Values] = attrgetter(*COLUMNS[1:-2])
"""Take the values of all columns but those that a session fills in: the first and the last two."""


def row_of(values: Sequence[Any]) -> Row:
    """Make a row of the values of `COLUMNS`."""
    facts = dict(zip(COLUMNS, values, strict=True))
    for name in FLAGS:
        facts[name] = bool(facts[name])
    return Row(**facts)


def origin(source: Source | None) -> dict[str, Any]:
    """Return what a session's row says of the process and of the source of its pairs."""
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "source_kind": source and source.kind,
        "source_name": source and source.name,
        "source_columns": json.dumps(dict(source.columns)) if source and source.columns else None,
    }


class Store(ABC):
    """The tables of a run, as one session uses them; see `Session` for what is not said here.

    Attributes:
        name: the file, or the run in PostgreSQL, for messages.
        durable: whether rows are to outlive the process, so that writing is waited for.
        workspace: the key that "" stands for.
    """

    _LOOK_UP: ClassVar[str]
    _PAGE: ClassVar[str]
    _LEFT: ClassVar[str]

    name: str
    durable: bool = True
    workspace: str = ""
    number: int = 1
    before: Mapping[str, int]
    input_ended: bool = False

    @abstractmethod
    def carry_out(self, work: Callable[[], _Result]) -> _Result:
        """Do some work with the methods below.

        Raises:
            JournalError: the database refuses.
        """

    @abstractmethod
    def fetch(self, statement: str, **facts: Any) -> Iterable[Sequence[Any]]:
        """Run a query with named parameters."""

    @abstractmethod
    def write(self, rows: Sequence[Values]) -> None:
        """Keep rows: all or none; of two rows of one pair, the later."""

    def look_up(self, keys: Sequence[Key]) -> list[Row | None]:
        """Return rows in the order of their keys."""
        found: list[Row | None] = [None] * len(keys)
        for place, *values in self.fetch(self._LOOK_UP, keys=msgspec.json.encode(keys).decode()):
            found[place] = row_of(values)
        return found

    def rows(self, wanted: Wanted, after: Row | None, limit: int, workspace: str) -> list[Row]:
        """Return a page of rows."""
        found = self.fetch(
            self._PAGE.format(wanted=_CONDITIONS[wanted].format(session=self.number)),
            workspace=workspace,
            conversation="" if after is None else after.conversation_id,
            contact="" if after is None else after.contact_id,
            limit=limit,
        )
        return list(map(row_of, found))

    def workspaces(self) -> list[str]:
        """Return workspaces with unsettled pairs."""
        return [workspace for (workspace,) in self.fetch(self._LEFT, session=self.number)]

    @abstractmethod
    def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """Keep which workspace a key stands for."""

    def ask(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run another module's statement, where `Session.keeps_people`."""
        raise NotImplementedError

    @abstractmethod
    def update(self, facts: Mapping[str, Any]) -> None:
        """Set columns of this session's row."""

    @abstractmethod
    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the session's last numbers and let go of everything."""

    @abstractmethod
    def let_go(self) -> None:
        """Let go of everything; harmless when that was done."""
