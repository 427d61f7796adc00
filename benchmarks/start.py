"""The CPU time of importing the library in a fresh interpreter."""

import importlib.util
import os
import resource
import subprocess
import sys
from typing import Final

from benchmarks.figures import Bound, Comparison, Options, in_turn

EMPTY: Final = "pass"
BASELINE: Final = "import aiohttp"
OURS: Final = "import intercom_async"
USED: Final = "from intercom_async import IntercomClient"
RIVALS: Final = ("import httpx", "import intercom")
_NO_CACHE: Final = "PYTHONDONTWRITEBYTECODE"


def _run(code: str) -> float:
    """Return the milliseconds of CPU that a program took."""
    # As after an installation: with every module compiled already.
    with_cache = {name: value for name, value in os.environ.items() if name != _NO_CACHE}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=with_cache)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e3


def measure(options: Options) -> list[Comparison]:
    """Measure programs that import one thing and end."""
    rivals = [each for each in RIVALS if importlib.util.find_spec(each.split()[1]) is not None]
    programs = [EMPTY, BASELINE, OURS, USED, *rivals]
    times: dict[str, list[float]] = {program: [] for program in programs}
    for program in programs:  # writes what is compiled once
        _run(program)
    for number in range(options.rounds):
        for program in in_turn(programs, number):
            times[program].append(_run(program))
    return [
        Comparison(
            name="start of a program",
            unit="ms of CPU",
            baseline=BASELINE,
            rounds=times,
            bounds={OURS: Bound("ratio", 1.1)},
            notes=[f"{each}: left out, not installed" for each in RIVALS if each not in rivals],
        )
    ]
