"""A session in PostgreSQL: one task writes the rows that have collected; coroutines wait for it.

A workspace of a run has one owner, by the lease of a session (see `postgres_sql`). The lease guards
the tables. The clock guards the requests to Intercom: `write` and `hold` return only while the
lease surely holds, and `watch` calls back requests under way when that is no longer sure.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

import attrs
import msgspec
import psycopg

from intercom_async._version import __version__
from intercom_async.detaching import Detach
from intercom_async.journal import postgres_sql as sql
from intercom_async.journal.calls import Call, Done, sift
from intercom_async.journal.errors import (
    JournalError,
    JournalLockedError,
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
    storable,
)
from intercom_async.journal.row import Binding, Row, Source

if TYPE_CHECKING:
    from intercom_async.runtime import TimerHandle

LEASE: Final = 30.0
"""Seconds for which a session's workspaces are owned after each statement."""

MOST: Final = 1000
"""Rows of one statement at most."""

HURRY: Final = 0.001
"""Seconds for which calls collect."""

NOTE_EVERY: Final = 1.0

_Facts = dict[str, Any]
_Work = Callable[[Connection], Awaitable[Any]]
_Result = TypeVar("_Result")
_Call = Call[_Facts, _Work]
_values = attrgetter(*sql.COLUMNS[:-2])


