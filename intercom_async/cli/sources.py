"""Pairs and people from files: CSV with a header, JSON lines, or a JSON array. Read lazily.

A line without a pair becomes a `BadLine`, and the reading goes on: one typing error must not cost
the other two million lines.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, Final, Generic, TypeVar

import attrs

from intercom_async.cli.columns import PEOPLE, read_header
from intercom_async.cli.elements import read_elements
from intercom_async.cli.lines import Lines, SourceError, numbered_lines
from intercom_async.cli.rows import read_rows
from intercom_async.detaching import Detach
from intercom_async.errors import InvalidArgumentError
from intercom_async.ids import check_id
from intercom_async.pairs import COLUMNS, REQUIRED
from intercom_async.people import By
from intercom_async.structuring import is_list, is_object

__all__ = ["BadLine", "SourceError", "read_pairs", "read_people"]

_ARRAY: Final = re.compile(rb"\s*\[\s*([\[{\]]|\Z)")
"""The beginning of an array of pairs; a line with one pair in brackets does not match."""

_ADDRESS: Final = re.compile(rb"[^,;\t@]+@[^,;\t@]+")
"""A line that is an address, not a header."""


@attrs.frozen
class BadLine:
    """A line, counted from 1, that gives no pair, and what is wrong with it."""

    line: int
    problem: str


_Entry = TypeVar("_Entry")


@attrs.frozen
class _Reading(Generic[_Entry]):
    """How to make entries of rows.

    Attributes:
        names: the file's own names of the columns.
        required: how many columns, counted from the first, a row must have.
        make: makes an entry of the columns' values, or raises InvalidArgumentError.
        example: an entry as JSON, for messages.
    """

    columns: Sequence[str]
    names: Sequence[str]
    required: int
    make: Callable[[Sequence[Any]], _Entry]
    example: str

    def entry(self, values: Sequence[Any], line: int) -> _Entry | BadLine:
        try:
            return self.make(values)
        except InvalidArgumentError as error:
            missing = error.value is None and error.seen == "is missing"
            return BadLine(line, f"{error.name} is missing" if missing else str(error))

    def from_json(self, document: Any, line: int) -> _Entry | BadLine:
        if is_list(document):
            if not self.required <= len(document) <= len(self.columns):
                expected = ", ".join(self.columns[: self.required])
                return BadLine(line, f"a list of {len(document)}, not [{expected}]")
            return self.entry([*document, None][: len(self.columns)], line)
        if not is_object(document):
            return BadLine(line, f"not an object such as {self.example}")
        return self.entry([document.get(name) for name in self.names], line)


def read_pairs(
    stream: BinaryIO, name: str, *, columns: Mapping[str, str] | None = None
) -> Iterator[Detach | BadLine]:
    """Yield the pairs of an opened file; `columns` maps `COLUMNS` to the file's own names.

    The first line that is not blank decides the format: "{" or a pair in brackets begins JSON
    lines, "[" alone or before another bracket begins a JSON array, anything else is a CSV header.
    CSV may use commas, semicolons or tabs, or name its delimiter in a first line like "sep=|".

    Raises:
        SourceError: the file is empty, the header lacks a column, or the rest cannot be read.
    """
    names = [(columns or {}).get(column, column) for column in COLUMNS]
    example = '{"conversation_id": "1", "contact_id": "2"}'
    return _read(stream, name, _Reading(COLUMNS, names, len(REQUIRED), _pair, example))


def read_people(
    stream: BinaryIO, name: str, *, by: By, columns: Mapping[str, str] | None = None
) -> Iterator[str | BadLine]:
    """Yield the people of an opened file, as `read_pairs` does; addresses need no header."""
    column = PEOPLE[by]

    def make(values: Sequence[Any]) -> str:
        return check_id(column, values[0])

    names = [(columns or {}).get(column, column)]
    return _read(stream, name, _Reading((column,), names, 1, make, f'{{"{column}": "..."}}'))


def _read(stream: BinaryIO, name: str, how: _Reading[_Entry]) -> Iterator[_Entry | BadLine]:
    lines = numbered_lines(stream, name)
    number, first = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if not number:
        raise SourceError(name, 0, "the file is empty; it must begin with a CSV header or JSON")
    again = chain([(number, first)], lines)
    if _ARRAY.match(first):
        for line, element in read_elements(again, name):
            yield how.from_json(element, line)
    elif first.lstrip()[:1] in {b"{", b"["}:
        yield from _read_json_lines(again, how)
    else:
        if how.columns == ("email",) and _ADDRESS.fullmatch(first):
            again = chain([(0, how.names[0].encode())], again)
        yield from _read_csv(again, name, how)


def _read_json_lines(lines: Lines, how: _Reading[_Entry]) -> Iterator[_Entry | BadLine]:
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
            yield how.from_json(document, line)


def _read_csv(lines: Lines, name: str, how: _Reading[_Entry]) -> Iterator[_Entry | BadLine]:
    required = how.names[: how.required]
    delimiter, header = read_header(lines, name, how.columns, required)
    places = [header.index(column) if column in header else None for column in how.names]
    for line, row in read_rows(lines, delimiter, len(header)):
        if isinstance(row, str):
            yield BadLine(line, row)
            continue
        cells = [
            None if at is None or at >= len(row) else row[at].decode(errors="surrogateescape")
            for at in places
        ]
        if cells[: how.required] == required:
            yield BadLine(line, "the header again")
        else:
            yield how.entry(cells, line)


def _pair(values: Sequence[Any]) -> Detach:
    conversation_id, contact_id, admin_id = values
    if isinstance(admin_id, str) and not admin_id.strip():
        admin_id = None
    return Detach(
        check_id("conversation_id", conversation_id),
        check_id("contact_id", contact_id),
        None if admin_id is None else check_id("admin_id", admin_id),
    )
