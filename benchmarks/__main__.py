"""Run the benchmarks: `python -m benchmarks`, or some of them: `python -m benchmarks decode`."""

import argparse
import importlib
import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.frame import Options

MEASURED: Final = {
    "overhead": "a call beside the same request made by others",
    "decode": "a conversation beside its JSON",
    "scale": "long runs beside short ones",
    "recovery": "an outage in the middle of a run: before, during, after",
    "journal": "a run's table: durable pairs, pairs passed over, memory",
    "start": "importing the library beside importing aiohttp",
    "quota": "rate limiters on a virtual clock, the same figures on every machine",
    "workspaces": "200 workspaces on one PostgreSQL, with 1, 2 and 4 worker processes",
}
"""Modules of this package with a `measure(options)`, and what it measures."""

_LIBRARIES: Final = frozenset(
    {"aiohttp", "cattrs", "httpx", "msgspec", "python-intercom", "uvloop"}
)


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"  {name:10} {text}" for name, text in MEASURED.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", choices=MEASURED, help="without any, all but workspaces")
    add("--quick", action="store_true", help="fewer and shorter measurements")
    add("--rounds", type=int, help="turns of every contestant (9; 3 with --quick)")
    add("--million", action="store_true", help="scale and journal: a million pairs, too")
    add("--seeds", type=int, help="quota: runs of each cell (3; 2 with --quick)")
    add("--only", default="", help="quota: cells whose name contains this")
    add("--svg", type=Path, help="quota: draw the README's chart of all cells")
    options = parser.parse_args(arguments, namespace=Options())
    if options.svg and (options.quick or options.only):
        parser.error("the chart needs all cells")
    options.rounds = max(2, options.rounds or (3 if options.quick else 9))
    options.seeds = options.seeds or (2 if options.quick else 3)
    print(
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    installed = [one for one in importlib.metadata.distributions() if one.name in _LIBRARIES]
    print(", ".join(sorted(f"{one.name} {one.version}" for one in installed)))
    names = options.names or [name for name in MEASURED if name != "workspaces"]
    verdicts: list[str] = []
    for name in names:
        print(f"\n== {name}: {MEASURED[name]}", flush=True)
        began = time.perf_counter()
        for table in importlib.import_module(f"benchmarks.{name}").measure(options):
            verdicts += table.show()
        print(f"\n{name}: {time.perf_counter() - began:.0f} s", flush=True)
    missed = [f"  {verdict}" for verdict in verdicts if verdict.endswith("MISSED")]
    if verdicts:
        held = len(verdicts) - len(missed)
        print(f"\n{held} of {len(verdicts)} bounds hold", *missed, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
