"""Run the benchmarks: `python -m benchmarks`, or some of them: `python -m benchmarks decode`."""

import argparse
import importlib
import importlib.metadata
import os
import platform
import sys
import time
from typing import Final

from benchmarks import quota
from benchmarks.frame import Comparison, Options

MEASURED: Final = {
    "overhead": "a call beside the same request made by others",
    "decode": "a conversation beside its JSON",
    "scale": "long runs beside short ones, several processes beside one",
    "recovery": "an outage in the middle of a run: before, during, after",
    "journal": "a run's table: durable pairs, pairs passed over, memory",
    "start": "importing the library beside importing aiohttp",
    "workspaces": "200 workspaces on one PostgreSQL, with 1, 2 and 4 worker processes",
}
"""Modules of this package with a `measure(options)`, and what it measures."""

_QUOTA: Final = "  quota      rate limiters on a virtual clock, the same figures on every machine"
_LIBRARIES: Final = ("aiohttp", "msgspec", "cattrs", "uvloop", "httpx", "python-intercom")


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit status."""
    if arguments[:1] == ["quota"]:
        return quota.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join([*(f"  {name:10} {text}" for name, text in MEASURED.items()), _QUOTA]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*MEASURED, "quota"],
        help="without any, all but workspaces; quota has options of its own: quota --help",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--rounds", type=int, help="turns of every contestant (9; 3 with --quick)")
    parser.add_argument("--million", action="store_true", help="scale and journal: a million too")
    chosen = parser.parse_args(arguments)
    names = chosen.names or [*(name for name in MEASURED if name != "workspaces"), "quota"]
    rounds = max(2, chosen.rounds or (3 if chosen.quick else 9))
    options = Options(rounds=rounds, quick=chosen.quick, million=chosen.million)
    print(
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(", ".join(f"{library} {_version(library)}" for library in _LIBRARIES))
    comparisons = [each for name in names if name in MEASURED for each in _measure(name, options)]
    verdicts = [
        f"  {one.name}, {contestant}: {verdict}"
        for one in comparisons
        for contestant, verdict in one.verdicts().items()
    ]
    missed = [verdict for verdict in verdicts if "MISSED" in verdict]
    print(f"\n{len(verdicts) - len(missed)} of {len(verdicts)} bounds hold", *missed, sep="\n")
    return quota.main(["--quick"]) if "quota" in names else 0


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _measure(name: str, options: Options) -> list[Comparison]:
    print(f"\n== {name}: {MEASURED[name]}", flush=True)
    began = time.perf_counter()
    comparisons: list[Comparison] = importlib.import_module(f"benchmarks.{name}").measure(options)
    for comparison in comparisons:
        comparison.show()
    print(f"\n{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return comparisons


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
