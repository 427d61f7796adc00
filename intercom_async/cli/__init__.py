"""The command `intercom-async`; needs the extra `cli`."""

import io
import os
import sys

from intercom_async.cli.signals import listening

USAGE = 2
"""Exit status for a command that was given something it cannot use."""
INTERRUPTED = 4
"""Exit status after Ctrl-C or SIGTERM."""


def main() -> None:
    """Run the command line, or say how to install it."""
    with listening():
        try:
            _mend_streams()
            from intercom_async.cli.app import run  # noqa: PLC0415  the extra may be missing

            run()
        except ModuleNotFoundError as error:
            if error.name not in {"rich", "typer"}:
                raise
            sys.stderr.write(
                "intercom-async needs its extra 'cli': pip install 'intercom_async[cli]'\n"
            )
            sys.exit(USAGE)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            sys.exit(INTERRUPTED)


def _mend_streams() -> None:
    """Open what the shell closed, or the next file that is opened would get what is printed.

    What a terminal's encoding lacks is spelled like "\\u2026".
    """
    if None in {sys.stdin, sys.stdout, sys.stderr}:
        while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(fd)
        sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  for good
        sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
