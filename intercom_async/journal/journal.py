"""The journal's front door: where a run's rows are kept, and what a run may ask of them."""

import contextlib
import enum
from collections.abc import Callable, Generator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Final, Protocol, TypedDict, Unpack
from urllib.parse import unquote

from intercom_async.detaching import Detach
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal.errors import JournalError
from intercom_async.journal.row import Binding, Row, Source
from intercom_async.runtime import SYSTEM, Runtime

URLS: Final = ("postgresql://", "postgres://")
"""What the URL of a database begins with."""


def split_url(url: str) -> tuple[str, str | None]:
    """Return a database's URL without the name of a run, and that name: `...?run=cleanup-7`."""
    address, _, query = url.partition("?")
    options = query.split("&") if query else []
    named = [option for option in options if option.startswith("run=")]
    kept = "&".join(option for option in options if option not in named)
    run = unquote(named[-1].removeprefix("run=")) if named else None
    return (f"{address}?{kept}" if kept else address), run


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


def known(facts: Facts) -> dict[str, Any]:
    """Return facts as they were given; a name that no session has raises `TypeError`."""
    if unknown := facts.keys() - FACTS:
        raise TypeError(f"a session has no {', '.join(sorted(unknown))}")
    return dict(facts)


class Session(Protocol):
    """One run's hold on its journal.

    Every method raises `JournalWriteError` once a write has failed, `JournalCorruptError` where
    the file is damaged, and `JournalError` in a forked child, which has no part in the run.
    """

    @property
    def number(self) -> int:
        """1 for the journal's first session."""
        ...

    @property
    def resumed(self) -> bool:
        """Whether there were sessions before."""
        ...

    @property
    def before(self) -> Mapping[str, int]:
        """Pairs by state, as earlier sessions left them; states without pairs are missing."""
        ...

    @property
    def input_ended(self) -> bool:
        """Whether an earlier session read its input to the end."""
        ...

    def watch(self, recall: Callable[[], None]) -> None:
        """Have a function called when another may have taken the journal over meanwhile.

        It must keep requests under way from being sent again. The next write shows whether the
        journal is lost.
        """
        ...

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """Keep which workspace a key stands for, in a run over many.

        Raises:
            JournalMismatchError: it stood for another one.
        """
        ...

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """Return the rows of some pairs, in their order; None for a new one.

        Rows that `write` got before are among them, committed or not.
        """
        ...

    async def plan(self, rows: Sequence[Row]) -> list[Row | None]:
        """Keep the rows of new pairs, and return, in order, None for those and the others' rows.

        The new rows are on the disk when it returns.
        """
        ...

    async def workspaces(self) -> list[str]:
        """Return the workspaces in which earlier sessions left unsettled pairs."""
        ...

    async def write(self, row: Row) -> None:
        """Keep a row in place of the pair's earlier one; return when it is on the disk.

        A temporary journal returns at once. The row is written even if the caller is cancelled
        meanwhile.
        """
        ...

    def record(self, row: Row, done: Callable[[JournalError | None], None]) -> None:
        """Keep a row like `write`, and call back when it is on the disk, or cannot be.

        The row may wait some milliseconds for others. A temporary journal calls back at once.
        """
        ...

    async def hold(self) -> None:
        """Return as long as nobody else can have taken over the announced pairs.

        To be awaited before a request is sent again. It asks the database where that is unsure.

        Raises:
            JournalLostError: another has it.
        """
        ...

    async def room(self) -> None:
        """Wait while too many rows are waiting for a temporary journal."""
        ...

    async def rows(
        self, wanted: Wanted, *, after: Row | None, limit: int = 1000, workspace: str = ""
    ) -> list[Row]:
        """Return a workspace's next rows behind `after`, in the order of the ids."""
        ...

    async def end_input(self) -> None:
        """Keep that the input was read to its end."""
        ...

    async def note(self, **facts: Unpack[Facts]) -> None:
        """Write the session's numbers, at most once a second; a call in between does nothing."""
        ...

    async def close(self, **facts: Unpack[Facts]) -> None:
        """Write the rows that wait, then the session's numbers, and let go of the file.

        A cancelled call does so too, before it raises. Closing again does nothing.
        """
        ...


class Journal:
    """Where a run keeps its rows.

    Args:
        path: the file, created if need be; a `postgresql://` URL; None for a private temporary
            database.
        source: where this run's pairs come from.
        run: the run's name in PostgreSQL; or in the URL, as `?run=cleanup-7`.
        workspace: key of the workspace, in PostgreSQL; "" in a run of one client. Each workspace
            of a run has one owner at a time, and they may be many machines.
        prepare: whether PostgreSQL may prepare statements; False behind a pooler that does not
            support that.

    Raises:
        InvalidArgumentError: `run` is missing beside a URL, or given beside a file.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None,
        *,
        source: Source | None = None,
        run: str | None = None,
        workspace: str = "",
        prepare: bool = True,
    ) -> None:
        self.path = None if path is None else fspath(path)
        self.source = source
        if self.path is not None and self.path.startswith(URLS):
            self.path, named = split_url(self.path)
            run = run or named
            if not run:
                raise InvalidArgumentError("run", run, "the run's name: PostgreSQL holds many")
        elif run is not None or workspace:
            raise InvalidArgumentError("run", run, "left out: a file holds one run")
        self.run = run
        self.workspace = workspace
        self._prepare = prepare

    async def open(self, binding: Binding, *, runtime: Runtime = SYSTEM) -> Session:
        """Begin a session: create the journal, or go on with it.

        Raises:
            JournalError: of any kind; a journal that was there was not changed.
        """
        if self.path is not None and self.run is not None:
            with needing_psycopg():
                from intercom_async.journal import postgres, postgres_connection  # noqa: PLC0415
            link = postgres_connection.Link(
                self.path, self.run, self.workspace, runtime, prepare=self._prepare
            )
            return await postgres.open_session(link, binding, self.source)
        from intercom_async.journal import sqlite  # noqa: PLC0415  loads SQLite

        return await sqlite.open_session(self.path, binding, self.source, runtime)


@contextlib.contextmanager
def needing_psycopg() -> Generator[None]:
    """Turn a failed import into an error that names the extra."""
    try:
        yield
    except ImportError as error:
        raise JournalError(
            URLS[0],
            "a journal in PostgreSQL needs psycopg: "
            f"pip install 'intercom_async[postgres]' ({error})",
        ) from error
