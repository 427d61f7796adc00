"""Files that hold ids of people: only their owner can read them."""

import errno
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final, cast

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)


def rewrite(path: str | Path) -> BinaryIO:
    """Open a file for its owner alone, to write it anew; create it if there is none.

    An existing file is first closed to others and only then emptied; anything but a regular file
    (a pipe, a terminal) stays as it is. Links are followed, but a link that leads nowhere creates
    nothing.

    Raises:
        OSError: the file cannot be opened, or is another user's and cannot be closed to others;
            its content stays.
    """
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(errno.ENOENT, "it is a link that leads nowhere", str(path))
    fd = os.open(path, _FLAGS, 0o600)
    try:
        facts = os.fstat(fd)
        if stat.S_ISREG(facts.st_mode):
            _close_to_others(fd, facts)
            os.ftruncate(fd, 0)
    except OSError as error:
        os.close(fd)
        error.filename = str(path)
        raise
    return cast("BinaryIO", os.fdopen(fd, "wb"))


def _close_to_others(fd: int, facts: os.stat_result) -> None:
    if sys.platform != "win32" and facts.st_mode & 0o077:
        try:
            os.fchmod(fd, 0o600)
        except OSError:  # no right to, or a file system without modes
            if facts.st_uid != os.geteuid():
                raise
