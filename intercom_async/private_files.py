"""Files with ids of people in them, for their owner alone."""

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final, cast

_ALWAYS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_private(path: str | Path, flags: int) -> int:
    """Open a file, or create it for its owner alone, and return its descriptor.

    A file that was there and is empty is closed to others, too; one that has content keeps the
    mode its owner gave it. A link that leads nowhere is not followed to create something there.

    Args:
        path: the file.
        flags: of `os.open`, besides those to create it.

    Raises:
        OSError: it cannot be opened, or is somebody else's who could read it.
    """
    for _ in range(2):  # somebody else may create it in between
        with contextlib.suppress(FileNotFoundError):
            return _closed_to_others(os.open(path, flags | _ALWAYS))
        with contextlib.suppress(FileExistsError):
            return os.open(path, flags | _ALWAYS | os.O_CREAT | os.O_EXCL, 0o600)
    raise FileNotFoundError(None, "it is a link that leads nowhere", str(path))


def rewrite(path: str | Path) -> BinaryIO:
    """Open a file for its owner alone to be written from its beginning; see `open_private`."""
    fd = open_private(path, os.O_WRONLY | os.O_TRUNC)
    return cast("BinaryIO", os.fdopen(fd, "wb"))


def _closed_to_others(fd: int) -> int:
    if sys.platform == "win32":  # pragma: no cover
        return fd
    facts = os.fstat(fd)
    if stat.S_ISREG(facts.st_mode) and not facts.st_size and facts.st_mode & 0o077:
        try:
            os.fchmod(fd, 0o600)
        except OSError:  # no right to, or a file system without modes
            if facts.st_uid != os.geteuid():
                os.close(fd)
                raise
    return fd
