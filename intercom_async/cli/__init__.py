"""The command `intercom-async`; needs the extra `cli`."""

import errno
import io
import os
import sys
from typing import NoReturn

from intercom_async.cli.signals import listening

USAGE = 2
"""Exit status for a command that was given something it cannot use."""
INTERRUPTED = 4
"""Exit status after Ctrl-C or SIGTERM."""
_TYPER_INTERRUPTED = 130
"""The same in typer's words, while it reads the command line or ends a command."""


def main() -> None:
    """Run the command line, or name the line that installs it."""
    with listening():
        try:
            _mend_streams()
            from intercom_async.cli.app import app  # noqa: PLC0415  the extra may be missing

            app()
        except ModuleNotFoundError as error:
            if error.name not in {"jinja2", "rich", "typer"}:
                raise
            sys.stderr.write(
                "intercom-async needs its extra 'cli': pip install 'intercom_async[cli]'\n"
            )
            sys.exit(USAGE)
        except KeyboardInterrupt:
            _interrupted()
        except SystemExit as ending:
            if ending.code != _TYPER_INTERRUPTED:
                raise
            _interrupted()


def _interrupted() -> NoReturn:
    sys.stderr.write("interrupted\n")
    sys.exit(INTERRUPTED)


def _mend_streams() -> None:
    """Open the null device for each stream that the shell closed, else the next file would be it.

    Characters that the terminal's encoding lacks are spelled in ASCII.
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
