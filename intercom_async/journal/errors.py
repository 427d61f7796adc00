"""What can be wrong with a journal, cut by what its owner would do next.

JournalError
├── JournalLockedError     another run writes it: wait for it, or name another file
├── JournalMismatchError   it belongs to another input or other parameters
├── JournalCorruptError    it was damaged or is no journal; nothing was changed
└── JournalWriteError      the disk refuses; what was acknowledged before is safe
"""

from intercom_async.errors import IntercomError


class JournalError(IntercomError):
    """Something is wrong with a journal.

    Attributes:
        path: the journal's file.
    """

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(message)


class JournalLockedError(JournalError):
    """Another run is writing this journal; nothing was read, changed or sent."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            f"the journal {path} is in use by another run; wait until that ends, or give this "
            "run a journal of its own",
        )


class JournalMismatchError(JournalError):
    """The journal tells of another input, or of a run with other parameters.

    Attributes:
        what: "input", or the name of the parameter that differs.
        ordinal: the first pair known to differ (1 is the input's first), or None.
        expected: what the journal says, in words, or None if it cannot tell.
        found: what there is now, in words.
    """

    def __init__(
        self,
        path: str,
        *,
        what: str,
        expected: str | None,
        found: str,
        message: str,
        ordinal: int | None = None,
    ) -> None:
        self.what = what
        self.ordinal = ordinal
        self.expected = expected
        self.found = found
        super().__init__(path, message)


class JournalCorruptError(JournalError):
    """A line is damaged that was once written whole, or the file is no journal.

    Attributes:
        line: number of the line, 1 being the file's first.
    """

    def __init__(self, path: str, *, line: int, message: str) -> None:
        self.line = line
        super().__init__(path, message)


class JournalWriteError(JournalError):
    """The journal cannot be opened or written; the operating system's error is the cause.

    Attributes:
        errno: the operating system's number, or None.
        durable: records that are safe on the disk, those of earlier sessions included. Pairs
            without one are redone after a resume, none of them is reported wrongly.
    """

    def __init__(self, path: str, *, message: str, errno: int | None, durable: int = 0) -> None:
        self.errno = errno
        self.durable = durable
        super().__init__(path, message)
