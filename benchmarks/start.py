"""What importing the library costs, in CPU time of a fresh interpreter, and what it drags in."""

import importlib.util
import os
import resource
import subprocess
import sys
from typing import Final

from benchmarks.figures import Bound, Comparison, Options, in_turn

OURS: Final = "import intercom_async"
BASELINE: Final = "import aiohttp"
MODULES: Final = {
    "an empty program": None,
    BASELINE: "aiohttp",
    OURS: "intercom_async",
    "import httpx": "httpx",
    "import intercom (official)": "intercom",
}
EXTRAS: Final = (
    "rich", "typer", "uvloop", "httpx", "pydantic", "intercom", "orjson", "opentelemetry",
    "redis", "pytest", "aiohttp_retry",
)  # fmt: skip
"""What no import of the library may bring with it."""

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
        name: module
        for name, module in MODULES.items()
        if module is None or importlib.util.find_spec(module) is not None
    }
    notes = [f"{name}: left out, not installed" for name in MODULES if name not in present]
    times: dict[str, list[float]] = {name: [] for name in present}
    for module in present.values():  # writes what is compiled once
        _run(_program(module))
    for number in range(options.rounds):
        for name in in_turn(list(present), number):
            times[name].append(_run(_program(present[name]))[0])
    _, printed = _run(
        "import sys, intercom_async\n"
        f"print(*[name for name in {EXTRAS!r} if name in sys.modules], sep=', ')"
    )
    notes.append(f"of the extras, {OURS} brings: {printed.strip() or 'none'}")
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


def _program(module: str | None) -> str:
    return "pass" if module is None else f"import {module}"
