"""Loads pairs into runs in PostgreSQL; watches, pauses and cancels the runs.

The lease by which a worker owns a workspace is in `postgres`.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, Final, TypeVar

import attrs

from intercom_async.journal import postgres_connection as database
from intercom_async.journal.errors import unusable
from intercom_async.journal.postgres_connection import Connection, execute
from intercom_async.journal.row import Source
from intercom_async.runtime import SYSTEM

CHUNK: Final = 50_000
"""Pairs that are committed at once while a run is loaded."""

Loaded = tuple[str, str, str, str | None]
"""Workspace, conversation, contact and admin."""

_STAGE: Final = """
    CREATE TEMPORARY TABLE intercom_staged (
        workspace text COLLATE "C", conversation_id text COLLATE "C", contact_id text COLLATE "C",
        admin_id text) ON COMMIT DROP
"""
_LOAD_WORKSPACES: Final = """
    INSERT INTO intercom_workspace AS kept (run, workspace, loaded)
    SELECT DISTINCT %(run)s, workspace, 1 FROM intercom_staged ORDER BY workspace
    ON CONFLICT (run, workspace) DO UPDATE SET loaded = kept.loaded + 1, stopped_by = NULL
"""
_LOAD_PAIRS: Final = """
    INSERT INTO intercom_pair (run, workspace, conversation_id, contact_id, admin_id, state,
        session, updated_at)
    SELECT DISTINCT ON (workspace, conversation_id, contact_id)
        %(run)s, workspace, conversation_id, contact_id, admin_id, 'pending', %(session)s, %(now)s
    FROM intercom_staged ORDER BY workspace, conversation_id, contact_id
    ON CONFLICT DO NOTHING
"""
_OWNED: Final = """
    EXISTS (SELECT FROM intercom_session AS owner WHERE owner.run = kept.run
        AND owner.number = kept.session AND owner.expires_at > clock_timestamp())
"""
_STATUS: Final = f"""
    SELECT (SELECT state FROM intercom_run WHERE run = %(run)s),
        count(*), count(*) FILTER (WHERE drained = loaded AND NOT owned),
        count(*) FILTER (WHERE owned),
        coalesce(jsonb_object_agg(workspace, stopped_by) FILTER (WHERE stopped_by IS NOT NULL),
            '{{}}'),
        coalesce((SELECT jsonb_object_agg(state, pairs) FROM (
            SELECT state, sum(pairs) AS pairs FROM intercom_count WHERE run = %(run)s
            GROUP BY state HAVING sum(pairs) > 0) AS c), '{{}}')
    FROM (SELECT *, {_OWNED} AS owned FROM intercom_workspace AS kept WHERE run = %(run)s
        AND (run, workspace) IN (SELECT run, workspace FROM intercom_count)) AS kept
"""
_WAITING: Final = f"""
    SELECT run, workspace FROM intercom_workspace AS kept JOIN intercom_run USING (run)
    WHERE drained < loaded AND state = 'open' AND NOT {_OWNED} ORDER BY run, workspace
"""
_LOADED: Final = """
    SELECT loaded FROM intercom_workspace JOIN intercom_run USING (run)
    WHERE run = %(run)s AND workspace = %(workspace)s AND state = 'open' AND drained < loaded
"""
_DRAINED: Final = """
    UPDATE intercom_workspace
    SET drained = greatest(drained, %(loaded)s), stopped_by = %(stopped_by)s
    WHERE run = %(run)s AND workspace = %(workspace)s RETURNING 1
