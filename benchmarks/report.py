"""Comparisons as tables and files."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from benchmarks.figures import Comparison, spread

_LIBRARIES = ("aiohttp", "msgspec", "cattrs", "uvloop", "httpx", "python-intercom", "pydantic")


def about() -> dict[str, str]:
    """Return when and on what kind of machine this run is made."""
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for library in _LIBRARIES:
        try:
            facts[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            facts[library] = "not installed"
    return facts


def show(comparison: Comparison) -> None:
    """Print one comparison."""
    rounds = len(comparison.rounds[comparison.baseline])
    print(f"\n{comparison.name}: {comparison.unit}, median of {rounds} rounds (min to max)")
    for contestant, values in comparison.rounds.items():
        own = spread(values)
        text = f"  {contestant:30} {own.median:10,.4g} ({own.low:,.4g} to {own.high:,.4g})"
        if contestant != comparison.baseline and all(comparison.rounds[comparison.baseline]):
            ratio = spread(comparison.figures(contestant, "ratio"))
            text = f"{text:70} {ratio.median:8.3g} x ({ratio.low:.3g} to {ratio.high:.3g})"
        print(f"{text:102} {comparison.keeps_bound(contestant)}".rstrip())
    for note in comparison.notes:
        print(f"  {note}")


def show_bounds(comparisons: Sequence[Comparison]) -> None:
    """Print how many bounds hold, and which do not."""
    bounds = [
        f"{comparison.name}, {contestant}: {comparison.keeps_bound(contestant)}"
        for comparison in comparisons
        for contestant in comparison.bounds
    ]
    missed = [bound for bound in bounds if "MISSED" in bound]
    print(f"\n{len(bounds) - len(missed)} of {len(bounds)} bounds hold")
    for bound in missed:
        print(f"  {bound}")


def save(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write everything that was measured."""
    measured = [attrs.asdict(comparison) for comparison in comparisons]
    text = json.dumps({"about": about(), "comparisons": measured}, indent=1)
    path.write_text(f"{text}\n", encoding="utf-8")
