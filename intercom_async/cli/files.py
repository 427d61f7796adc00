"""The files that a command writes: never one that it reads."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from rich.console import Console

from intercom_async.cli.printing import say
from intercom_async.cli.running import CommandError
from intercom_async.detaching import DetachResult
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal.reader import Reader
from intercom_async.private_files import rewrite

_SIDE_FILES: Final = ("", "-wal", "-shm", "-journal", "-lock")
"""Endings of a journal's name and of those of the files beside it."""

_RESULT: Final = b'{"conversation_id":'
"""The beginning of each line of results."""

_LONGEST_RESULT: Final = 1024 * 1024  # bytes; the line of a result is far shorter
_Named = Iterable[tuple[str, Path | int]]
"""Files or descriptors, each with the option that names it."""


def refuse_same_files(read: _Named, written: _Named) -> None:
    """Refuse to write a file that another option reads or writes, also through links."""
    taken: dict[object, str] = {_identity(file): name for name, file in read}
    for name, file in written:
        other = taken.setdefault(_identity(file), name)
        if other != name:
            expected = f"another file than {other}"
            raise InvalidArgumentError(name, str(file), expected, seen="is the same file")


def _identity(file: Path | int) -> object:
    """Return a regular file's place on the disk; something unlike all others for a pipe."""
    try:
        facts = os.fstat(file) if isinstance(file, int) else file.stat()
    except OSError:
        return file.resolve() if isinstance(file, Path) else object()
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) else object()


def journal_files(path: Path) -> Iterator[Path]:
    """Yield a journal and the files that stand beside it."""
    for ending in _SIDE_FILES:
        yield Path(f"{path}{ending}")


@contextlib.contextmanager
def writing(option: str, target: Path, journal: Reader) -> Generator[BinaryIO]:
    """Open a file for its owner alone; refuse the journal and its sessions' inputs."""
    own = journal_files(Path(journal.path)) if journal.in_file else ()
    read = [(file.name, file) for file in own]
    sources = (one.source.name for one in journal.sessions if one.source and one.source.name)
    read += [(f"the input {name}", Path(name)) for name in sources]
    refuse_same_files(read, [(option, target)])
    file = rewrite(target)
    try:
        with file:
            yield file
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror or error}") from error


class Results:
    """Writes results as JSON lines to a file, to "-" for standard output, or to None for nowhere.

    A run that goes on appends to its results; a new run replaces them. A file with anything else
    is refused. The first error is kept in `lost` and ends the writing.
    """

    def __init__(self, target: Path | None, console: Console, *, resumes: bool) -> None:
        self.lost: OSError | None = None
        self._file = None if target is None else _open(target, console, resumes=resumes)

    def write(self, result: DetachResult) -> bool:
        """Write a line; return whether the writing still works."""
        try:
            if self._file is not None:
                self._file.write(msgspec.json.encode(result.to_dict()) + b"\n")
        except OSError as error:
            self.lost = error
        return self.lost is None

    def close(self) -> None:
        """Write what is left; standard output stays open."""
        if self._file is None:
            return
        try:
            self._file.flush() if self._file is sys.stdout.buffer else self._file.close()
        except OSError as error:
            self.lost = self.lost or error


def _open(target: Path, console: Console, *, resumes: bool) -> BinaryIO:
    if str(target) == "-":
        return sys.stdout.buffer
    if not target.is_file() or not target.stat().st_size:
        return rewrite(target)
    with target.open("rb") as existing:
        if existing.read(len(_RESULT)) != _RESULT:
            raise InvalidArgumentError(
                "--output", str(target), "a new file, or one with earlier results"
            )
    if not resumes:
        return rewrite(target)
    say(console, f"adding to the results in {target}", "dim")
    file = target.open("r+b")
    start = max(0, file.seek(0, io.SEEK_END) - _LONGEST_RESULT)
    file.seek(start)
    # A killed run can leave half a line behind it.
    file.truncate(start + file.read().rfind(b"\n") + 1)
    file.seek(0, io.SEEK_END)
    return file
