"""What is fuzzed: per area one function that no bytes may break, and a folder of inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.fuzz.targets import decoding, error_bodies, headers, pairs
from tests.fuzz.targets.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    "headers": Target(headers.check, headers.WORDS),
    "error_bodies": Target(error_bodies.check, error_bodies.WORDS),
    "decoding": Target(decoding.check, decoding.WORDS),
    "pairs": Target(pairs.check, pairs.WORDS),
}

CORPUS: Final = Path(__file__).parents[1] / "corpus"
"""The inputs worth keeping, a folder per target; names are digests or say what once went wrong."""

LARGEST: Final = 2048
"""Bytes of an input."""
