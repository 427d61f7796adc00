"""A file of pairs is read to its end: every line a pair, or named as a bad one."""

import io
import re
from typing import Final

from intercom_async.cli.csv_rows import BadLine
from intercom_async.cli.lines import SourceError
from intercom_async.cli.sources import read_pairs
from intercom_async.detaching import Detach

_ARRAY: Final = re.compile(r"\s*\[\s*([\[{\]]|\Z)")
_PACKED_OR_UTF_16: Final = (b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff")


def check(data: bytes) -> None:
    """Read a file as a whole, and each of its lines alone: no line costs another one."""
    try:
        found = _read(data)
    except SourceError as error:
        refusal = str(error)
    else:
        _check_entries(data, found)
        return
    assert _can_be_shown(refusal), "a header must not drive terminals"


def _check_entries(data: bytes, found: list[Detach | BadLine]) -> None:
    bad = [entry for entry in found if isinstance(entry, BadLine)]
    assert all(_can_be_shown(each.problem) for each in bad), "a line must not drive terminals"
    for pair in _pairs_of(found):
        for one in (pair.conversation_id, pair.contact_id, pair.admin_id):
            assert one is None or (one and one == one.strip())
    if data.startswith(_PACKED_OR_UTF_16):
        return  # what is read has other lines than the data
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    first, *rest = re.sub(r"\A\s*\n", "", text).split("\n")
    if _ARRAY.match(first):
        return  # of one piece
    if first.lstrip()[:1] in {"{", "["}:
        expected = [entry for line in (first, *rest) for entry in _read_line('["1","2"]', line)[1:]]
        assert len(found) == len(expected), "a line is neither a pair nor named"
    elif '"' in text or first.lower().startswith("sep="):
        return  # cells may hold line breaks, so lines do not stand for themselves
    else:
        expected = [entry for line in rest for entry in _read_line(first, line)]
    assert _pairs_of(found) == _pairs_of(expected), "a wrong line cost others"
    places = [int(entry.place.split()[1]) for entry in bad]
    assert places == sorted(set(places)), "a bad line is named once, in its turn"


def _read(data: bytes) -> list[Detach | BadLine]:
    return list(read_pairs(io.BufferedReader(io.BytesIO(data)), "pairs"))


def _read_line(before: str, line: str) -> list[Detach | BadLine]:
    return _read(f"{before}\n{line}".encode("utf-8", "surrogateescape"))


def _pairs_of(entries: list[Detach | BadLine]) -> list[Detach]:
    return [entry for entry in entries if isinstance(entry, Detach)]


def _can_be_shown(text: str) -> bool:
    return text.replace("\t", " ").isprintable()