"""

_Result = TypeVar("_Result")


@attrs.frozen
class RunStatus:
    """A run in numbers.

    Attributes:
        state: "open", "paused" or "cancelled"; None if there is no such run.
        workspaces: how many it has.
        drained: those whose pairs were all tried.
        in_work: those that a worker owns now.
        stopped: those that no worker can work on, and why.
        counts: pairs by state.
    """

    state: str | None
    workspaces: int
    drained: int
    in_work: int
    stopped: dict[str, str]
    counts: dict[str, int]


class Runs:
    """The runs of the database at `url`."""

    def __init__(self, url: str) -> None:
        database.parts_of(url)  # first, because an engine would log a URL that it cannot read
        self._url = url

    async def _do(self, work: Callable[[Connection], _Result], run: str = "*") -> _Result:
        return await asyncio.to_thread(self._connected, work, run)

    def _connected(self, work: Callable[[Connection], _Result], run: str) -> _Result:
        name = database.name_of(self._url, run)
        try:
            with database.connect(self._url) as connection:
                database.ensure_schema(connection, name)
                return work(connection)
        except database.Error as error:
            raise unusable(name, error, "nothing was lost: do it again") from error

    async def _fetch(self, statement: str, run: str = "*", **facts: Any) -> list[tuple[Any, ...]]:
        facts["run"] = run
        return await self._do(lambda one: execute(one, statement, facts).fetchall(), run)

    async def load(self, run: str, operation: str, pairs: AsyncIterable[Loaded]) -> int:
        """Put pairs into a run unless they are in it, 50,000 at once; return how many were new.

        Pairs that were loaded before a crash stay; loading the same again changes nothing.

        Raises:
            JournalMismatchError: the run has another operation.
            JournalError: the database cannot be used.
        """
        facts: dict[str, Any] = {"run": run, "operation": operation, "lease": 0.0}
        facts["now"] = SYSTEM.wall()

        def begin(connection: Connection) -> None:
            facts["session"] = database.count_session(
                connection, database.name_of(self._url, run), facts
            )
            database.begin_session(connection, Source(kind="submit"), facts)

        await self._do(begin, run)
        new = 0
        chunk: list[Loaded] = []
        async for pair in pairs:
            chunk.append(pair)
            if len(chunk) == CHUNK:
                new += await self._load(facts, chunk)
                chunk = []
        new += await self._load(facts, chunk)
        await self._do(lambda one: _end_loading(one, {**facts, "now": SYSTEM.wall()}), run)
        return new

    async def _load(self, facts: Mapping[str, Any], chunk: list[Loaded]) -> int:
        def work(connection: Connection) -> int:
            with connection.transaction():
                execute(connection, _STAGE)
                with (
                    connection.cursor() as cursor,
                    cursor.copy("COPY intercom_staged FROM STDIN") as copy,
                ):
                    for pair in chunk:
                        copy.write_row(pair)
                # Workspaces first, in order: two loads at once then wait, and do not deadlock.
                execute(connection, _LOAD_WORKSPACES, facts)
                return execute(connection, _LOAD_PAIRS, facts).rowcount

        return await self._do(work, facts["run"])

    async def status(self, run: str) -> RunStatus:
        """Return a run in numbers: one query over its workspaces."""
        (found,) = await self._fetch(_STATUS, run)
        return RunStatus(*found)

    async def set_state(self, run: str, state: str) -> bool:
        """Make a run "open", "paused" or "cancelled"; return whether there is one."""
        statement = "UPDATE intercom_run SET state = %(state)s WHERE run = %(run)s RETURNING 1"
        return bool(await self._fetch(statement, run, state=state))

    async def not_open(self) -> set[str]:
        """Return the runs that no worker may work on."""
        found = await self._fetch("SELECT run FROM intercom_run WHERE state <> 'open'")
        return {run for (run,) in found}

    async def begun(self, run: str, workspace: str) -> int | None:
        """Return the number to give to `ended`; None if nothing is left or the run is not open."""
        found = await self._fetch(_LOADED, run, workspace=workspace)
        return int(found[0][0]) if found else None

    async def ended(self, run: str, workspace: str, loaded: int, stopped_by: str | None) -> None:
        """Note that all pairs loaded before `begun` were tried, or why they cannot be."""
        await self._fetch(_DRAINED, run, workspace=workspace, loaded=loaded, stopped_by=stopped_by)

    async def waiting(self) -> list[tuple[str, str]]:
        """Return runs and workspaces that have pairs left and no owner."""
        return [(run, workspace) for run, workspace in await self._fetch(_WAITING)]


def _end_loading(connection: Connection, facts: Mapping[str, Any]) -> None:
    statement = """
        UPDATE intercom_session SET input_ended = true, ended_at = %(now)s,
            expires_at = '-infinity'
        WHERE run = %(run)s AND number = %(session)s
    """
    execute(connection, statement, facts)
    # Without it the planner knows nothing of what was loaded.
    connection.execute("ANALYZE intercom_pair, intercom_workspace, intercom_count")
