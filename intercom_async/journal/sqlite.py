"""A session in SQLite: one thread that writes what has collected, and the coroutines before it."""

import asyncio
import contextlib
import functools
import os
import queue
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
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


_CLOSE: Final = _Call()


class _Writer:
    """The thread that owns the table. It ends once `_CLOSE` is taken from its queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.calls = queue.SimpleQueue[_Call]()
        self.failure: JournalError | None = None
        self._loop = loop

    def start(self, opening: Callable[[], Table]) -> tuple[threading.Thread, asyncio.Future[Table]]:
        """Open the table in the thread; the future tells."""
        opened = self._loop.create_future()
        # A daemon: whoever forgets to close a session can still end, as if killed.
        thread = threading.Thread(
            target=self._run, args=(opening, opened), name="intercom-journal", daemon=True
        )
        thread.start()
        return thread, opened

    def submit(self, work: Callable[[Table], _T]) -> asyncio.Future[_T]:
        """Have some work done."""
        answer = self._loop.create_future()
        self.calls.put(_Call(work=work, answer=answer))
        return answer

    def submit_row(self, row: tuple[Any, ...]) -> asyncio.Future[None]:
        """Have a row written."""
        answer = self._loop.create_future()
        self.calls.put(_Call(row=row, answer=answer))
        return answer

    def _run(self, opening: Callable[[], Table], opened: asyncio.Future[Table]) -> None:
        try:
            table = opening()
        except BaseException as error:  # noqa: BLE001  told to whoever waits
            self._tell([(opened, None, error)])
            return
        self._tell([(opened, table, None)])
        with contextlib.suppress(JournalError):
            while self._serve(table):
                pass
            table.close({})

    def _serve(self, table: Table) -> bool:
        """Work off what has collected, rows first; return whether to go on."""
        calls = self._take()
        answers: list[_Answer] = []
        if rows := [call for call in calls if call.row is not None]:
            error = _attempt(lambda: table.write([call.row for call in rows if call.row]))[1]
            answers += [(call.answer, None, error and _fresh(error)) for call in rows]
        for call in calls:
            if call.work is not None:
                answers.append((call.answer, *_attempt(functools.partial(call.work, table))))
        self.failure = table.failure
        self._tell(answers)
        return calls[-1] is not _CLOSE

    def _take(self) -> list[_Call]:
        calls = [self.calls.get()]
        with contextlib.suppress(queue.Empty):
            while len(calls) < MOST and calls[-1] is not _CLOSE:
                calls.append(self.calls.get_nowait())
        return calls

    def _tell(self, answers: "Sequence[_Answer]") -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:  # the loop was closed: nobody is left who could close the session
            self.calls.put(_CLOSE)


_Answer = tuple[asyncio.Future[Any] | None, Any, BaseException | None]


def _attempt(work: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001  told to whoever waits
        return None, error


def _fresh(error: BaseException) -> BaseException:
    return again(error) if isinstance(error, JournalError) else error


def _resolve(answers: Sequence[_Answer]) -> None:
    for answer, result, error in answers:
        if answer is None or answer.done():  # cancelled: nobody waits
            continue
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)


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
        thread: threading.Thread,
        runtime: Runtime,
    ) -> None:
        self.number = table.number
        self.resumed = table.number > 1
        self.before: Mapping[str, int] = table.before
        self.input_ended = table.input_ended
        self._path = path
        self._writer = writer
        self._thread = thread
        self._runtime = runtime
        self._process = os.getpid()
        self._noted = runtime.monotonic()
        self._closing: asyncio.Future[None] | None = None
        weakref.finalize(self, writer.calls.put, _CLOSE)

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
        await self._check().submit(lambda table: table.bind(workspace, app_id, app_name))

    async def look_up(self, pairs: Sequence[Detach], workspace: str = "") -> list[Row | None]:
        """See `Session`."""
        return await self._check().submit(lambda table: table.look_up(pairs, workspace))

    async def write(self, row: Row) -> None:
        """See `Session`."""
        writer = self._check()
        if writer.failure is not None:
            raise again(writer.failure)
        values = (*values_of(row)[:-2], self.number, round(self._runtime.wall(), 3))
        if self._path is None and writer.calls.qsize() < BACKLOG:
            writer.calls.put(_Call(row=values))
        else:
            await writer.submit_row(values)

    async def rows(self, wanted: Wanted, *, after: Row | None, limit: int = 1000) -> list[Row]:
        """See `Session`."""
        return await self._check().submit(lambda table: table.rows(wanted, after, limit))

    async def end_input(self) -> None:
        """See `Session`."""
        await self._check().submit(lambda table: table.update({"input_ended": True}))

    async def note(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        writer, now = self._check(), self._runtime.monotonic()
        if now - self._noted >= NOTE_EVERY:
            self._noted = now
            await writer.submit(lambda table: table.update(_known(facts)))

    async def close(self, **facts: Unpack[Facts]) -> None:
        """See `Session`."""
        if os.getpid() != self._process:
            return
        if self._closing is not None:
            await _outlast(self._closing)
            return
        ended = {**_known(facts), "ended_at": round(self._runtime.wall(), 3)}
        self._closing = self._writer.submit(lambda table: table.close(ended))
        self._writer.calls.put(_CLOSE)
        try:
            await _outlast(self._closing)
        finally:
            self._thread.join()
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
    thread, opened = writer.start(lambda: Table(path, binding, source, now))
    try:
        await _outlast(opened)
        return SqliteSession(path, opened.result(), writer, thread, runtime)
    except BaseException:
        writer.calls.put(_CLOSE)
        thread.join()
        raise
