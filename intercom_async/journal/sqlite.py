"""A session in SQLite: one thread writes the rows that have collected; coroutines wait for it."""

import asyncio
import functools
import math
import os
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, Unpack

from intercom_async.detaching import Detach
from intercom_async.journal.calls import Call, Done
from intercom_async.journal.errors import JournalError, again
from intercom_async.journal.journal import Facts, Wanted, known
from intercom_async.journal.outlasting import outlast
from intercom_async.journal.row import Binding, Row, Source
from intercom_async.journal.table import Table, values_of
from intercom_async.runtime import Runtime

MOST: Final = 1000
"""Calls that the thread takes at once at most, and so rows of one commit."""

BACKLOG: Final = 4 * MOST
"""Rows that may wait for a temporary journal before `room` does."""

_HURRY: Final = 0.001
"""Seconds for which rows collect that somebody waits for."""

_LINGER: Final = 0.01
"""Seconds for which rows collect that nobody waits for; no time limit if no disk needs them."""

_FULL: Final = 500
"""Calls that are worked off without delay."""

_NOTE_EVERY: Final = 1.0
"""Seconds between two writes of a session's numbers."""


_Values = tuple[Any, ...]
_Work = Callable[[Table], Any]
_Result = TypeVar("_Result")
_Call = Call[_Values, _Work]
_Ended = tuple[_Call, Any, BaseException | None]


