"""The journal as a file: opened, locked, repaired, appended to, and read.

Only the tail of a file can be torn: what was acknowledged had been synced before anything was
written behind it. So a last line that is no JSON is cut, and so is a tail in which a power cut
left zero bytes, if it is no longer than one write. Damage anywhere else is reported, never
repaired: it would mean to forget what was promised.

Everything here blocks; `session` calls it in a thread.
"""

import array
import contextlib
import itertools
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Generic, Self, TypeVar

import attrs

from intercom_async.detaching import Detach
from intercom_async.journal.errors import (
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    JournalWriteError,
)
from intercom_async.journal.fates import SettledPairs
from intercom_async.journal.format import (
    NAME,
    SCHEMA,
    Header,
    Line,
    LineError,
    Record,
    Resumed,
    decode,
    decode_fate,
    encode,
)
from intercom_async.journal.replay import Replay
from intercom_async.private_files import open_private

if sys.platform != "win32":
    import fcntl

WRITE: Final = 1 << 20
"""Bytes of one write, except that a line is never divided."""

READ: Final = 1 << 20
"""Bytes read at once."""

FIRST_LINE: Final = 1 << 20
"""Bytes that a header may have."""

NEAR: Final = 2 << 20
"""Bytes searched for the record that contradicts the input."""

_HEADER_START: Final = b'{"journal":"%s",' % NAME.encode()


class Abandoned(Exception):  # noqa: N818  no error: nobody waits for the answer any more
    """Whoever wanted the journal opened was cancelled."""


