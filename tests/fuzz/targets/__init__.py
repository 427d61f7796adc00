"""What is fuzzed: per area one function that no bytes may break, and a folder of inputs."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.fuzz.targets import decoding, error_bodies, headers, pairs

TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "headers": headers.check,
    "error_bodies": error_bodies.check,
    "decoding": decoding.check,
    "pairs": pairs.check,
}
"""Each raises AssertionError, or whatever escaped, if an input breaks a promise."""

CORPUS: Final = Path(__file__).parents[1] / "corpus"
"""The inputs worth keeping, a folder per target; names are digests or say what once went wrong."""

LARGEST: Final = 2048
"""Bytes of an input."""

WORD: Final = re.compile(rb"\"[^\"]*\"|[\w.+-]+")
"""What stands for a value or a name in most formats."""


def inputs_of(name: str) -> list[bytes]:
    """Read the corpus of a target."""
    return [entry.read_bytes() for entry in sorted((CORPUS / name).iterdir())]


def words_of(name: str) -> list[bytes]:
    """Return the words of a target's corpus, for changes that keep its format."""
    return sorted({word for entry in inputs_of(name) for word in WORD.findall(entry)})
