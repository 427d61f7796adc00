"""One run at a time writes a journal file: a lock on another file beside it.

The journal itself is not locked: closing any descriptor of a database drops SQLite's own locks. The
lock is a `flock`. POSIX record locks would not keep out the same process, and would be dropped when
the process copies the folder. A forked child inherits a `flock`, so it closes its copy at once.
"""

import contextlib
import os
import sys
from collections.abc import Generator

from intercom_async.journal.errors import JournalError, JournalLockedError

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)

_held = set[int]()
"""This process's locks."""


@contextlib.contextmanager
def locked(path: str) -> Generator[None]:
    """Hold the right to write the journal at `path`, until the block or this process ends.

    Raises:
        JournalLockedError: another run has it.
        JournalError: the file system cannot lock.
        OSError: the file beside cannot be created.
    """
    beside = f"{path}-lock"
    while not _is_current(fd := _locked(path, beside), beside):
        os.close(fd)
    _held.add(fd)
    try:
        yield
    finally:
        if fd in _held:  # not in a forked child
            _held.remove(fd)
            with contextlib.suppress(OSError):  # Windows removes no open file: it stays
                os.unlink(beside)  # noqa: PTH108  while locked, so that no other run's is removed
            os.close(fd)


def _locked(path: str, beside: str) -> int:
    fd = os.open(beside, _FLAGS, 0o600)
    try:
        _lock(fd)
    except (BlockingIOError, PermissionError):  # the latter on Windows
        os.close(fd)
        raise JournalLockedError(path) from None
    except OSError as error:
        os.close(fd)
        raise JournalError(
            path,
            f"the file system of {path} cannot lock files ({error.strerror}); keep the "
            "journal on a local disk",
        ) from error
    return fd


def _is_current(fd: int, beside: str) -> bool:
    """Whether the locked file is still there; a run that ends removes it."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(beside))  # noqa: PTH116  of a pair
    except FileNotFoundError:
        return False


def _leave_to_parent() -> None:
    """Close a forked child's copies, which would keep the locks after the parent's end."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
