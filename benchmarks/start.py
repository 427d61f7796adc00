"""The CPU time of importing the library in a fresh interpreter."""

import functools
import importlib.util
import os
import subprocess
import sys
from typing import Final

from benchmarks.frame import Bound, Figure, Options, Table, measured
from benchmarks.process import cpu_of_children

BASELINE: Final = "import aiohttp"
OURS: Final = "import intercom_async"
USED: Final = "from intercom_async import IntercomClient"
READY: Final = f"{USED}; IntercomClient('none')"
RIVALS: Final = ("httpx", "intercom")


def measure(options: Options) -> list[Table]:
    """Measure programs that import one thing and end."""
    rivals = [f"import {rival}" for rival in RIVALS if importlib.util.find_spec(rival)]
    programs = {
        code: functools.partial(_run, code)
        for code in (BASELINE, "pass", OURS, USED, READY, *rivals)
    }
    measured(programs, 1)  # compiles the modules, which is not to be measured
    bounds = dict.fromkeys([OURS, USED], Bound("ratio", 1.1))
    figure = Figure("start of a program", "ms of CPU", bounds)
    return [Table([figure], measured(programs, options.rounds))]


def _run(code: str) -> list[float]:
    """Return the milliseconds of CPU that a program took."""
    # As after an installation: with every module compiled already.
    with_cache = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = cpu_of_children()
    subprocess.run([sys.executable, "-c", code], check=True, env=with_cache)
    return [(cpu_of_children() - before) * 1e3]
