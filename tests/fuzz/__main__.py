"""Search for inputs that break a promise: `python -m tests.fuzz decoding --seconds 60`.

Needs atheris (the extra `fuzz`). The search begins with the corpus and goes on by coverage; its
figures are libFuzzer's: `cov` are places of the package's code that were reached, `ft` is that
and how often. Inputs that give way are left in the current folder as `crash-...`, `timeout-...`
or `oom-...`. With `--keep`, inputs that go where none of the corpus goes join it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.corpus import FOLDER, entries, fewest, is_named, name_of
from tests.fuzz.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if nothing gave way."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS, nargs="+")
    parser.add_argument("--seconds", type=int, default=60, help="per target")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the search, 0 for another each time"
    )
    parser.add_argument("--keep", action="store_true", help="let new inputs join the corpus")
    options = parser.parse_args(arguments)
    failed = 0
    for name in options.target:
        with tempfile.TemporaryDirectory() as found:
            failed += search(name, options.seconds, Path(found), seed=options.seed) != 0
            if options.keep:
                keep(name, Path(found))
    return min(1, failed)


def search(name: str, seconds: int, found: Path, *, seed: int) -> int:
    """Search in another process; what it finds interesting goes to a folder."""
    (FOLDER / name).mkdir(parents=True, exist_ok=True)
    limits = (f"-max_total_time={seconds}", "-max_len=2048", "-timeout=10", "-rss_limit_mb=2048")
    # A clock that is not Greenwich's shows whether a date depends on it.
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", name),
            *(*limits, f"-seed={seed}", "-print_final_stats=1", str(found), str(FOLDER / name)),
        ],
        env={**os.environ, "TZ": "XXX-5:30"},
        check=False,
    ).returncode


def keep(name: str, found: Path) -> None:
    """Make the corpus as small as it can be without going to fewer places than before."""
    named = {entry for entry in entries(name) if is_named(entry)}
    others = {entry for entry in entries(name) if not is_named(entry)}
    inputs = [entry.read_bytes() for entry in (*others, *found.iterdir())]
    chosen = fewest(
        TARGETS[name].check, inputs, beside=[entry.read_bytes() for entry in sorted(named)]
    )
    for entry in others:
        entry.unlink()
    for data in chosen:
        (FOLDER / name / name_of(data)).write_bytes(data)
    size = sum(entry.stat().st_size for entry in entries(name))
    print(f"the corpus of {name} has {len(entries(name))} files of {size:,} bytes in all")  # noqa: T201  a command's output


if __name__ == "__main__":
    sys.exit(main())
