"""Pairs from files: CSV with a header, JSON lines, or a JSON array. Read lazily.

A line that cannot be understood becomes a `BadLine` with its place and what would be right, and
the reading goes on: one typing error must not cost the other two million lines.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, Final

import attrs

from intercom_async.cli.columns import why_lacking
from intercom_async.cli.elements import read_elements
from intercom_async.cli.lines import SourceError, numbered_lines
from intercom_async.cli.rows import BadRow, UnclosedQuoteError, read_rows, split_row
from intercom_async.detaching import Detach
from intercom_async.errors import InvalidArgumentError
from intercom_async.ids import check_id
from intercom_async.pairs import COLUMNS, REQUIRED
from intercom_async.structuring import is_list, is_object

__all__ = ["BadLine", "SourceError", "read_pairs"]

_DELIMITERS: Final = (b",", b";", b"\t")
_NAMED_DELIMITER: Final = re.compile(rb'"?sep=([^"\w\r\n])"?[\r\n]*', re.IGNORECASE)
_ARRAY: Final = re.compile(rb"\s*\[\s*([\[{\]]|\Z)")
"""An array of pairs rather than one pair that is an array."""
_LONGEST_HEADER: Final = 1000
"""Lines, if a column's name holds line breaks."""

_Lines = Iterator[tuple[int, bytes]]


@attrs.frozen
class BadLine:
    """A line that gives no pair.

    Attributes:
        line: its number, counted from 1.
        problem: what is wrong and what would be right.
    """

    line: int
    problem: str


def read_pairs(
    stream: BinaryIO, name: str, *, columns: Mapping[str, str] | None = None
) -> Iterator[Detach | BadLine]:
    """Yield the pairs of an opened file.

    The format is told by the first line that is not blank: "{" or a pair in brackets begins JSON
    lines, "[" alone or before another bracket a JSON array, anything else is a CSV header. CSV may
    use commas, semicolons or tabs, or name another delimiter in a first line like "sep=|".

    Args:
        stream: the file, opened for reading bytes; UTF-8, or UTF-16 with a byte order mark; gzip
            is unpacked. It need not be able to seek.
        name: what to call it in messages.
        columns: header names that stand for `conversation_id`, `contact_id`, `admin_id`.

    Raises:
        SourceError: empty, a header without the needed columns, or nothing that can be read on.
    """
    lines = numbered_lines(stream, name)
    number, first = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if not number:
        raise SourceError(name, 0, "the file is empty; expected a CSV header or JSON lines")
    again = chain([(number, first)], lines)
    if _ARRAY.match(first):
        for line, element in read_elements(again, name):
            yield _pair_from_json(element, line, columns or {})
    elif first.lstrip()[:1] in {b"{", b"["}:
        yield from _read_json_lines(again, columns or {})
    else:
        yield from _read_csv(again, name, columns or {})


def _read_json_lines(lines: _Lines, columns: Mapping[str, str]) -> Iterator[Detach | BadLine]:
    for line, raw in lines:
        if not raw.strip():
            continue
        try:
            document: Any = json.loads(raw.decode(errors="surrogateescape"))
        except RecursionError:
            yield BadLine(line, "not a pair: nested too deeply")
        except ValueError as error:
            yield BadLine(line, f"not JSON ({error})")
        else:
            yield _pair_from_json(document, line, columns)


def _pair_from_json(document: Any, line: int, columns: Mapping[str, str]) -> Detach | BadLine:
    if is_list(document):
        if not 2 <= len(document) <= 3:
            return BadLine(line, f"a list of {len(document)}, not [conversation_id, contact_id]")
        return _pair([*document, None][: len(COLUMNS)], line)
    if not is_object(document):
        return BadLine(line, 'not an object such as {"conversation_id": "1", "contact_id": "2"}')
    return _pair([document.get(columns.get(name, name)) for name in COLUMNS], line)


def _read_csv(lines: _Lines, name: str, columns: Mapping[str, str]) -> Iterator[Detach | BadLine]:
    wanted = [columns.get(column, column) for column in COLUMNS]
    delimiter, header = _read_header(lines, name, columns)
    places = [header.index(column) if column in header else None for column in wanted]
    names = wanted[: len(REQUIRED)]
    for line, row in read_rows(lines, delimiter, len(header)):
        if isinstance(row, BadRow):
            yield BadLine(line, row.problem)
            continue
        cells = [
            None if at is None or at >= len(row) else row[at].decode(errors="surrogateescape")
            for at in places
        ]
        if cells[: len(REQUIRED)] == names:
            yield BadLine(line, "the header again")
        else:
            yield _pair(cells, line)


def _read_header(
    lines: _Lines, name: str, columns: Mapping[str, str]
) -> tuple[bytes, Sequence[str]]:
    """Return the delimiter and the columns' names."""
    number, text = next(lines)
    delimiters: Sequence[bytes] = _DELIMITERS
    if named := _NAMED_DELIMITER.fullmatch(text):
        delimiters = [named[1]]
        number, text = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if b"\0" in text:
        problem = "neither UTF-8 nor UTF-16 with a byte order mark: save the file as CSV (UTF-8)"
        raise SourceError(name, number, problem)
    wanted = {columns.get(column, column) for column in REQUIRED}
    found: list[str] = []
    for _ in range(_LONGEST_HEADER):
        unclosed = False
        for delimiter in delimiters:
            try:
                cells, _ = split_row(text, delimiter, ())
            except UnclosedQuoteError:
                unclosed = True
                continue
            names = [_name(cell) for cell in cells]
            if wanted <= set(names):
                return delimiter, _once(names, wanted, name, number)
            found = max(found, names, key=len)
        following = next(lines, None) if unclosed else None
        if following is None:
            break
        text += following[1]
    raise SourceError(name, number, f"the header {why_lacking(found, columns)}")


def _name(cell: bytes) -> str:
    try:
        return cell.decode().strip()
    except UnicodeDecodeError:
        return cell.decode("cp1252", errors="replace").strip()


def _once(names: Sequence[str], wanted: set[str], name: str, number: int) -> Sequence[str]:
    for column in sorted(wanted):
        if names.count(column) > 1:
            raise SourceError(name, number, f"the header names {column!r} twice")
    return names


def _pair(values: Sequence[Any], line: int) -> Detach | BadLine:
    """Make a pair of the values for `COLUMNS`."""
    conversation_id, contact_id, admin_id = values
    if isinstance(admin_id, str) and not admin_id.strip():
        admin_id = None
    try:
        return Detach(
            check_id("conversation_id", conversation_id),
            check_id("contact_id", contact_id),
            None if admin_id is None else check_id("admin_id", admin_id),
        )
    except InvalidArgumentError as error:
        missing = error.value is None and error.seen == "is missing"
        return BadLine(line, f"{error.name} is missing" if missing else str(error))
