"""One run at a time: a lock on a file beside the journal.

Not on the journal itself: closing any descriptor of a database drops SQLite's own locks. `flock`
rather than POSIX record locks, which do not keep out the same process, and which any copy of the
folder made within the process would drop. A forked child inherits a `flock`, so it closes its
copy at once.
"""

import contextlib
import errno
import os
import sys
import weakref

from intercom_async.journal.errors import JournalError, JournalLockedError, JournalWriteError

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})


class Lock:
    """The right to write the journal at `path`, until it is released or this process ends.

    Raises:
        JournalLockedError: another run has it.
        JournalError: the file system cannot lock, or the file beside cannot be created.
    """

    def __init__(self, path: str) -> None:
        self._path = f"{path}-lock"
        self._fd: int | None = None
        while self._fd is None:
            try:
                fd = os.open(self._path, _FLAGS, 0o600)
            except OSError as error:
                raise JournalWriteError(
                    path,
                    f"the journal {path} cannot be written: {self._path} cannot be opened "
                    f"({error.strerror}); nothing was sent",
                    errno=error.errno,
                ) from error
            try:
                _lock(fd)
                self._fd = fd if self._is_current(fd) else None
            except OSError as error:
                if error.errno in _TAKEN:
                    raise JournalLockedError(path) from None
                raise JournalError(
                    path,
                    f"the file system of {path} cannot lock files ({error.strerror}); keep the "
                    "journal on a local disk",
                ) from error
            finally:
                if self._fd is None:
                    os.close(fd)
        _held.add(self)

    def _is_current(self, fd: int) -> bool:
        """Whether the locked file is still there; a run that ends removes it."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self._path))  # noqa: PTH116  of a pair
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let the next run in, and remove the file; harmless when that has happened."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):  # Windows removes no open file: it stays
                os.unlink(self._path)  # noqa: PTH108  while it is locked: nobody else's is removed
            with contextlib.suppress(OSError):  # for a child that is just being forked, too
                _unlock(fd)
            os.close(fd)

    def leave_to_parent(self) -> None:
        """Close a forked child's copy, which would keep the lock after the parent's end."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


_held: "weakref.WeakSet[Lock]" = weakref.WeakSet()


def _leave_all() -> None:
    for lock in list(_held):
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
