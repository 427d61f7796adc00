"""Connections to PostgreSQL: made, made again after an outage, and errors in our words."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from intercom_async.errors import InvalidArgumentError, readable
from intercom_async.journal import postgres_sql as sql
from intercom_async.journal.errors import JournalError, JournalWriteError
from intercom_async.journal.row import storable_text
from intercom_async.runtime import Runtime

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

PATIENCE: Final = 300.0
"""Seconds that the database may be away before the run fails."""

HUNG: Final = 60.0
"""Seconds after which a statement without an answer counts as an outage."""

SAFE: Final = "every result so far is safe in it. Resume when it can be: nothing is done twice"

_PASSING: Final = ("08", "40", "53", "57")
"""Classes of errors that pass: connection, conflict, resources, shutdown."""

_READ_ONLY: Final = "25006"
"""After a failover: this server is not the one to write to any more."""

_DEFAULTS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "intercom_async",
}


def parts_of(url: str) -> dict[str, Any]:
    """Return what a URL says; psycopg's own words about a wrong one may quote its password.

    Raises:
        InvalidArgumentError: it cannot be read.
    """
    with contextlib.suppress(psycopg.ProgrammingError):
        return conninfo_to_dict(url)
    raise InvalidArgumentError(
        "journal", None, "a postgresql:// URL with options of libpq's, special characters as %40"
    )


def name_of(url: str, run: str, workspace: str) -> str:
    """Name a run for messages; the URL may hold a password."""
    facts = parts_of(url)
    place = f"{facts.get('host') or 'local'}/{facts.get('dbname') or ''}"
    return f"postgresql://{place} (run {run}{f', workspace {workspace}' if workspace else ''})"


def storable(value: Any) -> Any:
    """Escape what no text in PostgreSQL may hold."""
    value = storable_text(value)
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


def connecting(url: str) -> dict[str, Any]:
    """Return our defaults for a connection, except those that the URL sets."""
    asked = parts_of(url)
    return {name: value for name, value in _DEFAULTS.items() if name not in asked}


async def connect(url: str, *, prepare: bool = True) -> Connection:
    """Connect; every statement commits by itself, and is prepared unless a pooler forbids it.

    Raises:
        psycopg.Error: it cannot be reached.
    """
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, **connecting(url))
    connection.prepare_threshold = 5 if prepare else None
    return connection


def passes(error: BaseException) -> bool:
    """Whether an error says that the database is away for a while."""
    if isinstance(error, TimeoutError | OSError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate == _READ_ONLY or error.sqlstate[:2] in _PASSING


def error_from(name: str, error: BaseException, what: str) -> JournalError:
    """Say what happened, and `what` is safe."""
    made = JournalWriteError(
        name, f"the journal {name} cannot be used ({readable(str(error))}); {what}", errno=None
    )
    made.__cause__ = error.with_traceback(None)
    return made


async def ensure_schema(connection: Connection, name: str) -> None:
    """Create our tables if there are none.

    Raises:
        JournalError: a newer version of this library made them.
    """
    if not await _exists(connection):
        async with connection.transaction():
            await connection.execute(sql.SHORTLY)
            await connection.execute(sql.LOCK_SCHEMA)
            if not await _exists(connection):
                text = resources.files("intercom_async.journal").joinpath("postgres.sql")
                await connection.execute(text.read_bytes(), prepare=False)
                await connection.execute(b"INSERT INTO intercom_schema VALUES (%s)", [sql.VERSION])
    found = await (await connection.execute(sql.SCHEMA_VERSION)).fetchone()
    version = 0 if found is None else found[0]
    if version > sql.VERSION:
        raise JournalError(
            name,
            f"the tables of {name} were made by a newer version of this library (their schema is "
            f"{version}, this one knows {sql.VERSION}); update intercom_async",
        )


async def _exists(connection: Connection) -> bool:
    found = await (await connection.execute(sql.SCHEMA)).fetchone()
    return found is not None and bool(found[0])


class Link:
    """A connection that is made again after an outage."""

    def __init__(
        self, url: str, run: str, workspace: str, runtime: Runtime, *, prepare: bool
    ) -> None:
        self.name = name_of(url, run, workspace)
        self.runtime = runtime
        self.run = run
        self.workspace = workspace
        self._url = url
        self._prepare = prepare
        self._connection: Connection | None = None
        self.cancelled = False

    def go_on(self) -> None:
        """Go on although this task was cancelled."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        task.uncancel()
        self.cancelled = True

    async def connection(self) -> Connection:
        """Return the connection, a new one if need be."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._url, prepare=self._prepare)
        return self._connection

    async def drop(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def carry_out(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        """Do something, and again after an outage, so `work` must bear to be done twice.

        Raises:
            JournalError: the database refuses, or is away for longer than the patience.
        """
        since: float | None = None
        pause = 0.05
        while True:
            try:
                async with asyncio.timeout(HUNG):
                    return await work(await self.connection())
            except (psycopg.Error, TimeoutError, OSError) as error:
                now = self.runtime.monotonic()
                since = now if since is None else since
                if not passes(error) or now - since > PATIENCE:
                    raise error_from(self.name, error, SAFE) from error
                await self.drop()
            except asyncio.CancelledError:
                self.go_on()
                await self.drop()
                continue
            with contextlib.suppress(asyncio.CancelledError):
                await self.runtime.sleep(pause)
            pause = min(2.0, 2 * pause)
