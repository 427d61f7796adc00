"""The exit statuses of the command."""

import enum
from typing import Final


class ExitStatus(enum.IntEnum):
    """What the process returns to the shell."""

    SETTLED = 0
    SOME_FAILED = 1
    USAGE = 2
    STOPPED = 3
    INTERRUPTED = 4


EXIT_STATUS: Final = (
    "Exit status: 0 all is done; 1 some pairs are not settled, some lines gave no pair, the "
    "input was not read to its end, or no contact was found; 2 an option or a file cannot be "
    "used; 3 stopped (token, plan, Intercom away, wrong workspace, full disk); 4 interrupted, not "
    "confirmed, or the reader of the output has gone."
)
"""Every --help ends with it, and README quotes it."""
