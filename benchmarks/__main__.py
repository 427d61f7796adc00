"""Run the benchmarks: `python -m benchmarks`, or some of them: `python -m benchmarks decode`."""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks import report, speed_chart
from benchmarks.figures import Comparison
from benchmarks.options import Options

SPEED: Final = {
    "overhead": ("overhead", "a call beside the same request made by others"),
    "decode": ("decode", "a conversation beside its JSON"),
    "cold": ("cold", "a thousand calls at once on an empty pool"),
    "scale": ("scale", "long runs beside short ones, several processes beside one"),
    "journal": ("journal", "a run's table: durable pairs, look-ups, reopening"),
    "import": ("start", "importing the library beside importing aiohttp"),
}
"""Module of this package with a `measure(options)`, and what it measures, by the name to use."""

QUOTA: Final = "quota"
LOAD: Final = "load"
WORKSPACES: Final = "workspaces"
OWN: Final = {
    QUOTA: "rate limiters on a virtual clock, the same figures on every machine",
    LOAD: "many calls in flight for long: what grows, how late the event loop is",
    WORKSPACES: "200 workspaces on one PostgreSQL, with 1, 2 and 4 worker processes",
}
"""Those with options of their own, each a module of that name with a `main(arguments)`."""


def _arguments(arguments: list[str]) -> argparse.Namespace:
    listed = "\n".join(f"  {name:10} {text}" for name, (_, text) in SPEED.items())
    own = "\n".join(f"  {name:10} {text}" for name, text in OWN.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"{listed}\n{own}\nThe last three have options of their own: "
        f"`python -m benchmarks {QUOTA} --help`, and so on",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"all of them but {LOAD} and {WORKSPACES} without any",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--rounds", type=int, help="turns of every contestant (9; 3 with --quick)")
    parser.add_argument("--million", action="store_true", help="scale and journal: a million too")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--against", type=Path, help="compare with a file that --json wrote")
    parser.add_argument("--svg", type=Path, help="draw charts into this folder")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {*SPEED, *OWN}
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are\n{listed}\n{own}")
    return options


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit status."""
    if arguments and arguments[0] in OWN:
        return _run_own(arguments[0], arguments[1:])
    chosen = _arguments(arguments)
    names = chosen.names or [*SPEED, QUOTA]
    options = Options(
        rounds=max(2, chosen.rounds or (3 if chosen.quick else 9)),
        quick=chosen.quick,
        million=chosen.million,
    )
    print(", ".join(f"{key} {value}" for key, value in report.about().items()))
    comparisons: list[Comparison] = []
    for name in names:
        if name in SPEED:
            comparisons += _run(name, options)
    report.show_verdicts(comparisons)
    if chosen.against:
        report.show_changes(chosen.against, comparisons)
    if chosen.json:
        report.save(chosen.json, comparisons)
    if chosen.svg:
        speed_chart.draw_all(chosen.svg, comparisons)
    status = 0
    if LOAD in names:
        status |= _run_own(LOAD, ["--calls", "5000"] if options.quick else [])
    if WORKSPACES in names:
        status |= _run_own(WORKSPACES, ["--processes", "2"] if options.quick else [])
    if QUOTA in names:
        status |= _run_own(QUOTA, ["--quick", "--no-cpu"])
    return status


def _run_own(name: str, arguments: list[str]) -> int:
    return int(importlib.import_module(f"benchmarks.{name}").main(arguments))


def _run(name: str, options: Options) -> list[Comparison]:
    module, text = SPEED[name]
    print(f"\n== {name}: {text}", flush=True)
    began = time.perf_counter()
    found: list[Comparison] = importlib.import_module(f"benchmarks.{module}").measure(options)
    for comparison in found:
        report.show(comparison)
    print(f"\n{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
