"""What can be wrong with a journal: one class for each thing that you would do next.

JournalError               it cannot be used, for the reason given
├── JournalLockedError     another run writes it: wait for it, or name another file
├── JournalLostError       another worker took the run over: leave it to that one
├── JournalMismatchError   it belongs to another workspace, region or operation
├── JournalCorruptError    it was damaged or is no journal; nothing was changed
└── JournalWriteError      it cannot be written; every result given before is safe
"""

from typing import Final

from intercom_async.errors import IntercomError, readable

NOTHING_SENT: Final = "nothing was sent"
SAFE: Final = "every result so far is safe in it. Mend that and run it again: nothing is done twice"


class JournalError(IntercomError):
    """Something is wrong with the journal at `path`."""

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


class JournalLostError(JournalError):
    """Another worker owns the run by now, because this one was silent for too long.

    Since then this worker has written nothing, sent nothing and given no result. The other worker
    checks the pairs in doubt.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            f"another worker has taken over the journal {path}, because this one was silent for "
            "too long; leave the run to that one",
        )


class JournalMismatchError(JournalError):
    """The journal belongs to another operation, region or workspace; it was not changed.

    Attributes:
        what: "operation", "base_url" or "workspace".
        expected: what the journal says, in words.
        found: what this run has, in words.
    """

    def __init__(self, path: str, *, what: str, expected: str, found: str) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        super().__init__(
            path,
            f"the journal {path} belongs to a run with {what} {expected}, and this one has "
            f"{found}; use the same {what}, or another journal",
        )


class JournalCorruptError(JournalError):
    """The file is damaged, or no journal of this library; nothing in it was changed."""


class JournalWriteError(JournalError):
    """The journal cannot be opened or written; the system's or database's error is the cause.

    The journal has every result that the run gave, so the run can go on from there.
    """


def unusable(path: str, error: BaseException, safe: str, reason: str = "") -> JournalWriteError:
    """Return an error that says why a journal cannot be used, and what is safe."""
    made = JournalWriteError(
        path, f"the journal {path} cannot be used ({reason or readable(str(error))}); {safe}"
    )
    made.__cause__ = error.with_traceback(None)  # it would keep what was being written
    return made
