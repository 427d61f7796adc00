"""A session: one run's hold on its journal.

One thread uses the database. While it writes, rows collect for its next batch.
"""

import asyncio
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, Self, TypeVar, Unpack

import attrs
from msgspec.structs import replace

from intercom_async.detaching import Detach
from intercom_async.journal.errors import JournalError, JournalLockedError
from intercom_async.journal.row import Binding, Row, RowKey, storable
from intercom_async.journal.store import Facts, Store, Wanted
from intercom_async.runtime import Runtime, TimerHandle

_HURRY: Final = 0.001
"""Seconds for which rows collect while a caller waits for them."""

_LINGER: Final = 0.01
"""Seconds for which rows collect while no caller waits for them."""

_FULL: Final = 500
"""Rows that collect for a temporary journal, unless something reads it before."""

_Result = TypeVar("_Result")

Done = Callable[[BaseException | None], None]
"""Called when a row is on the disk, or with the reason why it cannot be."""

_Rows = list[tuple[Row, Done]]


class Session:
    """One run's hold on its journal.

    Every method raises `JournalWriteError` once a write has failed, `JournalCorruptError` where
    the file is damaged, and `JournalError` in a forked child, which has no part in the run.

    In PostgreSQL a session takes each workspace over when it first uses it, for as long as its
    lease is renewed. Methods that name a workspace raise `JournalLockedError` where another
    session has it, and every method `JournalLostError` once another took one over.

    Attributes:
        number: 1 for the journal's first session.
        resumed: whether there were sessions before.
        before: pairs by state, as earlier sessions left them; states without pairs are missing.
        input_ended: whether an earlier session read its input to the end.
        keeps_people: whether `ask` works.
    """

    def __init__(self, thread: ThreadPoolExecutor, store: Store, runtime: Runtime) -> None:
        self.number = store.number
        self.resumed = store.number > 1
        self.before = store.before
        self.input_ended = store.input_ended
        self.keeps_people = store.keeps_people
        self._store = store
        self._thread = thread
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._failure: JournalError | None = None
        self._closing: asyncio.Future[None] | None = None
        self._planning = asyncio.Lock()
        # Rows that wait for the thread.
        self._rows: _Rows = []
        self._writing = 0
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None
        # The lease.
        self._recall: Callable[[], None] | None = None
        self._recalled_at = -math.inf
        self._renewing: asyncio.Future[None] | None = None
        self._looking: TimerHandle | None = None
        self._look()

    @classmethod
    async def open(cls, opening: Callable[[], Store], runtime: Runtime) -> Self:
        """Begin a session; a cancelled caller leaves nothing open."""
        loop = asyncio.get_running_loop()
        # The thread's frame keeps the store. In a forked child that frame is never freed, so the
        # database is not closed there: that could cut the log of its parent's.
        kept: list[Store] = []
        thread = ThreadPoolExecutor(1, "intercom-journal", _ignore, (kept,))
        try:
            await _outlast(loop.run_in_executor(thread, lambda: kept.append(opening())))
        except BaseException:
            for store in kept:
                await _outlast(loop.run_in_executor(thread, store.let_go))
            thread.shutdown()
            raise
        return cls(thread, kept[0], runtime)

    # --- pairs ---------------------------------------------------------------------------------

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """Return the rows of some pairs, in their order; None for a new one.

        Rows that `write` got before are among them, committed or not.
        """
        workspace = workspace or self._store.workspace
        keys = [(workspace, pair.conversation_id, pair.contact_id) for pair in pairs]
        return await self._do(self._store.look_up, keys)

    async def plan(self, rows: Sequence[Row]) -> list[Row | None]:
        """Keep the rows of new pairs; return, in order, None for a new pair, else the kept row.

        It plans again, as they are, the pairs that earlier sessions left unsettled. The rows are on
        the disk when it returns.
        """
        rows = [self._signed(row, planned=True) for row in rows]
        await self._own(*(row.workspace for row in rows))
        async with self._planning:
            kept = await self._do(self._store.look_up, [row.key for row in rows])
            planned: dict[RowKey, Row] = {}
            for place, row in enumerate(rows):
                before = kept[place]
                if row.key in planned:
                    kept[place] = planned[row.key]
                elif before is None or self.leaves(before):
                    planned[row.key] = self._signed(before or row, planned=True)
            if planned:
                await self._do(self._store.write, list(planned.values()))
        return kept

    def leaves(self, row: Row) -> bool:
        """Whether an earlier session left a row unsettled that this session has not touched."""
        return not row.settled and abs(row.session) != self.number

    async def take(self, workspace: str, *, after: Row | None, limit: int) -> list[Row]:
        """Return a workspace's next planned rows, as `rows` does; each is taken once."""
        rows = await self.rows(Wanted.PLANNED, after=after, limit=limit, workspace=workspace)
        if rows:
            await self._do(self._store.write, [self._signed(row) for row in rows])
        return rows

    async def write(self, row: Row) -> None:
        """Write a row in place of the pair's earlier one; return when it is on the disk.

        A temporary journal returns at once. The row is written even if the caller is cancelled
        meanwhile. In PostgreSQL it returns only while the workspace is surely owned.
        """
        await self._own(row.workspace or self._store.workspace)
        while True:
            written = self._loop.create_future()
            self.record(row, functools.partial(_resolve, written), within=_HURRY)
            await written
            if monotonic() < self._store.held_until:
                return

    def record(self, row: Row, done: Done, *, within: float = _LINGER) -> None:
        """Write a row like `write`, and call back when it is on the disk, or cannot be.

        The row may wait some milliseconds for others: `within` is in seconds. A temporary journal
        calls back at once.
        """
        try:
            row = self._signed(row)
        except JournalError as error:
            done(error)
            return
        durable = self._store.durable
        if not durable:
            within = math.inf if len(self._rows) < _FULL - 1 else 0.0
        self._rows.append((row, done if durable else _ignore))
        due = self._loop.time() + within
        if due < self._due:
            self._due = due
            self._plan_write()
        if not durable:
            done(None)

    async def rows(
        self, wanted: Wanted, *, after: Row | None, limit: int = 1000, workspace: str = ""
    ) -> list[Row]:
        """Return a workspace's next rows after `after`, in the order of the ids."""
        workspace = workspace or self._store.workspace
        await self._own(workspace)
        return await self._do(self._store.rows, wanted, after, limit, workspace)

    # --- the run -------------------------------------------------------------------------------

    async def workspaces(self) -> list[str]:
        """Return the workspaces with unsettled pairs."""
        return await self._do(self._store.workspaces)

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """Note which of Intercom's workspaces a key stands for; raise if it stood for another."""
        workspace = workspace or self._store.workspace
        await self._own(workspace)
        now = Binding(operation="", base_url="", app_id=app_id, app_name=app_name)
        known, name = await self._do(self._store.bind, workspace, app_id, now.app_name)
        attrs.evolve(now, app_id=known, app_name=name).check(now, journal=self._store.name)

    async def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run another module's statement, which changes all or nothing."""
        return await self._do(self._store.ask, statement, values)

    async def end_input(self) -> None:
        """Record that the input was read to its end."""
        await self._do(self._store.update, {"input_ended": True})

    async def note(self, **facts: Unpack[Facts]) -> None:
        """Write the session's numbers."""
        await self._do(self._store.update, _stored(facts))

    async def close(self, **facts: Unpack[Facts]) -> None:
        """Write the rows that wait, then the session's numbers, and let go of the journal.

        A cancelled call does so too, before it raises. Closing again does nothing.
        """
        if os.getpid() != self._process:
            return
        if self._closing is None:
            self._write()
            last = {**_stored(facts), "ended_at": round(self._runtime.wall(), 3)}
            self._closing = self._loop.run_in_executor(self._thread, self._let_go, last)
        try:
            await _outlast(self._closing)
        finally:
            self._thread.shutdown()
            if self._looking is not None:
                self._looking.cancel()

    # --- the lease -----------------------------------------------------------------------------

    def watch(self, recall: Callable[[], None]) -> None:
        """Have `recall` called when another session may have taken the journal over.

        `recall` must keep requests under way from being sent again. The next write shows whether
        the journal is lost. A file is never taken over: its lock lasts as long as the process.
        """
        self._recall = recall

    async def hold(self) -> None:
        """Raise `JournalLostError` if another session may have taken over the announced pairs.

        Await it before a request is sent again. If it cannot be sure, it asks the database.
        """
        while monotonic() >= self._store.held_until:
            await self._do(self._store.update, {})

    async def _own(self, *workspaces: str) -> None:
        owned = self._store.owned
        if owned is not None and (new := set(workspaces) - owned):
            await self._do(self._store.own, new)

    def _look(self) -> None:
        """Recall requests if another session may own the workspaces by now, and renew the lease.

        After a freeze of the process this timer runs before any task that slept, so none of them
        sends a request again first.
        """
        held_until, lease = self._store.held_until, self._store.lease
        if held_until == math.inf:
            return
        now = monotonic()
        if now >= held_until > self._recalled_at and self._recall is not None:
            self._recalled_at = held_until
            self._recall()
        idle = self._renewing is None or self._renewing.done()
        if now >= held_until - 0.5 * lease and idle and self._closing is None:
            self._renewing = self._in_thread(functools.partial(self._store.update, {}))
            self._renewing.add_done_callback(lambda one: one.exception())  # a write raises it
        self._looking = self._runtime.call_later(lease / 30, self._look)

    # --- the thread ----------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise if the session is closed, or belongs to the parent of a forked process."""
        name = self._store.name
        if os.getpid() != self._process:
            raise JournalError(name, f"the journal {name} belongs to this process's parent")
        if self._closing is not None:
            raise JournalError(name, f"the journal {name} is closed")

    def _signed(self, row: Row, *, planned: bool = False) -> Row:
        self._check()
        if self._failure is not None:
            raise self._failure
        return replace(
            row,
            workspace=row.workspace or self._store.workspace,
            session=-self.number if planned else self.number,
            updated_at=round(self._runtime.wall(), 3),
        )

    async def _do(self, work: Callable[..., _Result], *values: Any) -> _Result:
        """Do some work in the thread, after the rows that were given before."""
        self._check()
        return await self._in_thread(functools.partial(work, *values))

    def _in_thread(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        self._write()
        return self._loop.run_in_executor(self._thread, self._attempt, work)

    def _plan_write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._writing and self._due < math.inf:
            self._timer = self._loop.call_at(self._due, self._write)

    def _write(self) -> None:
        rows, self._rows, self._due = self._rows, [], math.inf
        if rows:
            self._writing += 1
            work = functools.partial(self._store.write, [row for row, _ in rows])
            writing = self._loop.run_in_executor(self._thread, self._attempt, work)
            writing.add_done_callback(functools.partial(self._written, rows))

    def _written(self, rows: _Rows, writing: asyncio.Future[None]) -> None:
        self._writing -= 1
        self._plan_write()
        error = writing.exception()
        for _, done in rows:
            done(error)

    def _attempt(self, work: Callable[[], _Result]) -> _Result:
        if self._failure is not None:
            raise self._failure
        try:
            return self._store.attempt(work)
        except JournalLockedError:  # one workspace of many
            raise
        except JournalError as error:
            self._failure = error
            raise

    def _let_go(self, facts: Mapping[str, Any]) -> None:
        try:
            if self._failure is None:
                self._attempt(functools.partial(self._store.close, facts))
        finally:
            self._store.let_go()


def _stored(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: storable(value) for name, value in facts.items()}


async def _outlast(future: asyncio.Future[_Result]) -> _Result:
    """Await something that a cancelled caller must not leave unfinished."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # the cancelled caller cannot ask for it
        raise cancelled
    return future.result()


def _resolve(written: asyncio.Future[None], error: BaseException | None) -> None:
    if written.done():  # the waiter was cancelled
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)


def _ignore(*_: object) -> None:
    pass
