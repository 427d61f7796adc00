"""Search for inputs that break a promise: `python -m tests.fuzz decoding -max_total_time=60`.

Needs atheris (the extra `fuzz`), whose libFuzzer takes the options. The search begins with the
corpus and its words and goes on by coverage. What it finds is left in `.fuzz`: inputs that lead to
new places in a folder of the target, those that break a promise as `crash-...`, `timeout-...` or
`oom-...`.
"""

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

FOUND = Path(".fuzz")


def main(name: str, *options: str) -> None:
    """Search until an option says that it is enough; never returns."""
    # A clock that is not Greenwich's shows whether a date depends on it.
    os.environ["TZ"] = "XXX-5:30"
    time.tzset()
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["intercom_async"]):
        targets = importlib.import_module("tests.fuzz.targets")
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    words = FOUND / f"{name}.words"
    words.write_text("\n".join(map(_quoted, targets.words_of(name))), encoding="ascii")
    limits = (f"-max_len={targets.LARGEST}", "-timeout=10", "-rss_limit_mb=2048")
    folders = (f"-artifact_prefix={FOUND}/", f"-dict={words}", str(found), targets.CORPUS / name)
    atheris.Setup([sys.argv[0], *limits, *options, *map(str, folders)], targets.TARGETS[name])
    atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


if __name__ == "__main__":
    main(*sys.argv[1:])
