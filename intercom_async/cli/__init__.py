"""The command `intercom-async`; needs the extra `cli`."""

import sys

USAGE = 2
"""Exit status for a command that was given something it cannot use."""


def main() -> None:
    """Run the command line, or say how to install it."""
    try:
        from intercom_async.cli.app import run  # noqa: PLC0415  the extra may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"rich", "typer"}:
            raise
        sys.stderr.write(
            "intercom-async needs its extra 'cli': pip install 'intercom_async[cli]'\n"
        )
        sys.exit(USAGE)
    run()
