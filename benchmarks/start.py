"""The CPU time of importing the library in a fresh interpreter."""

import functools
import os
import resource
import subprocess
import sys
from typing import Final

from benchmarks.figures import Bound, Comparison, Options, installed, measured

EMPTY: Final = "pass"
BASELINE: Final = "import aiohttp"
OURS: Final = "import intercom_async"
USED: Final = "from intercom_async import IntercomClient"
READY: Final = f"{USED}; IntercomClient('none')"
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
    rivals, notes = installed({rival: [rival.split()[1]] for rival in RIVALS})
    programs = {
        code: functools.partial(_run, code)
        for code in (EMPTY, BASELINE, OURS, USED, READY, *rivals)
    }
    measured(programs, 1)  # compiles the modules, which is not to be measured
    return [
        Comparison(
            name="start of a program",
            unit="ms of CPU",
            baseline=BASELINE,
            rounds=measured(programs, options.rounds),
            bounds={OURS: Bound("ratio", 1.1), USED: Bound("ratio", 1.1)},
            notes=notes,
        )
    ]
