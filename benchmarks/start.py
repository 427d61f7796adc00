"""The CPU time of importing the library in a fresh interpreter."""

import functools
import os
import resource
import subprocess
import sys
from typing import Final

from benchmarks.frame import Bound, Comparison, Options, is_installed, measured

BASELINE: Final = "import aiohttp"
OURS: Final = "import intercom_async"
USED: Final = "from intercom_async import IntercomClient"
READY: Final = f"{USED}; IntercomClient('none')"
RIVALS: Final = ("httpx", "intercom")


def _run(code: str) -> float:
    """Return the milliseconds of CPU that a program took."""
    # As after an installation: with every module compiled already.
    with_cache = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=with_cache)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e3


def measure(options: Options) -> list[Comparison]:
    """Measure programs that import one thing and end."""
    rivals = [f"import {rival}" for rival in RIVALS if is_installed(rival)]
    programs = {
        code: functools.partial(_run, code)
        for code in ("pass", BASELINE, OURS, USED, READY, *rivals)
    }
    measured(programs, 1)  # compiles the modules, which is not to be measured
    return [
        Comparison(
            name="start of a program",
            unit="ms of CPU",
            baseline=BASELINE,
            rounds=measured(programs, options.rounds),
            bounds=dict.fromkeys([OURS, USED], Bound("ratio", 1.1)),
        )
    ]
