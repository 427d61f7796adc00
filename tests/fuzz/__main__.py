"""Search for inputs that break a promise: `python -m tests.fuzz decoding --seconds 60`.

Needs atheris (the extra `fuzz`). The search begins with the corpus and the format's own words, and
goes on by coverage; its figures are libFuzzer's: `cov` are places of the package's code that were
reached, `ft` is that and how often. Inputs that break a promise are left in the current folder as
`crash-...`, `timeout-...` or `oom-...`. With `--keep`, inputs that go where none of the corpus goes
join it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import CORPUS, LARGEST, TARGETS


def main() -> int:
    """Return 0 if no input broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS, nargs="+")
    parser.add_argument("--seconds", type=int, default=60, help="per target")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the search, 0 for another each time"
    )
    parser.add_argument("--keep", action="store_true", help="let new inputs join the corpus")
    options = parser.parse_args()
    limits = (
        *(f"-max_total_time={options.seconds}", f"-seed={options.seed}"),
        *("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"),
    )
    failed = 0
    for name in options.target:
        with tempfile.TemporaryDirectory() as folder:
            words, found = Path(folder, "words"), Path(folder, "found")
            found.mkdir()
            words.write_text("\n".join(map(_quoted, TARGETS[name].words)), encoding="ascii")
            failed |= _libfuzzer(name, *limits, f"-dict={words}", found, CORPUS / name)
            if options.keep:
                merging = ("-set_cover_merge=1", "-use_counters=0")  # new places, not how often
                failed |= _libfuzzer(name, *merging, CORPUS / name, found)
    return failed


def _quoted(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


def _libfuzzer(name: str, *arguments: str | Path) -> int:
    # A clock that is not Greenwich's shows whether a date depends on it.
    command = (sys.executable, "-m", "tests.fuzz.guided", name, f"-max_len={LARGEST}")
    environment = {**os.environ, "TZ": "XXX-5:30"}
    return int(subprocess.run([*command, *arguments], env=environment, check=False).returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