class _Writer:
    """The one thread that touches the table. While it works, calls collect for its next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.table: Table | None = None
        self.process = os.getpid()
        self._loop = loop
        # The thread's frame keeps `initargs`. In a forked child that frame is never freed, so
        # nobody closes the database there: that could cut the log of its parent's.
        self._thread = ThreadPoolExecutor(1, "intercom-journal", _ignore, (self,))
        self._waiting: list[_Call] = []
        self._working = False
        self._due = self._planned = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def failure(self) -> JournalError | None:
        """What went wrong first; nothing is written after it."""
        return None if self.table is None else self.table.failure

    async def open(self, opening: Callable[[], Table]) -> Table:
        """Open the table; a cancelled caller waits for that, too."""

        def work() -> Table:
            self.table = opening()
            return self.table

        opened = self._loop.run_in_executor(self._thread, work)
        await outlast(opened)
        return opened.result()

    def ask(self, work: Callable[[Table], _Result]) -> asyncio.Future[_Result]:
        """Have some work done at once."""
        answer: asyncio.Future[_Result] = self._loop.create_future()
        self.submit(Call(work=work, answer=answer), 0.0)
        return answer

    def submit(self, call: _Call, within: float) -> None:
        """Have something done within some seconds, after what was submitted before."""
        self._waiting.append(call)
        now = self._loop.time()
        self._due = min(self._due, now if len(self._waiting) >= _FULL else now + within)
        self._plan()

    def _plan(self) -> None:
        """Let the thread begin its next turn when that is due."""
        if self._working or not self._waiting or self._due >= self._planned:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._planned = self._due
        self._timer = self._loop.call_at(self._due, self._begin)

    def _begin(self) -> None:
        calls, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        self._timer, self._planned = None, math.inf
        self._due = self._loop.time() if self._waiting else math.inf
        if calls:  # or the session was forgotten, and `end` took them
            self._working = True
            turn = self._loop.run_in_executor(self._thread, _serve, self.table, calls)
            turn.add_done_callback(self._end)

    def _end(self, turn: asyncio.Future[list[_Ended]]) -> None:
        self._working = False
        self._plan()
        for call, result, error in turn.result():
            call.end(result, error)

    def end(self, *, wait: bool) -> None:
        """Let the thread end; what was given is written, and the table closed, if nobody did."""
        if os.getpid() != self.process:
            return
        calls, self._waiting = self._waiting, []
        last = functools.partial(_finish, self.table, calls)
        try:
            self._thread.submit(last)
        except RuntimeError:  # the interpreter ends, and the thread has done so
            last()
        self._thread.shutdown(wait=wait)


def _ignore(_: _Writer) -> None:
    pass


def _serve(table: Table | None, calls: Sequence[_Call]) -> list[_Ended]:
    """Work calls off, rows first."""
    assert table is not None  # noqa: S101  nobody has a session before
    ended: list[_Ended] = []
    if rows := [call.row for call in calls if call.row is not None]:
        result = _attempt(lambda: table.write(rows))
        ended += [(call, *result) for call in calls if call.row is not None]
    for call in calls:
        if call.work is not None:
            ended.append((call, *_attempt(functools.partial(call.work, table))))
    return ended


def _finish(table: Table | None, calls: Sequence[_Call]) -> None:
    if table is not None:
        _serve(table, calls)
        table.let_go()


def _attempt(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001  whoever waits gets it
        return None, error


class SqliteSession:
    """See `Session`."""

    def __init__(self, path: str | None, table: Table, writer: _Writer, runtime: Runtime) -> None:
        self.number = table.number
        self.resumed = table.number > 1
        self.before = table.kept.counts
        self.input_ended = table.kept.input_ended
        self._path = path
        self._writer = writer
        self._runtime = runtime
        self._noted = runtime.monotonic()
        self._closing: asyncio.Future[None] | None = None
        self._forgotten = weakref.finalize(self, writer.end, wait=False)

    def _check(self) -> _Writer:
        """Return the writer, if this session may use it."""
        name = self._path or "of this run"
        if os.getpid() != self._writer.process:
            raise JournalError(name, f"the journal {name} belongs to this process's parent")
        if self._closing is not None:
            raise JournalError(name, f"the journal {name} is closed")
        return self._writer

    def watch(self, recall: Callable[[], None]) -> None:
        """See `Session`: the file's lock is held as long as the process lives."""

    async def hold(self) -> None:
        """See `Session`: the same holds here."""

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """See `Session`."""
        await self._check().ask(lambda table: table.bind(workspace, app_id, app_name))

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """See `Session`."""
        return await self._check().ask(lambda table: table.look_up(pairs, workspace))

    async def write(self, row: Row) -> None:
        """See `Session`."""
        writer, values = self._checked(row)
        if self._path is None:
            writer.submit(Call(values), math.inf)
        else:
            written = asyncio.get_running_loop().create_future()
            writer.submit(Call(values, answer=written), _HURRY)
            await written

    def record(self, row: Row, done: Done) -> None:
        """See `Session`."""
        try:
            writer, values = self._checked(row)
        except JournalError as error:
            done(error)
            return
        if self._path is None:
            writer.submit(Call(values), math.inf)
            done(None)
        else:
            writer.submit(Call(values, done=done), _LINGER)

    def _checked(self, row: Row) -> tuple[_Writer, _Values]:
        writer = self._check()
        if writer.failure is not None:
            raise again(writer.failure)
        return writer, (*values_of(row)[:-2], self.number, round(self._runtime.wall(), 3))

    async def room(self) -> None:
        """See `Session`."""
        writer = self._check()
        if len(writer) > BACKLOG:
            await writer.ask(lambda _: None)

    async def rows(
        self, wanted: Wanted, *, after: Row | None, limit: int = 1000, workspace: str = ""
    ) -> list[Row]:
        """See `Session`."""
        return await self._check().ask(lambda table: table.rows(wanted, after, limit, workspace))

    async def plan(self, rows: Sequence[Row]) -> list[Row | None]:
        """See `Session`."""
        values = [self._checked(row)[1] for row in rows]
        return await self._check().ask(lambda table: table.plan(values))

    async def ask(self, statement: str, *asked: Any) -> list[tuple[Any, ...]]:
        """Run a statement; see `Table.ask`."""
        return await self._check().ask(lambda table: table.ask(statement, asked))

    async def workspaces(self) -> list[str]:
        """See `Session`."""
        return await self._check().ask(lambda table: table.workspaces())

    async def end_input(self) -> None:
        """See `Session`."""
        await self._check().ask(lambda table: table.update({"input_ended": True}))

    async def note(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        writer, now = self._check(), self._runtime.monotonic()
        if now - self._noted >= _NOTE_EVERY:
            self._noted = now
            await writer.ask(lambda table: table.update(known(facts)))

    async def close(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        if os.getpid() != self._writer.process:
            return
        if self._closing is not None:
            await outlast(self._closing)
            return
        ended = {**known(facts), "ended_at": round(self._runtime.wall(), 3)}
        self._closing = self._writer.ask(lambda table: table.close(ended))
        try:
            await outlast(self._closing)
        finally:
            self._forgotten.detach()
            self._writer.end(wait=True)
        self._closing.result()


async def open_session(
    path: str | None, binding: Binding, source: Source | None, runtime: Runtime
) -> SqliteSession:
    """See `Journal.open`."""
    writer = _Writer(asyncio.get_running_loop())
    now = round(runtime.wall(), 3)
    try:
        table = await writer.open(lambda: Table(path, binding, source, now))
    except BaseException:
        writer.end(wait=True)
        raise
    return SqliteSession(path, table, writer, runtime)
