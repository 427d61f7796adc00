"""Runs in PostgreSQL from outside: pairs are loaded, runs are watched, paused and cancelled."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, Final

import attrs
import psycopg

from intercom_async.journal import postgres_sql as sql
from intercom_async.journal.postgres import begin
from intercom_async.journal.postgres_connection import (
    Connection,
    connect,
    ensure_schema,
    error_from,
    name_of,
    parts_of,
)
from intercom_async.journal.row import Binding, Source
from intercom_async.runtime import SYSTEM

CHUNK: Final = 50_000
"""Pairs that are committed at once while a run is loaded."""

Loaded = tuple[str, str, str, str | None]
"""Workspace, conversation, contact and admin."""


@attrs.frozen
class RunStatus:
    """A run in numbers.

    Attributes:
        state: "open", "paused" or "cancelled"; None if there is no such run.
        workspaces: how many it has.
        drained: those that were worked off.
        in_work: those that a worker owns now.
        stopped: those that no worker can work off, and why.
        counts: pairs by state.
    """

    state: str | None
    workspaces: int
    drained: int
    in_work: int
    stopped: dict[str, str]
    counts: dict[str, int]


class Runs:
    """The runs of the database at `url`; see `Journal` for `prepare`."""

    def __init__(self, url: str, *, prepare: bool = True) -> None:
        parts_of(url)  # now, before an engine puts what it cannot read of it into its log
        self.url = url
        self._prepare = prepare
        self._made = False

    @contextlib.asynccontextmanager
    async def _connected(self, run: str = "*") -> AsyncGenerator[Connection]:
        name = name_of(self.url, run, "")
        try:
            async with await connect(self.url, prepare=self._prepare) as connection:
                if not self._made:
                    await ensure_schema(connection, name)
                    self._made = True
                yield connection
        except psycopg.Error as error:
            raise error_from(name, error, "nothing was lost: do it again") from error

    async def load(self, run: str, operation: str, pairs: AsyncIterable[Loaded]) -> int:
        """Put pairs into a run that are not in there, 50,000 at once; return how many were new.

        Pairs that were loaded before a crash stay; loading the same again changes nothing.

        Raises:
            JournalMismatchError: the run has another operation.
            JournalError: the database cannot be used.
        """
        new = 0
        facts: dict[str, Any] = {"run": run, "lease": 0.0, "now": SYSTEM.wall()}
        async with self._connected(run) as connection:
            binding, source = Binding(operation=operation, base_url=""), Source(kind="submit")
            facts |= await begin(connection, name_of(self.url, run, ""), facts, binding, source)
            await connection.execute(sql.BEGIN_SESSION, facts)
            chunk: list[Loaded] = []
            async for pair in pairs:
                chunk.append(pair)
                if len(chunk) == CHUNK:
                    new += await _load(connection, facts, chunk)
                    chunk.clear()
            new += await _load(connection, facts, chunk)
            facts |= {"input_ended": True, "ended_at": SYSTEM.wall()}
            await connection.execute(sql.end_session(["input_ended", "ended_at"]), facts)
            await connection.execute(sql.ANALYZE, prepare=False)
        return new

    async def status(self, run: str) -> RunStatus:
        """Return a run in numbers: one query over its workspaces."""
        async with self._connected(run) as connection:
            found = await (await connection.execute(sql.STATUS, {"run": run})).fetchone()
        assert found is not None  # noqa: S101  an aggregate has a row
        return RunStatus(*found)

    async def set_state(self, run: str, state: str) -> bool:
        """Make a run "open", "paused" or "cancelled"; return whether there is one."""
        async with self._connected(run) as connection:
            cursor = await connection.execute(sql.SET_STATE, {"run": run, "state": state})
            return cursor.rowcount == 1

    async def not_open(self) -> set[str]:
        """Return the runs that nobody may work on."""
        async with self._connected() as connection:
            found = await (await connection.execute(sql.NOT_OPEN)).fetchall()
        return {run for (run,) in found}

    async def begun(self, run: str, workspace: str) -> int | None:
        """Return the number to give to `ended`; None if the run may not be worked on."""
        async with self._connected(run) as connection:
            facts = {"run": run, "workspace": workspace}
            found = await (await connection.execute(sql.LOADED, facts)).fetchone()
        return None if found is None else int(found[0])

    async def ended(self, run: str, workspace: str, loaded: int, stopped_by: str | None) -> None:
        """Note that all pairs loaded before `begun` were worked off, or why they cannot be."""
        facts: dict[str, Any] = {"run": run, "workspace": workspace, "loaded": loaded}
        async with self._connected(run) as connection:
            await connection.execute(sql.DRAINED, {**facts, "stopped_by": stopped_by})

    async def waiting(self) -> list[tuple[str, str]]:
        """Return runs and workspaces with pairs to work off, and no owner."""
        async with self._connected() as connection:
            cursor = await connection.execute(sql.WAITING)
            return [(run, workspace) for run, workspace in await cursor.fetchall()]


async def _load(connection: Connection, facts: dict[str, Any], chunk: list[Loaded]) -> int:
    async with connection.transaction():
        await connection.execute(sql.STAGE)
        async with connection.cursor() as cursor, cursor.copy(sql.COPY) as copy:
            for pair in chunk:
                await copy.write_row(pair)
        # Workspaces first, in order: so that two that load at once wait and do not deadlock.
        await connection.execute(sql.LOAD_WORKSPACES, facts)
        found = await (await connection.execute(sql.LOAD_PAIRS, facts)).fetchone()
    return 0 if found is None else int(found[0])
