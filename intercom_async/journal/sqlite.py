"""A session in SQLite: one thread that writes what has collected, and the coroutines before it."""

import asyncio
import functools
import os
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, Unpack

import attrs

from intercom_async.detaching import Detach
from intercom_async.journal.errors import JournalError
from intercom_async.journal.journal import FACTS, Facts, Wanted
from intercom_async.journal.row import Binding, Row, Source
from intercom_async.journal.table import Table, again, values_of
from intercom_async.transport.runtime import Runtime

MOST: Final = 1000
"""Calls that the thread takes at once: rows of one commit at most."""

BACKLOG: Final = 4 * MOST
"""Calls that may wait for a temporary journal before its callers do."""

NOTE_EVERY: Final = 1.0
"""Seconds between two refreshments of a session's numbers."""

_T = TypeVar("_T")


@attrs.frozen(eq=False)
class _Call:
    """Something for the thread to do: to write a row, or else any work with the table."""

    row: tuple[Any, ...] | None = None
    work: Callable[[Table], Any] | None = None
    answer: asyncio.Future[Any] | None = None


class _Writer:
    """The one thread that touches the table. While it works, calls collect for its next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.table: Table | None = None
        self._loop = loop
        # The thread keeps `initargs`, so that in a forked child, where no thread ends, nobody
        # closes the database: its parent's log would be cut.
        self._thread = ThreadPoolExecutor(
            1, "intercom-journal", initializer=_keep, initargs=(self,)
        )
        self._waiting: list[_Call] = []
        self._working = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def failure(self) -> JournalError | None:
        """What went wrong first; nothing is written after it."""
        return None if self.table is None else self.table.failure

    def open(self, opening: Callable[[], Table]) -> asyncio.Future[Table]:
        """Open the table in the thread."""

        def work() -> Table:
            self.table = opening()
            return self.table

        return self._loop.run_in_executor(self._thread, work)

    def have_done(self, work: Callable[[Table], _T]) -> asyncio.Future[_T]:
        """Have some work done."""
        answer = self._loop.create_future()
        self.submit(_Call(work=work, answer=answer))
        return answer

    def have_written(self, row: tuple[Any, ...]) -> asyncio.Future[None]:
        """Have a row written."""
        answer = self._loop.create_future()
        self.submit(_Call(row=row, answer=answer))
        return answer

    def submit(self, call: _Call) -> None:
        """Have something done, after what was submitted before."""
        self._waiting.append(call)
        if not self._working:
            self._working = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        calls, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        assert self.table is not None  # noqa: S101  nobody has a session before
        turn = self._loop.run_in_executor(self._thread, _serve, self.table, calls)
        turn.add_done_callback(self._end)

    def _end(self, turn: "asyncio.Future[list[_Answer]]") -> None:
        self._working = bool(self._waiting)
        if self._working:
            self._begin()
        for answer, result, error in turn.result():
            if answer is None or answer.done():  # cancelled: nobody waits
                continue
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

    def end(self, *, wait: bool) -> None:
        """Let the thread end; what was given is written, and the table closed, if nobody did."""
        calls, self._waiting = self._waiting, []
        work = functools.partial(_finish, self.table, calls)
        try:
            self._thread.submit(work)
        except RuntimeError:  # the interpreter ends, and the thread has done so
            work()
        self._thread.shutdown(wait=wait)


def _keep(_: _Writer) -> None:
    pass


def _finish(table: Table | None, calls: Sequence[_Call]) -> None:
    if table is not None:
        _serve(table, calls)
        table.let_go()


def _finish_forgotten(writer: _Writer, process: int) -> None:
    if os.getpid() == process:
        writer.end(wait=False)


_Answer = tuple[asyncio.Future[Any] | None, Any, BaseException | None]


def _serve(table: Table, calls: Sequence[_Call]) -> list[_Answer]:
    """Work calls off, rows first."""
    answers: list[_Answer] = []
    if rows := [call for call in calls if call.row is not None]:
        error = _attempt(lambda: table.write([call.row for call in rows if call.row]))[1]
        answers += [(call.answer, None, error and _fresh(error)) for call in rows]
    for call in calls:
        if call.work is not None:
            answers.append((call.answer, *_attempt(functools.partial(call.work, table))))
    return answers


def _attempt(work: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001  told to whoever waits
        return None, error


def _fresh(error: BaseException) -> BaseException:
    return again(error) if isinstance(error, JournalError) else error


class SqliteSession:
    """See `Session`.

    Attributes:
        number: see `Session`.
        resumed: see `Session`.
        before: see `Session`.
        input_ended: see `Session`.
    """

    def __init__(
        self,
        path: str | None,
        table: Table,
        writer: _Writer,
        runtime: Runtime,
    ) -> None:
        self.number = table.number
        self.resumed = table.number > 1
        self.before = table.kept.counts
        self.input_ended = table.kept.input_ended
        self._path = path
        self._writer = writer
        self._runtime = runtime
        self._process = os.getpid()
        self._noted = runtime.monotonic()
        self._closing: asyncio.Future[None] | None = None
        self._forgotten = weakref.finalize(self, _finish_forgotten, writer, self._process)

    def _check(self) -> _Writer:
        """Return the writer, if this session may use it."""
        name = self._path or "of this run"
        if os.getpid() != self._process:
            raise JournalError(name, f"the journal {name} belongs to this process's parent")
        if self._closing is not None:
            raise JournalError(name, f"the journal {name} is closed")
        return self._writer

    async def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """See `Session`."""
        await self._check().have_done(lambda table: table.bind(workspace, app_id, app_name))

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """See `Session`."""
        return await self._check().have_done(lambda table: table.look_up(pairs, workspace))

    async def write(self, row: Row) -> None:
        """See `Session`."""
        writer = self._check()
        if writer.failure is not None:
            raise again(writer.failure)
        values = (*values_of(row)[:-2], self.number, round(self._runtime.wall(), 3))
        if self._path is None and len(writer) < BACKLOG:
            writer.submit(_Call(row=values))
        else:
            await writer.have_written(values)

    async def rows(self, wanted: Wanted, *, after: Row | None, limit: int = 1000) -> list[Row]:
        """See `Session`."""
        return await self._check().have_done(lambda table: table.rows(wanted, after, limit))

    async def end_input(self) -> None:
        """See `Session`."""
        await self._check().have_done(lambda table: table.update({"input_ended": True}))

    async def note(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        writer, now = self._check(), self._runtime.monotonic()
        if now - self._noted >= NOTE_EVERY:
            self._noted = now
            await writer.have_done(lambda table: table.update(_known(facts)))

    async def close(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        if os.getpid() != self._process:
            return
        if self._closing is not None:
            await _outlast(self._closing)
            return
        ended = {**_known(facts), "ended_at": round(self._runtime.wall(), 3)}
        self._closing = self._writer.have_done(lambda table: table.close(ended))
        try:
            await _outlast(self._closing)
        finally:
            self._forgotten.detach()
            self._writer.end(wait=True)
        self._closing.result()


def _known(facts: Facts) -> dict[str, Any]:
    if unknown := facts.keys() - FACTS:
        raise TypeError(f"a session has no {', '.join(sorted(unknown))}")
    return dict(facts)


async def _outlast(future: asyncio.Future[Any]) -> None:
    """Wait for the end of something that a cancelled caller must not leave unfinished."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # nobody will ask for it
        raise cancelled


async def open_session(
    path: str | None, binding: Binding, source: Source | None, runtime: Runtime
) -> SqliteSession:
    """See `Journal.open`."""
    writer = _Writer(asyncio.get_running_loop())
    now = round(runtime.wall(), 3)
    opened = writer.open(lambda: Table(path, binding, source, now))
    try:
        await _outlast(opened)
        return SqliteSession(path, opened.result(), writer, runtime)
    except BaseException:
        writer.end(wait=True)
        raise
