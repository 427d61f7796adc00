"""A file of pairs is read to its end: every line a pair, or named as a bad one."""

import io
import re
from collections.abc import Sequence
from typing import Final

from intercom_async.cli.csv_rows import BadLine
from intercom_async.cli.lines import SourceError
from intercom_async.cli.sources import read_pairs
from intercom_async.detaching import Detach

WORDS: Final[Sequence[bytes]] = [
    b"conversation_id", b"contact_id", b"admin_id", b"note", b"1", b"1295", b"5ba682d2", b"c1",
    b",", b";", b"\t", b'"', b'""', b"\r\n", b"\r", b"\n", b"\0", b" ", b"\xef\xbb\xbf", b"\xff",
    b'{"conversation_id":"1","contact_id":"2"}', b'["1","2"]', b'["1","2","3"]', b"null", b"\x85",
    b"sep=;", b"[{", b"},{", b"]", b"nan", b"2.15E+14", b"\xff\xfe", b"\x1f\x8b\x08\0", b"\xc2\xa0",
]  # fmt: skip

_BOM: Final = b"\xef\xbb\xbf"


def check(data: bytes) -> None:
    try:
        found = read(data)
    except SourceError as error:
        refusal = str(error)
    else:
        _check_entries(data, found)
        return
    assert _can_be_shown(refusal), "a header must not drive terminals"


def _check_entries(data: bytes, found: list[Detach | BadLine]) -> None:
    for entry in found:
        if isinstance(entry, BadLine):
            assert _can_be_shown(entry.problem), "a line must not drive terminals"
        else:
            ids = (entry.conversation_id, entry.contact_id, entry.admin_id)
            assert all(one is None or (one and one == one.strip()) for one in ids)
    bad = [int(entry.place.split()[1]) for entry in found if isinstance(entry, BadLine)]
    data = data.removeprefix(_BOM)
    if data.startswith(_CONVERTED):
        return  # what is read has other lines than the data
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    head = next(number for number, line in enumerate(lines) if line.strip())
    first = lines[head]
    by_line = first.lstrip()[:1] in {"{", "["}
    if _ARRAY.match(first):
        assert bad == sorted(bad), "a bad element is named in its turn"
        return  # an array is of one piece
    assert bad == sorted(set(bad)), "a bad line is named once, in its turn"
    assert all(1 <= line <= len(lines) for line in bad)
    if by_line:
        expected = [entry for line in lines[head:] for entry in _read(_JSON + line)[1:]]
    elif '"' in first or data.count(b'"') > 1 or first.lower().startswith("sep="):
        return  # cells may hold line breaks, so lines do not stand for themselves
    else:
        expected = [entry for line in lines[head + 1 :] for entry in _read(f"{first}\n{line}")]
    assert pairs_of(found) == pairs_of(expected), "a wrong line cost others"
    if by_line:
        assert len(found) == len(expected), "a line is neither a pair nor named"


_CONVERTED: Final = (b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff")
_ARRAY: Final = re.compile(r"\s*\[\s*([\[{\]]|\Z)")
_JSON: Final = '["1","2"]\n'


def read(data: bytes) -> list[Detach | BadLine]:
    """Read a file to its end."""
    return list(read_pairs(io.BufferedReader(io.BytesIO(data)), "pairs"))


def _read(text: str) -> list[Detach | BadLine]:
    return read(text.encode("utf-8", "surrogateescape"))


def pairs_of(entries: list[Detach | BadLine]) -> list[Detach]:
    """Leave out the bad lines."""
    return [entry for entry in entries if isinstance(entry, Detach)]


def _can_be_shown(text: str) -> bool:
    return text.replace("\t", " ").isprintable()
