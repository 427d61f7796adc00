"""What is fuzzed: per area one function that some bytes must not break."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz.targets import decoding, error_bodies, headers, pairs
from tests.fuzz.targets.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    "headers": Target(headers.check, headers.WORDS),
    "error_bodies": Target(error_bodies.check, error_bodies.WORDS),
    "decoding": Target(decoding.check, decoding.WORDS),
    "pairs": Target(pairs.check, pairs.WORDS),
}
