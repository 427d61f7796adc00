"""A run as a table: one row for each pair, so that a killed run can go on.

`row` says what is kept. A run works through its `session`, which writes with `sqlite` or
`postgres` in a thread of its own. Reports, exports and undo use `reader`.
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
