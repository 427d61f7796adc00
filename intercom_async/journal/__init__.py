"""A run as a table: one row for each pair, so that a killed run can go on.

`row` says what is kept, `session` what a run asks of it; `sqlite` or
`postgres` writes, in the thread of `writer`, and `reader` reads.
"""

from intercom_async.journal.errors import (
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalLostError,
    JournalMismatchError,
    JournalWriteError,
)
from intercom_async.journal.journal import Journal
from intercom_async.journal.row import SETTLED, Binding, Row, Source, State
from intercom_async.journal.session import Session
from intercom_async.journal.store import Facts, Wanted

__all__ = [
    "SETTLED",
    "Binding",
    "Facts",
    "Journal",
    "JournalCorruptError",
    "JournalError",
    "JournalLockedError",
    "JournalLostError",
    "JournalMismatchError",
    "JournalWriteError",
    "Row",
    "Session",
    "Source",
    "State",
    "Wanted",
]
