"""The search by coverage: atheris and its libFuzzer. Nothing else names them.

The package must be imported while atheris watches, so this runs in a process of its own and
imports the targets late: `python -m tests.fuzz.guided TARGET [libFuzzer's own arguments]`.
"""

import importlib
import sys
from typing import Any


def search(name: str, arguments: list[str]) -> None:
    """Search until libFuzzer's own arguments say that it is enough; never returns."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["intercom_async"]):
        targets = importlib.import_module("tests.fuzz.targets")
    # libFuzzer starts itself again to merge inputs: by a shell, with this as the program.
    program = f"{sys.executable} -m tests.fuzz.guided {name}"
    atheris.Setup([program, *arguments], targets.TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    search(sys.argv[1], sys.argv[2:])
