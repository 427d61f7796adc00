"""A session in PostgreSQL: one task that writes what has collected, and the coroutines before it.

A workspace of a run has one owner, by a lease with a fence: whoever takes it over makes the fence
grow, and each statement that writes checks the fence and renews the lease. The fence guards the
tables. Requests to Intercom are guarded by the clock: `write` returns only while the lease surely
holds, and `watch` calls what is under way back when that is no longer sure.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Unpack

import attrs
import msgspec
import psycopg

from intercom_async.detaching import Detach
from intercom_async.journal import postgres_sql as sql
from intercom_async.journal.errors import (
    JournalError,
    JournalLostError,
    JournalMismatchError,
    again,
)
from intercom_async.journal.journal import Facts, Wanted, known
from intercom_async.journal.outlasting import outlast
from intercom_async.journal.postgres_connection import (
    Connection,
    Link,
    ensure_schema,
    error_from,
    name_of,
)
from intercom_async.journal.postgres_opening import Kept, compare, facts_of, own, storable
from intercom_async.journal.row import Binding, Row, Source
from intercom_async.transport.runtime import Runtime, TimerHandle

LEASE: Final = 30.0
"""Seconds for which a workspace is owned after each statement."""

MOST: Final = 1000
"""Rows of one statement at most."""

HURRY: Final = 0.001
"""Seconds for which calls collect."""

NOTE_EVERY: Final = 1.0
COUNT_EVERY: Final = 50.0
"""Pairs are counted every two seconds, or more seldom: counting takes a fiftieth of the time."""

_Parameters = dict[str, Any]
_Done = Callable[[JournalError | None], None]
_values = attrgetter(*sql.COLUMNS[:-2])

ONE_WORKSPACE: Final = (
    "a journal in PostgreSQL takes one workspace a session; hand many over with "
    "intercom_async.integrations.procrastinate"
)


@attrs.define(eq=False)
class _Call:
    """Something to do: to write a row, or else any work with a connection."""

    row: _Parameters | None = None
    work: Callable[[Connection], Awaitable[Any]] | None = None
    answer: asyncio.Future[Any] | None = None
    done: _Done | None = None

    def tell(self, result: Any, error: BaseException | None) -> None:
        """Tell whoever waits what came of it."""
        if isinstance(error, JournalError):
            error = again(error)
        if self.done is not None:
            self.done(error if isinstance(error, JournalError) else None)
        elif self.answer is None or self.answer.done():  # cancelled: nobody waits
            pass
        elif error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


class PostgresSession:
    """See `Session`."""

    def __init__(
        self,
        link: "Link",
        keys: _Parameters,
        kept: Kept,
        binding: Binding,
        held_from: float,
    ) -> None:
        self.number = kept.number
        self.resumed = kept.number > 1 or bool(kept.counts)
        self.before = kept.counts
        self.input_ended = kept.input_ended
        self._link = link
        self._name = link.name
        self._runtime = link.runtime
        self._keys = {**keys, "fence": kept.fence, "lease": LEASE, "session": kept.number}
        self._workspace: str = keys["workspace"]
        self._binding = binding
        self._process = os.getpid()
        self._failure: JournalError | None = None
        self._closing: asyncio.Future[None] | None = None
        self._noted = self._counted = self._runtime.monotonic()
        self._waiting: list[_Call] = []
        self._wake = asyncio.Event()
        self._recall: Callable[[], None] | None = None
        self._sure = True
        self._timer: TimerHandle | None = None
        self._held(held_from)
        self._writer = asyncio.create_task(self._serve())

    # --- the lease -----------------------------------------------------------------------------

    def _held(self, since: float) -> None:
        """The lease was renewed by a statement that began at some moment."""
        self._until = since + 0.8 * LEASE
        self._renew_at = since + LEASE / 3
        self._sure = True

    def watch(self, recall: Callable[[], None]) -> None:
        """See `Session`."""
        self._recall = recall
        self._look()

    def _look(self) -> None:
        """Call requests back when another may own the workspace by now.

        After a freeze this timer runs before any task that slept: what waited to send a request
        again does not.
        """
        if self._sure and self._runtime.monotonic() >= self._until and self._recall is not None:
            self._sure = False
            self._recall()
        if self._closing is None:
            self._timer = self._runtime.call_later(LEASE / 30, self._look)

    # --- the one task that uses the connection ---------------------------------------------------

    async def _serve(self) -> None:
        """Work off what collects, until the session is closed.

        Whoever ends a program cancels all of its tasks. This one goes on, as long as others have
        something to write.
        """
        while self._waiting or self._closing is None or not self._closing.done():
            try:
                calls = await self._collected()
            except TimeoutError:
                if self._link.cancelled:
                    return
                calls = [_Call(work=self._renew)]
            except asyncio.CancelledError:
                self._link.go_on()
                continue
            await self._turn(calls)
            if self._runtime.monotonic() >= self._renew_at:  # nothing was written for long
                await self._turn([_Call(work=self._renew)])

    async def _collected(self) -> list[_Call]:
        if not self._waiting:
            self._wake.clear()
            async with asyncio.timeout(1.0 if self._link.cancelled else LEASE / 3):
                await self._wake.wait()
        await asyncio.sleep(HURRY)
        calls, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        return calls

    async def _turn(self, calls: Sequence[_Call]) -> None:
        """Work calls off, rows first."""
        rows = [call for call in calls if call.row is not None]
        if rows:
            result, error = await self._attempt(lambda one: self._write(one, rows))
            for call in rows:
                call.tell(result, error)
        for call in calls:
            if call.work is not None:
                call.tell(*await self._attempt(call.work))

    async def _attempt(
        self, work: Callable[[Connection], Awaitable[Any]]
    ) -> tuple[Any, BaseException | None]:
        if self._failure is not None:
            return None, self._failure
        try:
            return await self._link.carry_out(work), None
        except JournalMismatchError as error:
            return None, error
        except JournalError as error:
            self._failure = self._failure or error
            return None, error
        except Exception as error:  # noqa: BLE001  told to whoever waits
            return None, error

    async def _write(self, connection: Connection, calls: Sequence[_Call]) -> None:
        """Keep rows: all or none; of two of one pair, the later."""
        given = [call.row for call in calls if call.row is not None]
        latest = {(row["conversation_id"], row["contact_id"]): row for row in given}
        rows = [latest[key] for key in sorted(latest)]
        await self._change(connection, sql.WRITE, len(rows), rows=_as_json(rows))

    async def _renew(self, connection: Connection) -> None:
        await self._change(connection, sql.RENEW, 1)

    async def _change(
        self, connection: Connection, statement: bytes, expected: int, **facts: Any
    ) -> None:
        """Run a statement that checks and renews the lease.

        Raises:
            JournalLostError: another owns the workspace; nothing was changed.
        """
        began = self._runtime.monotonic()
        cursor = await connection.execute(statement, {**self._keys, **facts})
        if cursor.rowcount != expected:
            self._failure = JournalLostError(self._name)
            raise self._failure
        self._held(began)

    # --- see `Session` ---------------------------------------------------------------------------

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise JournalError(
                self._name, f"the journal {self._name} belongs to this process's parent"
            )
        if self._closing is not None:
            raise JournalError(self._name, f"the journal {self._name} is closed")

    def _check_workspace(self, workspace: str) -> None:
        if workspace not in {"", self._workspace}:
            raise JournalError(
                self._name,
                f"a journal in PostgreSQL is open for one workspace, {self._workspace!r}, and was "
                f"asked about {workspace!r}; open one for each: Journal(..., workspace=...)",
            )

    def _submit(self, call: _Call) -> None:
        if self._writer.done():
            call.tell(None, JournalError(self._name, f"the journal {self._name} was abandoned"))
            return
        self._waiting.append(call)
        self._wake.set()

    async def _ask(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        self._check()
        answer = asyncio.get_running_loop().create_future()
        self._submit(_Call(work=work, answer=answer))
        return await answer

    def _checked(self, row: Row) -> _Parameters:
        self._check()
        self._check_workspace(row.workspace)
        if self._failure is not None:
            raise again(self._failure)
        values = (*_values(row), self.number, round(self._runtime.wall(), 3))
        return dict(zip(sql.COLUMNS, values, strict=True))

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """See `Session`."""
        self._check()
        self._check_workspace(workspace)
        now = attrs.evolve(self._binding, app_id=app_id, app_name=app_name)

        async def work(connection: Connection) -> None:
            facts = {**self._keys, "app_id": app_id, "app_name": storable(app_name)}
            found = await (await connection.execute(sql.BIND, facts)).fetchone()
            if found is None:
                raise JournalLostError(self._name)
            kept = attrs.evolve(now, app_id=found[0], app_name=found[1])
            compare(self._name, kept, now)

        await self._ask(work)

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """See `Session`."""
        self._check()
        self._check_workspace(workspace)
        facts = {
            "conversations": [pair.conversation_id for pair in pairs],
            "contacts": [pair.contact_id for pair in pairs],
        }

        async def work(connection: Connection) -> list[Row | None]:
            found: list[Row | None] = [None] * len(pairs)
            cursor = await connection.execute(sql.LOOK_UP, {**self._keys, **facts})
            for place, *values in await cursor.fetchall():
                found[place - 1] = self._row(values)
            return found

        rows: list[Row | None] = await self._ask(work)
        return rows

    def _row(self, values: Sequence[Any]) -> Row:
        return Row(workspace=self._workspace, **dict(zip(sql.COLUMNS, values, strict=True)))

    async def write(self, row: Row) -> None:
        """See `Session`. Returns only while the workspace is surely owned."""
        values = self._checked(row)
        while True:
            answer = asyncio.get_running_loop().create_future()
            self._submit(_Call(row=values, answer=answer))
            await answer
            if self._runtime.monotonic() < self._until:
                return

    def record(self, row: Row, done: _Done) -> None:
        """See `Session`."""
        try:
            values = self._checked(row)
        except JournalError as error:
            done(error)
        else:
            self._submit(_Call(row=values, done=done))

    async def room(self) -> None:
        """See `Session`."""

    async def plan(self, rows: Sequence[Row]) -> list[Row | None]:
        """Raise: pairs of many workspaces come into PostgreSQL by `submit`."""
        del rows
        raise JournalError(self._name, ONE_WORKSPACE)

    async def workspaces(self) -> list[str]:
        """Raise: a session here is one workspace's."""
        raise JournalError(self._name, ONE_WORKSPACE)

    async def rows(
        self, wanted: Wanted, *, after: Row | None, limit: int = 1000, workspace: str = ""
    ) -> list[Row]:
        """See `Session`; the workspace is the session's own."""
        del workspace
        facts = {
            "conversation": "" if after is None else after.conversation_id,
            "contact": "" if after is None else after.contact_id,
            "limit": limit,
        }

        async def work(connection: Connection) -> list[Row]:
            cursor = await connection.execute(sql.PAGES[wanted], {**self._keys, **facts})
            return [self._row(values) for values in await cursor.fetchall()]

        rows: list[Row] = await self._ask(work)
        return rows

    async def end_input(self) -> None:
        """See `Session`."""
        await self._ask(lambda one: self._update(one, {"input_ended": True}))

    async def note(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        self._check()
        now = self._runtime.monotonic()
        if now - self._noted < NOTE_EVERY:
            return
        self._noted = now
        numbers = known(facts)
        await self._ask(lambda one: self._update(one, numbers))
        if now >= self._counted:
            await self._ask(self._count)

    async def _count(self, connection: Connection) -> None:
        began = self._runtime.monotonic()
        await self._change(connection, sql.COUNT, 1)
        ended = self._runtime.monotonic()
        self._counted = ended + max(2.0, COUNT_EVERY * (ended - began))

    async def _update(self, connection: Connection, facts: _Parameters) -> None:
        if facts:
            stored = {name: storable(value) for name, value in facts.items()}
            await self._change(connection, sql.update_session(list(facts)), 1, **stored)

    async def close(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        if os.getpid() != self._process:
            return
        if self._closing is not None:
            await outlast(self._closing)
            return
        ended = {**known(facts), "ended_at": round(self._runtime.wall(), 3)}

        async def work(connection: Connection) -> None:
            await self._update(connection, ended)
            await self._change(connection, sql.COUNT, 1)
            await connection.execute(sql.LET_GO, self._keys)

        self._closing = asyncio.get_running_loop().create_future()
        failed = self._failure is not None
        self._submit(_Call(work=work, answer=self._closing))
        if self._timer is not None:
            self._timer.cancel()
        try:
            await outlast(self._closing)
        finally:
            await outlast(self._writer)
            await self._link.drop()
        if not failed:
            self._closing.result()
        self._closing.exception()


def _as_json(rows: Sequence[_Parameters]) -> str:
    try:
        text = msgspec.json.encode(rows)
    except UnicodeEncodeError:
        text = b"\\u0000"
    if b"\\u0000" in text:
        stored = [{name: storable(value) for name, value in row.items()} for row in rows]
        text = msgspec.json.encode(stored)
    return text.decode()


async def open_session(
    url: str,
    keys: dict[str, str],
    binding: Binding,
    source: Source | None,
    runtime: Runtime,
    *,
    prepare: bool,
) -> PostgresSession:
    """See `Journal.open`; a cancelled caller leaves no lease behind."""
    link = Link(url, name_of(url, **keys), runtime, prepare=prepare)
    opening = asyncio.create_task(_open(link, keys, binding, source))
    try:
        await outlast(opening)
    except asyncio.CancelledError:
        if not opening.cancelled() and opening.exception() is None:
            await opening.result().close()
        raise
    return opening.result()


async def _open(
    link: Link, keys: dict[str, str], binding: Binding, source: Source | None
) -> PostgresSession:
    try:
        connection = await link.connection()
        await ensure_schema(connection, link.name)
        began = link.runtime.monotonic()
        facts = {
            **keys,
            **facts_of(binding, source),
            "lease": LEASE,
            "now": round(link.runtime.wall(), 3),
        }
        kept = await own(connection, link.name, facts, binding)
    except (psycopg.Error, OSError) as error:
        await link.drop()
        raise error_from(link.name, error, "nothing was sent") from error
    except BaseException:
        await link.drop()
        raise
    return PostgresSession(link, keys, kept, binding, began)
