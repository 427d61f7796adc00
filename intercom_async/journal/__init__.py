"""A run's memory on disk: what became of every pair, so that a killed run can go on.

`format` says what the lines are, `replay` what they add up to and whether the input is still the
same one (both pure), `files` reads, locks and repairs, `session` writes.
"""

from intercom_async.journal.errors import (
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    JournalWriteError,
)
from intercom_async.journal.files import latest, read_journal, scan, unsettled
from intercom_async.journal.format import Header, Record
from intercom_async.journal.replay import Admitted
from intercom_async.journal.session import Commit, Journal, JournalSession

__all__ = [
    "Admitted",
    "Commit",
    "Header",
    "Journal",
    "JournalCorruptError",
    "JournalError",
    "JournalLockedError",
    "JournalMismatchError",
    "JournalSession",
    "JournalWriteError",
    "Record",
    "latest",
    "read_journal",
    "scan",
    "unsettled",
]
