"""A session: one run's hold on its journal. Its thread writes the rows that have collected."""

import asyncio
import functools
import math
import os
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, Final, Self, TypeVar, Unpack

from msgspec.structs import replace

from intercom_async.detaching import Detach
from intercom_async.journal.errors import JournalError, again
from intercom_async.journal.row import Row, RowKey
from intercom_async.journal.store import Facts, Store, Wanted
from intercom_async.journal.writer import Done, Writer
from intercom_async.runtime import Runtime

BACKLOG: Final = 2000
"""Rows that may wait for a temporary journal before `room` does."""

_HURRY: Final = 0.001
"""Seconds for which rows collect while a caller waits for them."""

_LINGER: Final = 0.01
"""Seconds for which rows collect while no caller waits for them."""

_FULL: Final = 500
"""Rows that collect for a temporary journal, unless it is asked for something before."""

_NOTE_EVERY: Final = 1.0
"""Seconds between two writes of a session's numbers."""

_Result = TypeVar("_Result")


class Session:
    """One run's hold on its journal.

    Every method raises `JournalWriteError` once a write has failed, `JournalCorruptError` where
    the file is damaged, and `JournalError` in a forked child, which has no part in the run.

    Attributes:
        number: 1 for the journal's first session.
        resumed: whether there were sessions before.
        before: pairs by state, as earlier sessions left them; states without pairs are missing.
        input_ended: whether an earlier session read its input to the end.
        keeps_people: whether `ask` works.
    """

    keeps_people: ClassVar = True

    def __init__(self, writer: Writer, store: Store, runtime: Runtime) -> None:
        self.number = store.number
        self.resumed = store.number > 1
        self.before = store.before
        self.input_ended = store.input_ended
        self._store = store
        self._workspace = store.workspace
        self._writer = writer
        self._runtime = runtime
        self._noted = runtime.monotonic()
        self._planning = asyncio.Lock()
        self._forgotten = weakref.finalize(self, writer.forget)

    @classmethod
    async def open(cls, opening: Callable[[], Store], runtime: Runtime) -> Self:
        """Begin a session; a cancelled caller leaves nothing open."""
        writer = await Writer.open(opening)
        return cls(writer, writer.store, runtime)

    def _check(self) -> None:
        """Refuse what this session cannot do any more."""
        name = self._store.name
        if os.getpid() != self._writer.process:
            raise JournalError(name, f"the journal {name} belongs to this process's parent")
        if self._writer.closing is not None:
            raise JournalError(name, f"the journal {name} is closed")

    async def _do(self, work: Callable[..., _Result], *values: Any) -> _Result:
        """Do some work in the thread, after the rows that were given before."""
        self._check()
        return await self._writer.do(functools.partial(work, *values))

    def _signed(self, row: Row, *, planned: bool = False) -> Row:
        """Return a row as this session writes it."""
        self._check()
        if self._writer.failure is not None:
            raise again(self._writer.failure)
        return replace(
            row,
            workspace=row.workspace or self._workspace,
            session=-self.number if planned else self.number,
            updated_at=round(self._runtime.wall(), 3),
        )

    async def _own(self, workspaces: Collection[str]) -> None:
        """Take workspaces over before they are used; a file is locked as a whole."""

    def watch(self, recall: Callable[[], None]) -> None:
        """Have `recall` called when another session may have taken the journal over.

        `recall` must keep requests under way from being sent again. The next write shows whether
        the journal is lost. A file is never taken over: its lock lasts as long as the process.
        """

    async def hold(self) -> None:
        """Return if no other session can have taken over the announced pairs.

        Await it before a request is sent again. It asks the database where that is unsure.

        Raises:
            JournalLostError: another session has.
        """

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """Keep which workspace a key stands for, in a run over many.

        Raises:
            JournalMismatchError: it stood for another one.
        """
        workspace = workspace or self._workspace
        await self._own([workspace])
        await self._do(self._store.bind, workspace, app_id, app_name)

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """Return the rows of some pairs, in their order; None for a new one.

        Rows that `write` got before are among them, committed or not.
        """
        workspace = workspace or self._workspace
        keys = [(workspace, pair.conversation_id, pair.contact_id) for pair in pairs]
        return await self._do(self._store.look_up, keys)

    async def plan(self, rows: Sequence[Row]) -> list[Row | None]:
        """Keep the rows of new pairs; return, in order, None for a new pair, else the kept row.

        What earlier sessions left unsettled is planned again, as it is. The rows are on the disk
        when it returns.
        """
        rows = [self._signed(row, planned=True) for row in rows]
        await self._own([row.workspace for row in rows])
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
        """Whether an earlier session left a row unsettled, and this one has not touched it."""
        return not row.settled and abs(row.session) != self.number

    async def take(self, workspace: str, *, after: Row | None, limit: int) -> list[Row]:
        """Return a workspace's next planned rows, as `rows` does; each is taken once."""
        rows = await self.rows(Wanted.PLANNED, after=after, limit=limit, workspace=workspace)
        if rows:
            await self._do(self._store.write, [self._signed(row) for row in rows])
        return rows

    async def workspaces(self) -> list[str]:
        """Return the workspaces that have unsettled pairs."""
        return await self._do(self._store.workspaces)

    async def write(self, row: Row) -> None:
        """Keep a row in place of the pair's earlier one; return when it is on the disk.

        A temporary journal returns at once. The row is written even if the caller is cancelled
        meanwhile.
        """
        written = asyncio.get_running_loop().create_future()
        self.record(row, functools.partial(_resolve, written), within=_HURRY)
        await written

    def record(self, row: Row, done: Done, *, within: float = _LINGER) -> None:
        """Keep a row like `write`, and call back when it is on the disk, or cannot be.

        The row may wait some milliseconds for others: `within` is in seconds. A temporary journal
        calls back at once.
        """
        try:
            row = self._signed(row)
        except JournalError as error:
            done(error)
            return
        if self._store.durable:
            self._writer.add(row, done, within)
        else:
            full = self._writer.backlog >= _FULL - 1
            self._writer.add(row, _ignore, 0.0 if full else math.inf)
            done(None)

    async def room(self) -> None:
        """Wait while too many rows are waiting for a temporary journal."""
        if self._writer.backlog > BACKLOG:
            await self._do(_ignore)

    async def rows(
        self, wanted: Wanted, *, after: Row | None, limit: int = 1000, workspace: str = ""
    ) -> list[Row]:
        """Return a workspace's next rows after `after`, in the order of the ids."""
        workspace = workspace or self._workspace
        await self._own([workspace])
        return await self._do(self._store.rows, wanted, after, limit, workspace)

    async def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run another module's statement, which changes all or nothing."""
        return await self._do(self._store.ask, statement, values)

    async def end_input(self) -> None:
        """Record that the input was read to its end."""
        await self._do(self._store.update, {"input_ended": True})

    async def note(self, **facts: Unpack[Facts]) -> None:
        """Write the session's numbers, at most once a second; a call in between does nothing."""
        self._check()
        now = self._runtime.monotonic()
        if now - self._noted >= _NOTE_EVERY:
            self._noted = now
            await self._do(self._store.update, facts)

    async def close(self, **facts: Unpack[Facts]) -> None:
        """Write the rows that wait, then the session's numbers, and let go of the journal.

        A cancelled call does so too, before it raises. Closing again does nothing.
        """
        if os.getpid() == self._writer.process:
            self._forgotten.detach()
            await self._writer.close({**facts, "ended_at": round(self._runtime.wall(), 3)})


def _resolve(written: asyncio.Future[None], error: BaseException | None) -> None:
    if written.done():  # the waiter was cancelled
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)


def _ignore(*_: object) -> None:
    pass
