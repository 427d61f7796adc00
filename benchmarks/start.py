"""The CPU time of importing the library in a fresh interpreter, and the modules it brings in."""

import importlib.util
import os
import resource
import subprocess
import sys
from typing import Final

from benchmarks.figures import Bound, Comparison, Options, in_turn

OURS: Final = "import intercom_async"
BASELINE: Final = "import aiohttp"
USED: Final = "the first use of IntercomClient"
PROGRAMS: Final = {
    "an empty program": "pass",
    BASELINE: BASELINE,
    OURS: OURS,
    USED: "from intercom_async import IntercomClient",
    "import httpx": "import httpx",
    "import intercom (official)": "import intercom",
}
EXTRAS: Final = (
    "rich", "typer", "uvloop", "httpx", "pydantic", "intercom", "orjson", "opentelemetry",
    "redis", "pytest", "aiohttp_retry",
)  # fmt: skip
"""Modules that importing the library must not bring in."""

_NO_CACHE: Final = "PYTHONDONTWRITEBYTECODE"

FACTOR: Final = 1.1


def _run(code: str) -> tuple[float, str]:
    """Return the milliseconds of CPU that a program took, and what it printed."""
    # As after an installation: with every module compiled already.
    with_cache = {name: value for name, value in os.environ.items() if name != _NO_CACHE}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=with_cache
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used * 1e3, ended.stdout


def measure(options: Options) -> list[Comparison]:
    """Measure programs that import one thing and end."""
    present = {
        name: program
        for name, program in PROGRAMS.items()
        if name in {OURS, USED}
        or program == "pass"
        or importlib.util.find_spec(program.rpartition(" ")[2]) is not None
    }
    notes = [f"{name}: left out, not installed" for name in PROGRAMS if name not in present]
    times: dict[str, list[float]] = {name: [] for name in present}
    for program in present.values():  # writes what is compiled once
        _run(program)
    for number in range(options.rounds):
        for name in in_turn(list(present), number):
            times[name].append(_run(present[name])[0])
    _, printed = _run(
        "import sys\nfrom intercom_async import IntercomClient\n"
        f"print(*[name for name in {EXTRAS!r} if name in sys.modules], sep=', ')"
    )
    notes.append(f"of the extras, {USED} brings: {printed.strip() or 'none'}")
    return [
        Comparison(
            name="start of a program",
            unit="ms of CPU",
            baseline=BASELINE,
            rounds=times,
            bounds={OURS: Bound("ratio", FACTOR)},
            notes=notes,
        )
    ]