class Disk:
    """The system calls that can fail; tests hand in others."""

    def write(self, fd: int, data: memoryview) -> int:
        """Write some of the bytes and return how many."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """Wait until everything written is on the disk."""
        getattr(os, "fdatasync", os.fsync)(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(fd, size)


class JournalFile:
    """A locked journal, open for appending.

    Attributes:
        durable: records on the disk, those of earlier sessions included.
    """

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        self.durable = 0
        self._disk = disk
        self._size = 0
        self._good = 0
        self._fd: int | None = None

    def open(self) -> Self:
        """Open or create the file, for this user alone, and lock it.

        Raises:
            JournalWriteError: it cannot be.
            JournalLockedError: another run has it.
            JournalError: it is no regular file.
        """
        try:
            self._fd = open_private(self.path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise JournalWriteError(
                self.path,
                message=f"the journal {self.path} cannot be opened for writing "
                f"({error.strerror or error}); nothing was sent",
                errno=error.errno,
            ) from error
        try:
            self._lock(self._fd)
            self._measure(self._fd)
        except BaseException:
            self.close()
            raise
        return self

    def _lock(self, fd: int) -> None:
        if sys.platform == "win32":  # pragma: no cover
            warnings.warn(
                f"this system cannot lock {self.path}; make sure that only one run writes it",
                RuntimeWarning,
                stacklevel=2,
            )
        else:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JournalLockedError(self.path) from None
            except OSError as error:
                raise JournalError(
                    self.path,
                    f"the file system of {self.path} cannot lock files "
                    f"({error.strerror or error}); keep the journal on a local disk",
                ) from error

    def _measure(self, fd: int) -> None:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise JournalError(
                self.path, f"{self.path} is no regular file, so it cannot hold a journal"
            )
        self._size = facts.st_size

    def close(self) -> None:
        """Unlock and close it; harmless when that has happened."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    @property
    def fd(self) -> int:
        """The open file."""
        if self._fd is None:
            raise JournalError(self.path, f"the journal {self.path} is closed")
        return self._fd

    def replay(self, *, abandoned: Callable[[], bool] = lambda: False) -> Replay | None:
        """Add up all lines but a torn tail; return None if the file is new.

        Raises:
            JournalCorruptError: damage that is no torn tail, or no journal.
            JournalError: a newer version wrote it.
            Abandoned: as was asked.
        """
        replay = Replay()
        lines = _Lines(self.path, replay.feed)
        os.lseek(self.fd, 0, os.SEEK_SET)
        with open(self.fd, "rb", buffering=READ, closefd=False) as file:
            _unless(abandoned, lines.walk(file, self._size))
            if not replay.recent_can_be_compared():
                # A reader of everything in every line says which one.
                _unless(abandoned, _read(self.path, lambda line, _: decode(line)))
        self.durable = replay.records
        self._good = lines.good
        return replay if lines.good else None

    def cut_torn_tail(self) -> None:
        """Leave what `replay` added up, and nothing behind it.

        Raises:
            JournalWriteError: that is not possible.
        """
        if self._good < self._size:
            try:
                self._disk.truncate(self.fd, self._good)
                self._disk.sync(self.fd)
            except OSError as error:
                raise self._write_error(error) from error
            self._size = self._good

    def pairs(
        self, wanted: Callable[[Record], bool], *, abandoned: Callable[[], bool] = lambda: False
    ) -> SettledPairs:
        """Collect by their ids the pairs of some records, settled or of unknown fate.

        Raises:
            Abandoned: as was asked.
        """
        pairs = SettledPairs()

        def collect(line: bytes, _: int) -> None:
            record = decode(line)
            if (
                isinstance(record, Record)
                and (record.outcome.settled or record.in_doubt)
                and wanted(record)
            ):
                pairs.add(
                    record.detach,
                    record.outcome,
                    inferred=record.inferred,
                    ambiguous=record.ambiguous,
                )

        _unless(abandoned, _read(self.path, collect))
        return pairs

    def record_between(self, first: int, last: int, offset: int) -> Iterator[Record]:
        """Find records of some pairs near a place of the file; some may be missed."""
        with Path(self.path).open("rb") as file:
            file.seek(offset)
            near = file.read(NEAR)
        for line in near.splitlines()[:-1]:
            with contextlib.suppress(LineError):
                record = decode(line)
                if isinstance(record, Record) and first <= record.ordinal <= last:
                    yield record

    def append(self, data: bytes, records: int) -> None:
        """Write whole lines and wait until they are on the disk.

        Raises:
            JournalWriteError: they may not be; the file ends with a whole line if possible.
        """
        view = memoryview(data)
        written = 0
        try:
            while written < len(data):
                written += self._disk.write(self.fd, view[written:])
            self._disk.sync(self.fd)
        except OSError as error:
            whole = data.rfind(b"\n", 0, written) + 1
            if whole < written:
                with contextlib.suppress(OSError):
                    self._disk.truncate(self.fd, self._size + whole)
            raise self._write_error(error) from error
        self._size += written
        self.durable += records

    def sync_folder(self) -> None:
        """Make the file's name durable, where folders can be synced."""
        with contextlib.suppress(OSError):
            fd = os.open(Path(self.path).absolute().parent, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _write_error(self, error: OSError) -> JournalWriteError:
        return write_error(self.path, error, self.durable)


def write_error(path: str, error: OSError, durable: int) -> JournalWriteError:
    """Say that writing failed, and what is safe."""
    return JournalWriteError(
        path,
        message=f"the journal {path} cannot be written ({error.strerror or error}); "
        f"{durable} records are safe in it. Make room or repair the disk, then resume: what has "
        "no record is done again, and reported truthfully",
        errno=error.errno,
        durable=durable,
    )


@attrs.define
class KnownPairs:
    """Pairs that are known by their ids.

    Attributes:
        earlier: settled by inputs before this one; None if there were none.
        later: of this input, behind the first pair that is not settled; those that occur again
            may come before.
    """

    earlier: SettledPairs | None = None
    later: SettledPairs = attrs.field(factory=SettledPairs)


def open_journal(
    file: JournalFile,
    *,
    header: Header,
    new_input: bool,
    abandoned: Callable[[], bool] = lambda: False,
) -> tuple[Replay, KnownPairs, bool]:
    """Open a journal for a session: a new one, or one that is resumed.

    Args:
        file: not open yet; closed again if this fails.
        header: for a new journal; an existing one must have the same parameters.
        new_input: whether the pairs may differ from those of earlier sessions.
        abandoned: whether to give up.

    Returns:
        What the lines add up to, the pairs known by their ids, and whether the journal existed.

    Raises:
        JournalError: of any kind.
        Abandoned: as was asked.
    """
    file.open()
    try:
        replay = file.replay(abandoned=abandoned)
        if replay is None:
            replay = Replay()
            line = encode(header)
            file.cut_torn_tail()
            file.append(line, 0)
            file.sync_folder()
            replay.feed(line, 0)
            return replay, KnownPairs(), False
        _check_parameters(file.path, replay, header)
        changed = new_input and replay.extent > replay.fates.after
        after = replay.extent if changed else replay.fates.after
        known = KnownPairs()
        if after:
            known.earlier = file.pairs(
                lambda one: one.ordinal <= after and one.outcome.settled, abandoned=abandoned
            )
        if not changed and (first := replay.fates.first_unsettled()):
            known.later = file.pairs(lambda one: one.ordinal > first, abandoned=abandoned)
        line = encode(Resumed(resumed=header.created, new_input_after=after if changed else None))
        file.cut_torn_tail()
        file.append(line, 0)
        replay.feed(line, 0)
    except BaseException:
        file.close()
        raise
    return replay, known, True


def _check_parameters(path: str, replay: Replay, header: Header) -> None:
    then = {} if replay.header is None else replay.header.parameters
    now = header.parameters
    for name in then | now:
        if then.get(name) != now.get(name):
            raise JournalMismatchError(
                path,
                what=name,
                expected=str(then.get(name)),
                found=str(now.get(name)),
                message=f"the journal {path} belongs to a run with {name} = {then.get(name)!r}, "
                f"and this one has {now.get(name)!r}; use the same, or another journal",
            )


def _unless(abandoned: Callable[[], bool], work: Iterator[object]) -> None:
    """Exhaust an iterator, looking up now and then."""
    for number, _ in enumerate(work):
        if number % 8192 == 0 and abandoned():
            raise Abandoned


_T = TypeVar("_T")


class _Lines(Generic[_T]):
    """The good lines of a file, and where they end.

    Args:
        path: for messages.
        use: what to make of a line and its position.
    """

    def __init__(self, path: str, use: Callable[[bytes, int], _T]) -> None:
        self.good = 0
        self._path = path
        self._use = use
        self._number = 0

    def walk(self, file: BinaryIO, size: int) -> Iterator[_T]:
        """Yield what was made of each line that begins before `size`.

        Raises:
            JournalCorruptError: damage that is no torn tail, or no journal.
            JournalError: a newer version wrote it.
        """
        first = file.readline(FIRST_LINE)
        if _torn_header(first):
            return
        self._check_header(first)
        bad: tuple[bytes, LineError] | None = None
        use, offset = self._use, 0
        for line in itertools.chain((first,), file):
            if offset >= size or bad is not None:  # a bad one is not the last one
                break
            self._number += 1
            try:
                if not line.endswith(b"\n"):
                    raise LineError("it has no end", torn=True)  # noqa: TRY301
                made = use(line, offset)
            except LineError as error:
                bad = line, error
                if not line.endswith(b"\n"):
                    return  # the file ended here, even if it has grown since
            else:
                offset = self.good = offset + len(line)
                yield made
        else:
            if bad is None or bad[1].torn:
                return
        if bad is None or (b"\0" in bad[0] and size - self.good <= WRITE):
            return
        raise self._corrupt(*bad)

    def _check_header(self, line: bytes) -> None:
        try:
            header = decode(line)
        except LineError:
            header = None
        if not isinstance(header, Header) or header.journal != NAME:
            raise JournalCorruptError(
                self._path,
                line=1,
                message=f"{self._path} is no journal of this library; nothing in it was changed. "
                "Name another file",
            )
        if header.schema > SCHEMA:
            raise JournalError(
                self._path,
                f"the journal {self._path} was written by a newer version of this library "
                f"(schema {header.schema}, this one knows {SCHEMA}); update the library",
            )

    def _corrupt(self, line: bytes, error: LineError) -> JournalCorruptError:
        number = self._number
        return JournalCorruptError(
            self._path,
            line=number,
            message=f"line {number} of the journal {self._path} is damaged: {error}; it begins "
            f"{line[:60]!r}. Nothing was changed. Restore the file from a copy, or keep the lines "
            f"before it (head -n {number - 1}) and resume: pairs whose records are lost are done "
            "again",
        )


def _torn_header(line: bytes) -> bool:
    """Whether a file holds nothing but what a crash left of its first line."""
    if line.endswith(b"\n") or len(line) >= FIRST_LINE:
        return False
    written = line.rstrip(b"\0")
    return written.startswith(_HEADER_START) or _HEADER_START.startswith(written)


def _read(
    path: str | os.PathLike[str], use: Callable[[bytes, int], _T], size: int | None = None
) -> Iterator[_T]:
    name = os.fspath(path)
    try:
        file = Path(name).open("rb", buffering=READ)  # noqa: SIM115  closed below
    except OSError as error:
        raise JournalError(
            name, f"the journal {name} cannot be read ({error.strerror or error})"
        ) from error
    with file:
        limit = os.fstat(file.fileno()).st_size if size is None else size
        yield from _Lines(name, use).walk(file, limit)


def scan(path: str | os.PathLike[str]) -> Iterator[Line]:
    """Read every line, the header first, in bounded memory; a torn last line is left out.

    The journal may be one that is being written: what was written when reading began is read.

    Raises:
        JournalCorruptError: a damaged line, or no journal.
        JournalError: it cannot be read, or a newer version wrote it.
    """
    return _read(path, lambda line, _: decode(line))


def read_journal(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Read the records in the order in which they were written, in bounded memory.

    A later record of a pair overrides an earlier one; see `latest`.

    Raises:
        JournalError: see `scan`.
    """
    return (line for line in scan(path) if isinstance(line, Record))


def latest(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Read the last record of each pair; reads the file twice, 5 bytes of memory per pair.

    Of inputs that were replaced by another one (`changed_input="accept"`) only the settled pairs
    count: the others are the new input's business.

    Raises:
        JournalError: see `scan`.
    """
    replay = Replay()
    counts = array.array("I")
    end = 0

    def count(line: bytes, offset: int) -> None:
        nonlocal end
        before = replay.records
        replay.feed(line, offset)
        end = offset + len(line)
        if replay.records > before:
            ordinal = decode_fate(line).ordinal
            if ordinal >= len(counts):
                counts.frombytes(bytes(counts.itemsize * (ordinal + 1024 - len(counts))))
            counts[ordinal] += 1

    for _ in _read(path, count):
        pass
    after = replay.fates.after
    for record in _read(path, lambda line, _: decode(line), end):
        if isinstance(record, Record):
            counts[record.ordinal] -= 1
            current = record.ordinal > after or record.outcome.settled
            if not counts[record.ordinal] and current:
                yield record


def unsettled(path: str | os.PathLike[str]) -> Iterator[Detach]:
    """Read the pairs that were recorded and not settled: failed, unknown, not attempted.

    Pairs that the run never read, or that were in flight when it was killed, are not in there:
    resume it with its own input for them.

    Raises:
        JournalError: see `scan`.
    """
    return (record.detach for record in latest(path) if not record.outcome.settled)
