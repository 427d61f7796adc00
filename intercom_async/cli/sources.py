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

from intercom_async.cli.columns import read_header
from intercom_async.cli.elements import read_elements
from intercom_async.cli.lines import Lines, SourceError, numbered_lines
from intercom_async.cli.rows import read_rows
from intercom_async.detaching import Detach
from intercom_async.errors import InvalidArgumentError
from intercom_async.ids import check_id
from intercom_async.pairs import COLUMNS, REQUIRED
from intercom_async.structuring import is_list, is_object

__all__ = ["BadLine", "SourceError", "read_pairs"]

_ARRAY: Final = re.compile(rb"\s*\[\s*([\[{\]]|\Z)")
"""An array of pairs rather than one pair that is an array."""


@attrs.frozen
class BadLine:
    """A line, counted from 1, that gives no pair: what is wrong and what would be right."""

    line: int
    problem: str


def read_pairs(
    stream: BinaryIO, name: str, *, columns: Mapping[str, str] | None = None
) -> Iterator[Detach | BadLine]:
    """Yield the pairs of an opened file; `columns` maps `COLUMNS` to what it calls them.

    The format is told by the first line that is not blank: "{" or a pair in brackets begins JSON
    lines, "[" alone or before another bracket a JSON array, anything else is a CSV header. CSV may
    use commas, semicolons or tabs, or name another delimiter in a first line like "sep=|".

    Raises:
        SourceError: empty, a header without the needed columns, or nothing that can be read on.
    """
    lines = numbered_lines(stream, name)
    number, first = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if not number:
        raise SourceError(name, 0, "the file is empty; expected a CSV header or JSON lines")
    again = chain([(number, first)], lines)
    names = [(columns or {}).get(column, column) for column in COLUMNS]
    if _ARRAY.match(first):
        for line, element in read_elements(again, name):
            yield _pair_from_json(element, line, names)
    elif first.lstrip()[:1] in {b"{", b"["}:
        yield from _read_json_lines(again, names)
    else:
        yield from _read_csv(again, name, names)


def _read_json_lines(lines: Lines, names: Sequence[str]) -> Iterator[Detach | BadLine]:
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
            yield _pair_from_json(document, line, names)


def _pair_from_json(document: Any, line: int, names: Sequence[str]) -> Detach | BadLine:
    if is_list(document):
        if not 2 <= len(document) <= 3:
            return BadLine(line, f"a list of {len(document)}, not [conversation_id, contact_id]")
        return _pair([*document, None][: len(COLUMNS)], line)
    if not is_object(document):
        return BadLine(line, 'not an object such as {"conversation_id": "1", "contact_id": "2"}')
    return _pair([document.get(name) for name in names], line)


def _read_csv(lines: Lines, name: str, names: Sequence[str]) -> Iterator[Detach | BadLine]:
    required = names[: len(REQUIRED)]
    delimiter, header = read_header(lines, name, required)
    places = [header.index(column) if column in header else None for column in names]
    for line, row in read_rows(lines, delimiter, len(header)):
        if isinstance(row, str):
            yield BadLine(line, row)
            continue
        cells = [
            None if at is None or at >= len(row) else row[at].decode(errors="surrogateescape")
            for at in places
        ]
        if cells[: len(REQUIRED)] == required:
            yield BadLine(line, "the header again")
        else:
            yield _pair(cells, line)


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