class PostgresSession:
    """See `Session`. Any number of a run's workspaces: each is taken over when it is first used."""

    def __init__(self, link: Link) -> None:
        self.number = 0
        self.resumed = self.input_ended = False
        self.before: dict[str, int] = {}
        self._link = link
        self._runtime = link.runtime
        self._keys: _Facts = {"run": link.run, "lease": LEASE}
        self._workspace = link.workspace
        self._owned: set[str] = set()
        self._process = os.getpid()
        self._failure: JournalError | None = None
        self._closing: asyncio.Future[None] | None = None
        self._noted = self._runtime.monotonic()
        self._waiting: list[_Call] = []
        self._wake = asyncio.Event()
        self._recall: Callable[[], None] | None = None
        self._timer: TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None

    async def open(self, binding: Binding, source: Source | None) -> None:
        """Begin the session; one that is refused changes nothing."""
        connection = await self._link.connection()
        await ensure_schema(connection, self._link.name)
        began = self._runtime.monotonic()
        keys = {**self._keys, "now": round(self._runtime.wall(), 3)}
        facts = await begin(connection, self._link.name, keys, binding, source)
        self._keys["session"] = self.number = facts["session"]
        async with connection.transaction():
            await connection.execute(sql.SHORTLY)
            await connection.execute(sql.BEGIN_SESSION, facts)
            await self._take(connection, {self._workspace}, binding)
        cursor = await connection.execute(sql.KEPT, {**self._keys, "workspace": self._workspace})
        self.before, ended = await cursor.fetchone() or ({}, False)
        self.input_ended = bool(ended)
        self.resumed = self.number > 1
        self._held(began)
        self._writer = asyncio.create_task(self._serve())

    # --- the lease -----------------------------------------------------------------------------

    async def _take(
        self, connection: Connection, workspaces: Collection[str], binding: Binding | None
    ) -> None:
        """Own workspaces, in a transaction: all of them or none.

        Raises:
            JournalLockedError: another session has one of them.
            JournalMismatchError: it belongs elsewhere.
        """
        now = binding or Binding(operation="", base_url="")
        facts = {
            **self._keys,
            "workspaces": sorted(workspaces),
            "base_url": now.base_url or None,
            "app_id": now.app_id,
            "app_name": storable(now.app_name),
        }
        await connection.execute(sql.ADD_WORKSPACES, facts)
        cursor = await connection.execute(sql.WORKSPACES, facts)
        found = await cursor.fetchall()
        await connection.execute(sql.OUST, facts)
        if (await connection.execute(sql.OWN, facts)).rowcount != len(workspaces):
            raise JournalLockedError(self._link.name)
        for base_url, app_id, app_name in found:
            self._compare(now, base_url=base_url or now.base_url, app_id=app_id, app_name=app_name)
        self._owned |= set(workspaces)

    def _compare(self, now: Binding, **kept: Any) -> None:
        if now.base_url and (differs := attrs.evolve(now, **kept).mismatch(now)):
            what, expected, found = differs
            raise JournalMismatchError(self._link.name, what=what, expected=expected, found=found)

    async def _own(self, workspaces: Collection[str]) -> None:
        wanted = set(workspaces) - self._owned
        if not wanted:
            return

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute(sql.SHORTLY)
                await self._change(connection, sql.RENEW, 1)
                await self._take(connection, wanted, None)

        await self._ask(work)

    def _held(self, since: float) -> None:
        """Note that a statement renewed the lease, not later than `since`."""
        self._until = since + 0.8 * LEASE
        self._renew_at = since + LEASE / 3
        self._sure = True

    def watch(self, recall: Callable[[], None]) -> None:
        """See `Session`."""
        self._recall = recall
        self._look()

    def _look(self) -> None:
        """Call requests back when another may own the workspaces by now.

        After a freeze this timer runs before any task that slept: what waited to send a request
        again does not.
        """
        if self._sure and self._runtime.monotonic() >= self._until and self._recall is not None:
            self._sure = False
            self._recall()
        if self._closing is None:
            self._timer = self._runtime.call_later(LEASE / 30, self._look)

    async def hold(self) -> None:
        """See `Session`."""
        while self._runtime.monotonic() >= self._until:
            await self._ask(self._renew)

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
        given = [call for call in calls if call.row is not None]
        if given:
            rows = [call.row for call in given if call.row is not None]
            result = await self._attempt(lambda one: self._write(one, rows))
            for call in given:
                call.end(*result)
        for call in calls:
            if call.work is not None:
                call.end(*await self._attempt(call.work))

    async def _attempt(self, work: _Work) -> tuple[Any, BaseException | None]:
        if self._failure is not None:
            return None, self._failure
        try:
            return await self._link.carry_out(work), None
        except (JournalMismatchError, JournalLockedError) as error:
            return None, error
        except JournalError as error:
            self._failure = error
            return None, error
        except Exception as error:  # noqa: BLE001  whoever waits gets it
            return None, error

    async def _write(self, connection: Connection, given: Sequence[_Facts]) -> None:
        """Keep rows: all or none; of two of one pair, the later."""
        latest = {tuple(row[name] for name in sql.COLUMNS[:3]): row for row in given}
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
        changed = cursor.rowcount
        if cursor.description is not None:
            ((changed,),) = await cursor.fetchall()
        if changed != expected:
            raise JournalLostError(self._link.name)
        self._held(began)

    # --- see `Session` ---------------------------------------------------------------------------

    def _check(self) -> None:
        name = self._link.name
        if os.getpid() != self._process:
            raise JournalError(name, f"the journal {name} belongs to this process's parent")
        if self._closing is not None:
            raise JournalError(name, f"the journal {name} is closed")

    def _submit(self, call: _Call) -> None:
        if self._writer is None or self._writer.done():
            name = self._link.name
            call.end(None, JournalError(name, f"the journal {name} was abandoned"))
            return
        self._waiting.append(call)
        self._wake.set()

    async def _ask(self, work: Callable[[Connection], Awaitable[_Result]]) -> _Result:
        self._check()
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._submit(Call(work=work, answer=answer))
        return await answer

    async def _fetch(self, statement: bytes, **facts: Any) -> list[tuple[Any, ...]]:
        async def work(connection: Connection) -> list[tuple[Any, ...]]:
            return await (await connection.execute(statement, {**self._keys, **facts})).fetchall()

        return await self._ask(work)

    def _checked(self, row: Row) -> _Facts:
        self._check()
        if self._failure is not None:
            raise again(self._failure)
        values = (*_values(row), self.number, round(self._runtime.wall(), 3))
        facts = dict(zip(sql.COLUMNS, values, strict=True))
        facts["workspace"] = row.workspace or self._workspace
        return facts

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """See `Session`."""
        workspace = workspace or self._workspace
        await self._own({workspace})
        stored = {"workspace": workspace, "app_id": app_id, "app_name": storable(app_name)}
        found = await self._fetch(sql.BIND, **stored)
        if not found:
            raise JournalLostError(self._link.name)
        now = Binding(operation="", base_url="any", app_id=app_id, app_name=app_name)
        self._compare(now, app_id=found[0][0], app_name=found[0][1])

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """See `Session`."""
        workspace = workspace or self._workspace
        return await self._find(
            [(workspace, pair.conversation_id, pair.contact_id) for pair in pairs]
        )

    async def _find(self, keys: Sequence[tuple[Any, ...]]) -> list[Row | None]:
        names = ("workspaces", "conversations", "contacts")
        asked = {name: [key[place] for key in keys] for place, name in enumerate(names)}
        found: list[Row | None] = [None] * len(keys)
        for place, *values in await self._fetch(sql.LOOK_UP, **asked):
            found[place - 1] = _row_of(values)
        return found

    async def write(self, row: Row) -> None:
        """See `Session`. Returns only while the workspace is surely owned."""
        values = self._checked(row)
        if values["workspace"] not in self._owned:
            await self._own({values["workspace"]})
        written = asyncio.get_running_loop().create_future()
        self._submit(Call(row=values, answer=written))
        await written
        if self._runtime.monotonic() >= self._until:
            await self.write(row)

    def record(self, row: Row, done: Done) -> None:
        """See `Session`."""
        try:
            values = self._checked(row)
        except JournalError as error:
            done(error)
        else:
            self._submit(Call(row=values, done=done))

    async def room(self) -> None:
        """See `Session`."""

    async def plan(self, rows: Sequence[Row]) -> list[Row | None]:
        """See `Session`."""
        given = [self._checked(row) for row in rows]
        await self._own({values["workspace"] for values in given})
        keys = [tuple(values[name] for name in sql.COLUMNS[:3]) for values in given]
        found = await self._find(keys)
        if new := sift(found, keys, given, lambda facts: Row(**facts)):
            await self._ask(lambda one: self._write(one, new))
        return found

    async def workspaces(self) -> list[str]:
        """See `Session`."""
        return [workspace for (workspace,) in await self._fetch(sql.LEFT)]

    async def rows(
        self, wanted: Wanted, *, after: Row | None, limit: int = 1000, workspace: str = ""
    ) -> list[Row]:
        """See `Session`."""
        workspace = workspace or self._workspace
        await self._own({workspace})
        found = await self._fetch(
            sql.PAGES[wanted],
            workspace=workspace,
            conversation="" if after is None else after.conversation_id,
            contact="" if after is None else after.contact_id,
            limit=limit,
        )
        return list(map(_row_of, found))

    async def end_input(self) -> None:
        """See `Session`."""
        await self._update({"input_ended": True})

    async def note(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        self._check()
        now = self._runtime.monotonic()
        if now - self._noted >= NOTE_EVERY:
            self._noted = now
            await self._update(known(facts))

    async def _update(self, facts: _Facts) -> None:
        stored = {name: storable(value) for name, value in facts.items()}
        statement = sql.update_session(list(facts))
        await self._ask(lambda one: self._change(one, statement, 1, **stored))

    async def close(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        if os.getpid() != self._process or self._writer is None:
            return
        if self._closing is not None:
            await outlast(self._closing)
            return
        ended = {**known(facts), "ended_at": round(self._runtime.wall(), 3)}
        stored = {**self._keys, **{name: storable(value) for name, value in ended.items()}}
        statement = sql.end_session(list(ended))
        self._closing = asyncio.get_running_loop().create_future()
        failed = self._failure is not None
        self._submit(Call(work=lambda one: one.execute(statement, stored), answer=self._closing))
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


def _row_of(values: Sequence[Any]) -> Row:
    """Make a row of the values of `COLUMNS`."""
    return Row(**dict(zip(sql.COLUMNS, values, strict=True)))


def _as_json(rows: Sequence[_Facts]) -> str:
    try:
        text = msgspec.json.encode(rows)
    except UnicodeEncodeError:
        text = b"\\u0000"
    if b"\\u0000" in text:
        stored = [{name: storable(value) for name, value in row.items()} for row in rows]
        text = msgspec.json.encode(stored)
    return text.decode()


async def begin(
    connection: Connection, name: str, keys: _Facts, binding: Binding, source: Source | None
) -> _Facts:
    """Make a run if need be, and return what `BEGIN_SESSION` keeps of a new session.

    In no transaction: whoever begins another session of the run waits for this row.

    Raises:
        JournalMismatchError: the run has another operation.
    """
    facts = {
        **keys,
        "operation": binding.operation,
        "library": __version__,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "source_kind": None if source is None else source.kind,
        "source_name": None if source is None else storable(source.name),
        "source_columns": json.dumps(dict(source.columns)) if source and source.columns else None,
    }
    ((operation, number),) = await (await connection.execute(sql.BEGIN_RUN, facts)).fetchall()
    if operation != binding.operation:
        raise JournalMismatchError(
            name, what="operation", expected=operation, found=binding.operation
        )
    return {**facts, "session": number}


async def open_session(link: Link, binding: Binding, source: Source | None) -> PostgresSession:
    """See `Journal.open`; a cancelled caller leaves no lease behind."""
    session = PostgresSession(link)
    opening = asyncio.create_task(session.open(binding, source))
    try:
        await outlast(opening)
        opening.result()
    except asyncio.CancelledError:
        await session.close()
        await link.drop()
        raise
    except (psycopg.Error, OSError) as error:
        await link.drop()
        raise error_from(link.name, error, "nothing was sent") from error
    except BaseException:
        await link.drop()
        raise
    return session
