"""The command `intercom-async`; needs the extra `cli`."""

import atexit
import errno
import io
import os
import sys
from typing import Final

from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.signals import ignore_signals, interruptible

_TYPER_INTERRUPTED: Final = 130
"""Exit status of typer, when it is interrupted as it reads the command line or ends a command."""


def main() -> None:
    """Run the command line, or name the line that installs it."""
    atexit.register(ignore_signals)
    with interruptible():
        try:
            _mend_streams()
            from intercom_async.cli.app import app  # noqa: PLC0415  the extra may be missing

            app()
        except ModuleNotFoundError as error:
            if error.name not in {"jinja2", "rich", "typer"}:
                raise
            needed = "intercom-async needs its extra 'cli': pip install 'intercom_async[cli]'\n"
            sys.stderr.write(needed)
            sys.exit(ExitStatus.USAGE)
        except (KeyboardInterrupt, SystemExit) as ending:
            ignore_signals()
            if isinstance(ending, SystemExit) and ending.code != _TYPER_INTERRUPTED:
                raise
            sys.stderr.write("interrupted\n")
            sys.exit(ExitStatus.INTERRUPTED)


def _mend_streams() -> None:
    """Open the null device for each stream that the shell closed: a file must not take its place.

    Make the others spell in ASCII the characters that the terminal's encoding lacks.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.write(fd, b"") if fd else os.fstat(fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                continue
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, fd)
            if null > 2:
                os.close(null)
            setattr(sys, name, open(fd, "w" if fd else "r", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
