"""New inputs from old ones: changes that know what a line and a JSON value are.

Bytes flipped blindly hardly ever leave a document that is read beyond its first odd byte. These
changes keep the shape and spoil one thing in it; whoever searches (atheris, hypothesis) mixes
them with blind ones. The same random numbers give the same input.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

from intercom_async.structuring import is_list, is_object

ODD: Final[Sequence[Any]] = (
    None, True, False, 0, 1, -1, 7, 1024, 1.0, 1.5, -0.0, 1e300, float("nan"), float("inf"),
    2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 4 * 10**18,
    1_719_492_951, 1_719_492_951_000, 1719492951.123456, 32_503_680_000, 10**11, 10**14,
    -62_135_596_801,
    "", " ", "1", "x", "ü", "\ud800", "\0", "\u2028", "none", "1719492951", "1e5", "nan",
    "2024-06-27T12:55:51Z", "2024-06-27T12:55:51", "0001-01-01T00:00:00+23:59",
    [], {}, [None], [[]], [1, "1"], {"": None}, {"id": 1}, {"type": None}, [{}], [{"id": "1"}, 7],
)  # fmt: skip
"""JSON values at the edges of what is expected."""

_TOKEN: Final = re.compile(rb"[\w.+-]+")
_DEEPEST: Final = 1200
"""Levels of nesting, more than any reader takes."""

Path = tuple[str | int, ...]


def mutate(data: bytes, random: Random, words: Sequence[bytes]) -> bytes:
    """Return a changed input; `words` are the format's own."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(_CHANGES)(data, random, words)
    return data


def _change_line(data: bytes, random: Random, words: Sequence[bytes]) -> bytes:
    """Spoil one value of a line that is JSON, or one word of another."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    try:
        document: Any = json.loads(lines[at])
    except (ValueError, RecursionError):
        lines[at] = _change_word(lines[at], random, words)
    else:
        document = _change_value(document, json.loads(lines[at]), random, words)
        try:
            text = json.dumps(document, separators=(",", ":"), ensure_ascii=random.random() < 0.5)
        except RecursionError:
            return data
        lines[at] = text.encode("utf-8", "surrogatepass")
    return b"\n".join(lines)


def _change_word(line: bytes, random: Random, words: Sequence[bytes]) -> bytes:
    found = list(_TOKEN.finditer(line))
    if not found:
        return line + random.choice(words)
    old = random.choice(found)
    new = random.choice((b"", old[0] + old[0], random.choice(words), random.choice(words)))
    return line[: old.start()] + new + line[old.end() :]


def _insert_word(data: bytes, random: Random, words: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(words) + data[at:]


def _cut(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _leave_out(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    begin = random.randrange(len(data) + 1)
    return data[:begin] + data[begin + random.randrange(16) :]


def _zero(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    """Leave a hole of zeros, as a power cut does."""
    begin = random.randrange(len(data) + 1)
    end = min(len(data), begin + random.randrange(64))
    return data[:begin] + bytes(end - begin) + data[end:]


def _shuffle_lines(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(3):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            lines.insert(one, lines[other])
        case _:
            del lines[one]
    return b"\n".join(lines)


_CHANGES: Final[Sequence[Callable[[bytes, Random, Sequence[bytes]], bytes]]] = (
    *(_change_line,) * 6,
    _insert_word,
    _cut,
    _leave_out,
    _zero,
    *(_shuffle_lines,) * 2,
)


# --- JSON values ---------------------------------------------------------------------------------


def _change_value(document: Any, twin: Any, random: Random, words: Sequence[bytes]) -> Any:
    """Change one value, wherever in the document it is; some become what its twin has elsewhere."""
    paths = list(_paths(document))
    path = random.choice(paths)
    old = _at(document, path)
    name = random.choice(words).decode("utf-8", "replace")
    new: Any
    match random.randrange(9):
        case 0 if path:
            return _without(document, path)
        case 1 if is_object(old):
            new = {**old, name: random.choice(ODD)}
        case 2 if is_object(old):
            new = {**old, name: _at(twin, random.choice(paths))}
        case 1 | 2 if is_list(old):
            new = [*old, _at(twin, random.choice(paths))]
        case 3:
            new = random.choice(([old], {name: old}, [old, old]))
        case 4:
            new = _at(twin, random.choice(paths))
        case 5 if isinstance(old, int):
            new = old + random.choice((-1, 1, -10, 10, 1 << 20))
        case 6 if random.random() < 0.05:
            new = _nested(random.choice((100, 500, _DEEPEST)))
        case 7:
            new = name
        case _:
            new = random.choice(ODD)
    return _replaced(document, path, new)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def _paths(document: Any) -> Iterator[Path]:
    """The way to every value, the document itself first."""
    todo: list[tuple[Path, Any]] = [((), document)]
    while todo:
        path, value = todo.pop()
        yield path
        if is_object(value):
            todo += [((*path, name), member) for name, member in value.items()]
        elif is_list(value):
            todo += [((*path, number), entry) for number, entry in enumerate(value)]


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _replaced(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    _at(document, path[:-1])[path[-1]] = value
    return document


def _without(document: Any, path: Path) -> Any:
    del _at(document, path[:-1])[path[-1]]
    return document
