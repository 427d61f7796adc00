"""Files that commands write: never onto one that is read, and for their owner alone."""

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from intercom_async.errors import InvalidArgumentError
from intercom_async.private_files import rewrite


def refuse_target(
    option: str, target: Path, journal: Path, sources: Iterable[str | None] = ()
) -> None:
    """Refuse a file that a run reads or keeps; nothing is changed.

    Raises:
        InvalidArgumentError: it is the journal, a file beside it, or an input of its sessions.
    """
    kept = [Path(f"{journal}{ending}") for ending in ("", "-wal", "-shm")]
    read = [Path(source) for source in sources if source]
    for file in (*kept, *read):
        if _same(target, file):
            what = "the journal itself" if file in kept else "an input of the run"
            raise InvalidArgumentError(option, str(target), f"another file: this one is {what}")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return one.resolve() == other.resolve()


@contextmanager
def writing(target: Path) -> Generator[BinaryIO]:
    """Open a file for its owner alone; what fails names the file.

    Raises:
        OSError: it cannot be created or written.
    """
    with rewrite(target) as file:
        try:
            yield file
            file.flush()
        except OSError as error:
            error.filename = os.fspath(target)
            raise
