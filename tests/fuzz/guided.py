"""The search by coverage: atheris and its libFuzzer. Nothing else names them.

The package must be imported while atheris watches, so this runs in a process of its own and
imports the targets late: `python -m tests.fuzz.guided TARGET [libFuzzer's own arguments]`.
"""

import importlib
import sys
from random import Random
from typing import Any


def search(atheris: Any, name: str, arguments: list[str]) -> None:
    """Search until libFuzzer's own arguments say that it is enough; never returns.

    The module comes as an argument, so that something else can stand in its place.
    """
    with atheris.instrument_imports(include=["intercom_async"]):
        targets = importlib.import_module("tests.fuzz.targets")
    mutations = importlib.import_module("tests.fuzz.mutations")
    target = targets.TARGETS[name]

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        changed: bytes
        if random.random() < 0.5:
            changed = atheris.Mutate(data, max_size)  # blindly, or by what comparisons have shown
        else:
            changed = mutations.mutate(data, random, target.words)
        return changed[:max_size]

    # libFuzzer starts itself again to merge inputs: by a shell, with this as the program.
    program = f"{sys.executable} -m tests.fuzz.guided {name}"
    atheris.Setup([program, *arguments], target.check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    search(importlib.import_module("atheris"), sys.argv[1], sys.argv[2:])
