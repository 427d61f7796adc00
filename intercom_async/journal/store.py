"""What a database does for a session. Everything here blocks: it runs in the session's thread."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypedDict, TypeVar

from intercom_async.journal.errors import JournalError, JournalMismatchError
from intercom_async.journal.row import SETTLED, Binding, Row

COLUMNS: Final = (
    "workspace", "conversation_id", "contact_id", "admin_id", "state", "inferred", "in_doubt",
    "attempts", "refusals", "status", "code", "error_type", "error", "request_id", "deferred",
    "second_try", "session", "updated_at",
)  # fmt: skip
"""Of the table of pairs; also the names in a `Row`."""

NAMES: Final = ", ".join(COLUMNS)
KEY: Final = ", ".join(COLUMNS[:3])
UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[3:])

_FLAGS: Final = ("inferred", "in_doubt", "deferred", "second_try")

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
        PENDING: written by this session, and not sent.
    """

    LEFT = enum.auto()
    DEFERRED = enum.auto()
    PENDING = enum.auto()


UNSETTLED: Final = f"state NOT IN ({', '.join(repr(state) for state in SETTLED)})"
CONDITIONS: Final = {
    Wanted.LEFT: f"{UNSETTLED} AND session <> {{session}}",
    Wanted.DEFERRED: "deferred AND session = {session}",
    Wanted.PENDING: "state = 'pending' AND session = {session}",
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

values_of: Callable[[Row], Values] = attrgetter(*COLUMNS[:-2])
"""Take the values of all columns but those that a session fills in: its number and the time."""


def row_of(values: Sequence[Any]) -> Row:
    """Make a row of the values of `COLUMNS`."""
    facts = dict(zip(COLUMNS, values, strict=True))
    for name in _FLAGS:
        facts[name] = bool(facts[name])
    return Row(**facts)


class Store(ABC):
    """The tables of a run, as one session uses them; see `Session` for what the methods mean.

    Attributes:
        name: the file, or the run in PostgreSQL, for messages.
    """

    name: str
    number: int = 1
    before: Mapping[str, int]
    input_ended: bool = False

    def compare(self, kept: Binding, now: Binding) -> None:
        """Compare what the journal belongs to with what this run does.

        Raises:
            JournalMismatchError: they differ.
        """
        if differs := kept.mismatch(now):
            what, expected, found = differs
            raise JournalMismatchError(self.name, what=what, expected=expected, found=found)

    @abstractmethod
    def carry_out(self, work: Callable[[], _Result]) -> _Result:
        """Do some work with the methods below.

        Raises:
            JournalError: the database refuses.
        """

    @abstractmethod
    def write(self, rows: Sequence[Values]) -> None:
        """Keep rows: all or none; of two of one pair, the later."""

    @abstractmethod
    def look_up(self, keys: Sequence[Key]) -> list[Row | None]:
        """Return rows in the order of their keys; None for a key that has none."""

    @abstractmethod
    def rows(self, wanted: Wanted, after: Row | None, limit: int, workspace: str) -> list[Row]:
        """Return a workspace's next rows."""

    @abstractmethod
    def workspaces(self) -> list[str]:
        """Return the workspaces in which earlier sessions left unsettled pairs."""

    @abstractmethod
    def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """Keep which workspace a key stands for."""

    def ask(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run another module's statement, which changes all or nothing; only files do that."""
        raise JournalError(self.name, f"{self.name} cannot run {statement} with {values}")

    @abstractmethod
    def update(self, facts: Mapping[str, Any]) -> None:
        """Set columns of this session's row."""

    @abstractmethod
    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the session's last numbers and let go of everything."""

    @abstractmethod
    def let_go(self) -> None:
        """Let go of everything; harmless when that was done."""
