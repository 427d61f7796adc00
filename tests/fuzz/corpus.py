"""The inputs worth keeping, one small file each, a folder per target.

Names are the beginning of the content's digest, or say what once gave way.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import intercom_async

FOLDER: Final = Path(__file__).parent / "corpus"
PACKAGE: Final = str(Path(intercom_async.__file__).parent)
LARGEST: Final = 2048
"""Bytes of an entry."""

Line = tuple[CodeType, int, int]
"""A step of the package's code from a line to the next."""


def entries(target: str) -> list[Path]:
    """The files of a target, in a fixed order."""
    return sorted((FOLDER / target).iterdir())


def is_named(entry: Path) -> bool:
    """Whether an entry says what once gave way: such ones stay, whatever they cover."""
    return not _DIGEST.fullmatch(entry.name)


_NAME: Final = 12
_DIGEST: Final = re.compile(rf"[0-9a-f]{{{_NAME}}}")


def name_of(data: bytes) -> str:
    """The name of an entry that has none of its own."""
    return hashlib.sha256(data).hexdigest()[:_NAME]


def fewest(
    check: Callable[[bytes], None], inputs: Iterable[bytes], *, beside: Iterable[bytes] = ()
) -> list[bytes]:
    """Return few inputs, small ones first, that go wherever all of them go.

    Args:
        check: the target.
        inputs: from which to choose.
        beside: inputs that are kept anyway.
    """
    covered: dict[bytes, set[Line]] = {}
    known: set[Line] = set()
    for data in beside:
        known |= steps(check, data)
    # Small ones come first and make most others superfluous before those are held to be compared.
    reached = set(known)
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        if len(data) <= LARGEST and not (found := steps(check, data)) <= reached:
            covered[data] = found
            reached |= found
    chosen: list[bytes] = []
    while covered:
        best = max(covered, key=lambda data: (len(covered[data] - known), -len(data)))
        if not covered[best] - known:
            break
        known |= covered.pop(best)
        chosen.append(best)
    return chosen


def steps(check: Callable[[bytes], None], data: bytes) -> set[Line]:
    """The steps from line to line that the package's code takes for an input."""
    taken: set[Line] = set()
    before: dict[FrameType, int] = {}

    def follow(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event == "call":
            # Functions that the package writes itself, a line per member, are left out: a corpus
            # that goes to all of them is a hundred files of the same kind.
            if not code.co_filename.startswith(PACKAGE):
                return None
        elif event == "line":
            taken.add((code, before.get(frame, 0), frame.f_lineno))
            before[frame] = frame.f_lineno
        elif event == "return":
            before.pop(frame, None)
        return follow

    tracing = sys.gettrace()
    sys.settrace(follow)
    try:
        check(data)
    finally:
        sys.settrace(tracing)
    return taken
