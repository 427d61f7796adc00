"""Run the benchmarks: `python -m benchmarks`, or some of them: `python -m benchmarks decode`."""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks import quota, report
from benchmarks.figures import Comparison, Options

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

QUOTA: Final = {"quota": "rate limiters on a virtual clock, the same figures on every machine"}


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit status."""
    if arguments[:1] == [*QUOTA]:
        return quota.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"  {name:10} {text}" for name, text in (MEASURED | QUOTA).items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*MEASURED, *QUOTA],
        help="without any, all but workspaces; quota has options of its own: quota --help",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--rounds", type=int, help="turns of every contestant (9; 3 with --quick)")
    parser.add_argument("--million", action="store_true", help="scale and journal: a million too")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    chosen = parser.parse_args(arguments)
    names = chosen.names or [name for name in MEASURED if name != "workspaces"] + [*QUOTA]
    options = Options(
        rounds=max(2, chosen.rounds or (3 if chosen.quick else 9)),
        quick=chosen.quick,
        million=chosen.million,
    )
    print(", ".join(f"{key} {value}" for key, value in report.about().items()))
    comparisons = [each for name in names if name in MEASURED for each in _measure(name, options)]
    report.show_bounds(comparisons)
    if chosen.json:
        report.save(chosen.json, comparisons)
    return quota.main(["--quick"]) if "quota" in names else 0


def _measure(name: str, options: Options) -> list[Comparison]:
    print(f"\n== {name}: {MEASURED[name]}", flush=True)
    began = time.perf_counter()
    comparisons: list[Comparison] = importlib.import_module(f"benchmarks.{name}").measure(options)
    for comparison in comparisons:
        report.show(comparison)
    print(f"\n{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return comparisons


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
