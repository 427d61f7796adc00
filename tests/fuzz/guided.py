"""The search by coverage: atheris and its libFuzzer. Nothing else names them.

The package must be imported while atheris watches, so this runs in a process of its own and
imports the targets late: `python -m tests.fuzz.guided TARGET [libFuzzer's own arguments]`.
"""

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Protocol


class Atheris(Protocol):
    """What is used of atheris, which has no types."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        """Count what the code of these packages does, if it is imported within."""
        ...

    def Mutate(self, data: bytes, max_size: int) -> bytes:  # noqa: N802  its name there
        """Change some bytes blindly, or by what comparisons have shown."""
        ...

    def Setup(  # noqa: N802  its name there
        self,
        arguments: list[str],
        check: Callable[[bytes], None],
        *,
        custom_mutator: Callable[[bytes, int, int], bytes],
    ) -> None:
        """Take the arguments."""
        ...

    def Fuzz(self) -> None:  # noqa: N802  its name there
        """Search; never returns."""
        ...


def main(name: str, arguments: list[str]) -> None:
    """Search until libFuzzer's own arguments say that it is enough; never returns."""
    atheris: Any = importlib.import_module("atheris")
    search(atheris, name, arguments)


def search(atheris: Atheris, name: str, arguments: list[str]) -> None:
    """Search with the module at hand."""
    with atheris.instrument_imports(include=["intercom_async"]):
        targets = importlib.import_module("tests.fuzz.targets")
    mutations = importlib.import_module("tests.fuzz.mutations")
    target = targets.TARGETS[name]

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            return atheris.Mutate(data, max_size)
        changed: bytes = mutations.mutate(data, random, target.words)
        return changed[:max_size]

    atheris.Setup([sys.argv[0], *arguments], target.check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
