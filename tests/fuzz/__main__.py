"""Search for inputs that break a promise: `python -m tests.fuzz decoding --seconds 60`.

Needs atheris (the extra `fuzz`). The search begins with the corpus and the format's own words, and
goes on by coverage; its figures are libFuzzer's: `cov` are places of the package's code that were
reached, `ft` is that and how often. Inputs that break a promise are left in the current folder as
`crash-...`, `timeout-...` or `oom-...`.
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
    chosen = parser.parse_args()
    limits = (
        *(f"-max_total_time={chosen.seconds}", f"-seed={chosen.seed}"),
        *("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"),
    )
    failed = 0
    for name in chosen.target:
        with tempfile.TemporaryDirectory() as folder:
            words, found = Path(folder, "words"), Path(folder, "found")
            found.mkdir()
            words.write_text("\n".join(map(_quoted, TARGETS[name].words)), encoding="ascii")
            options = (f"-max_len={LARGEST}", *limits, f"-dict={words}")
            command = (sys.executable, "-m", "tests.fuzz.guided", name, *options)
            # A clock that is not Greenwich's shows whether a date depends on it.
            done = subprocess.run(
                [*command, found, CORPUS / name], env={**os.environ, "TZ": "XXX-5:30"}, check=False
            )
            failed |= int(done.returncode != 0)
    return failed


def _quoted(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


if __name__ == "__main__":
    sys.exit(main())
