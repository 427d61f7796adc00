"""What a session asks of a database. Everything here blocks: it runs in the session's thread."""

import enum
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Final, TypedDict, TypeVar

import msgspec

from intercom_async.journal.row import UNSETTLED, Row, RowKey, Source

COLUMNS: Final = Row.__struct_fields__
"""Those of the table of pairs."""

NAMES: Final = ", ".join(COLUMNS)
KEY: Final = "workspace, conversation_id, contact_id"
UPDATES: Final = ", ".join(
    f"{name} = excluded.{name}" for name in COLUMNS if name not in KEY.split(", ")
)

_Result = TypeVar("_Result")


class Wanted(enum.StrEnum):
    """Which rows `Session.rows` reads: a condition, in SQL.

    Attributes:
        LEFT: not settled, and last written by an earlier session.
        DEFERRED: written by this session, and waiting for their second try.
        PLANNED: kept by `Session.plan` in this session, and not taken yet.
    """

    LEFT = f"state IN {UNSETTLED} AND session <> {{session}}"
    DEFERRED = "deferred AND session = {session}"
    PLANNED = "session < 0 AND session = -{session}"


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


def row_of(values: Sequence[Any]) -> Row:
    """Make a row from the values of `COLUMNS`."""
    return msgspec.convert(values, Row, strict=False)


def origin(source: Source | None) -> dict[str, Any]:
    """Return the columns of a session's row that name the source of its pairs."""
    return {
        "source_kind": source and source.kind,
        "source_name": source and source.name,
        "source_columns": json.dumps(dict(source.columns)) if source and source.columns else None,
    }


class Store(ABC):
    """The tables of a run, as one session uses them; see `Session` for what is not said here.

    Attributes:
        name: the file, or the run in PostgreSQL, for messages.
        durable: whether rows outlive the process; if so, callers wait until they are written.
        workspace: the key that "" stands for.
        owned: workspaces that this session took over; None where it has them all.
        lease: seconds for which they are owned after each write.
        held_until: when another session may take them over, by `time.monotonic`.
    """

    LOOK_UP: ClassVar[str]
    PAGE: ClassVar[str]
    keeps_people: ClassVar[bool] = False

    name: str
    durable: bool = True
    workspace: str = ""
    number: int = 1
    before: Mapping[str, int]
    input_ended: bool = False
    owned: frozenset[str] | None = None
    lease: float = math.inf
    held_until: float = math.inf

    @abstractmethod
    def attempt(self, work: Callable[[], _Result]) -> _Result:
        """Do some work with the methods below; raise `JournalError` if the database refuses."""

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Keep rows: all or none; of two rows of one pair, the later."""

    @abstractmethod
    def fetch(self, statement: str, **facts: Any) -> list[Row]:
        """Read rows with a query for `COLUMNS` that has named parameters."""

    def look_up(self, keys: Sequence[RowKey]) -> list[Row | None]:
        """Return rows in the order of their keys."""
        rows = self.fetch(self.LOOK_UP, keys=msgspec.json.encode(keys).decode())
        found = {row.key: row for row in rows}
        return [found.get(key) for key in keys]

    def rows(self, wanted: Wanted, after: Row | None, limit: int, workspace: str) -> list[Row]:
        """Return a page of rows."""
        return self.fetch(
            self.PAGE.format(wanted=wanted.format(session=self.number)),
            workspace=workspace,
            conversation="" if after is None else after.conversation_id,
            contact="" if after is None else after.contact_id,
            limit=limit,
        )

    @abstractmethod
    def workspaces(self) -> list[str]:
        """Return workspaces with unsettled pairs."""

    def own(self, workspaces: Collection[str]) -> None:  # noqa: B027  a file is locked as a whole
        """Take workspaces over: all of them or none."""

    @abstractmethod
    def bind(self, workspace: str, app_id: str, app_name: str | None) -> tuple[Any, ...]:
        """Note which app a key stands for, unless that is known; return the known id and name."""

    def ask(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run another module's statement, where the store `keeps_people`."""
        raise NotImplementedError

    @abstractmethod
    def update(self, facts: Mapping[str, Any]) -> None:
        """Set columns of this session's row, and renew its lease."""

    @abstractmethod
    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the session's last numbers."""

    @abstractmethod
    def let_go(self) -> None:
        """Let go of everything; a second call does nothing."""
