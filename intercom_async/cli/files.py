"""Files that a command writes: never one that it reads, and results as JSON lines."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from rich.console import Console

from intercom_async.cli.running import say
from intercom_async.errors import InvalidArgumentError
from intercom_async.private_files import rewrite

SIDE_FILES: Final = ("", "-wal", "-shm", "-journal", "-lock")
"""What a journal's name is continued with by the files beside it."""

_RESULT: Final = b'{"conversation_id":'
"""What a line of results begins with."""


def refuse_same_files(read: Mapping[str, Path | int], written: Mapping[str, Path | int]) -> None:
    """Compare files as files, through links, before any of them is opened.

    Args:
        read: files by the option that names them; a number is a descriptor.
        written: likewise; no two of them may be the same file either.

    Raises:
        InvalidArgumentError: a file would be written that is read, or written twice.
    """
    taken = {mark: name for name, file in read.items() for mark in _marks(file)}
    for name, file in written.items():
        for mark in _marks(file):
            other = taken.setdefault(mark, name)
            if other != name:
                raise InvalidArgumentError(name, str(file), f"another file than {other}")


def journal_files(path: Path) -> Iterator[Path]:
    """Yield a journal and the files that stand beside it."""
    for ending in SIDE_FILES:
        yield path.with_name(path.name + ending)


def _marks(file: Path | int) -> Iterator[object]:
    """What tells a file from others: its place on the disk, and its name if there is none yet."""
    with contextlib.suppress(OSError):
        facts = os.fstat(file) if isinstance(file, int) else file.stat()
        if stat.S_ISREG(facts.st_mode):
            yield facts.st_dev, facts.st_ino
        return
    if isinstance(file, Path):
        yield file.resolve()


def open_results(target: Path, console: Console, *, resumes: bool) -> BinaryIO:
    """Open what results are written to, "-" for standard output.

    A run that resumes adds to the results that are there; a new one replaces them. What holds
    anything else is not touched.

    Raises:
        InvalidArgumentError: the file holds something else.
        OSError: it cannot be opened.
    """
    if str(target) == "-":
        return sys.stdout.buffer
    if not target.is_file() or not target.stat().st_size:
        return rewrite(target)
    with target.open("rb") as existing:
        if existing.read(len(_RESULT)) != _RESULT:
            raise InvalidArgumentError("--output", str(target), "a new file or one with results")
    if not resumes:
        return rewrite(target)
    file = target.open("r+b")
    file.truncate(_end_of_last_line(file))
    file.seek(0, io.SEEK_END)
    say(console, f"adding to the results in {target}", "dim")
    return file


def _end_of_last_line(file: BinaryIO) -> int:
    """Where the last whole line ends: a run that was killed may have left half of one."""
    end = file.seek(0, io.SEEK_END)
    while end:
        begin = max(0, end - 65536)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
