"""Pairs and people from files: CSV with a header or JSON lines, read lazily, or a JSON array.

A record without a pair becomes a `BadLine`, and the reading goes on: one typing error must not
cost the other two million lines.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from intercom_async.cli.csv_rows import BadLine, Columns, Record, read_rows
from intercom_async.cli.lines import Lines
from intercom_async.detaching import Detach
from intercom_async.documents import is_list, is_object
from intercom_async.errors import InvalidArgumentError
from intercom_async.ids import check_id
from intercom_async.pairs import COLUMNS, REQUIRED, as_detach
from intercom_async.people import By

PEOPLE: Final[Mapping[By, str]] = {
    "email": "email",
    "contact": "contact_id",
    "external-id": "external_id",
}
"""The column of people, for each value of --by."""

_ARRAY: Final = re.compile(r"\[\s*([\[{\]]|\Z)")
_ADDRESS: Final = re.compile(r"[^,;\t@\n]+@[^,;\t@\n]+")
"""A first line that is an address, not a header."""

_Entry = TypeVar("_Entry")


def read_pairs(
    stream: io.BufferedReader, name: str, *, columns: Mapping[str, str] | None = None
) -> Iterator[Detach | BadLine]:
    """Yield the pairs of an opened file; `columns` maps `COLUMNS` to the file's own names.

    The first line that is not blank decides the format: "{" or a pair in brackets begins JSON
    lines, "[" alone or before another bracket begins a JSON array, anything else is a CSV header.
    CSV may use commas, semicolons or tabs, or name its delimiter in a first line like "sep=|".

    Raises:
        SourceError: the file is empty, the header lacks a column, or the rest cannot be read.
    """
    columns = columns or {}
    names = {column: columns.get(column, column) for column in COLUMNS}
    # If a column of admins is named and missing, the wrong admin would act.
    required = COLUMNS if "admin_id" in columns else REQUIRED
    options = "--columns conversation_id=...,contact_id=..."
    return _read(stream, name, Columns(names, len(required), options), _pair)


def read_people(
    stream: io.BufferedReader, name: str, *, columns: Mapping[str, str]
) -> Iterator[str | BadLine]:
    """Yield the people of an opened file, as `read_pairs` does; addresses need no header.

    `columns` maps one of `PEOPLE` to the file's own name.
    """
    (column,) = columns
    wanted = Columns(columns, 1, f"--columns {column}=... or another --by")
    return _read(stream, name, wanted, lambda values: check_id(column, values[0]))


def read_routed_pairs(
    stream: io.BufferedReader, name: str
) -> Iterator[tuple[str, Detach] | BadLine]:
    """Yield the workspaces and pairs of an opened file, as `read_pairs` does."""
    names = {column: column for column in ("workspace", *COLUMNS)}
    return _read(stream, name, Columns(names, 3), _routed)


def _routed(values: Sequence[Any]) -> tuple[str, Detach]:
    workspace, *ids = values
    if not isinstance(workspace, str):
        raise InvalidArgumentError("workspace", workspace, "a text", seen="is missing")
    return workspace, _pair(ids)


def _pair(values: Sequence[Any]) -> Detach:
    pair, error = as_detach(values, 0)
    if error is not None:
        raise error
    return pair


def _read(
    stream: io.BufferedReader, name: str, columns: Columns, make: Callable[[Sequence[Any]], _Entry]
) -> Iterator[_Entry | BadLine]:
    lines = Lines(stream, name)
    with stream:
        for record in _records(lines, columns):
            if isinstance(record, BadLine):
                yield record
                continue
            place, document = record
            try:
                yield make(_values(document, columns))
            except InvalidArgumentError as error:
                missing = error.value is None and error.seen == "is missing"
                yield BadLine(place, f"{error.name} is missing" if missing else str(error))


def _values(document: Any, columns: Columns) -> Sequence[Any]:
    """Return the values of a record's columns; a text that a database left empty is missing."""
    values: Sequence[Any] = ()
    if is_object(document):
        values = [document.get(name) for name in columns.names.values()]
    elif is_list(document):
        values = document
    if not columns.required <= len(values) <= len(columns.names):
        expected = f"an object such as {json.dumps(dict.fromkeys(columns.wanted, '...'))}"
        raise InvalidArgumentError("a record", document, expected)
    return [value.strip() or None if isinstance(value, str) else value for value in values]


def _records(lines: Lines, columns: Columns) -> Iterator[Record]:
    first = next((line for line in lines if not line.isspace()), None)
    if first is None:
        raise lines.error("the file is empty; it must begin with a CSV header or JSON", whole=True)
    lines.give_back([first])
    first = first.strip()
    if _ARRAY.match(first):
        return _json_array(lines)
    if first.startswith(("{", "[")):
        return _json_lines(lines)
    headless = "email" in columns.names and _ADDRESS.fullmatch(first) is not None
    return read_rows(lines, columns, headless=headless)


def _json_lines(lines: Lines) -> Iterator[Record]:
    for line in lines:
        if not line.isspace():
            try:
                yield f"line {lines.number}", _parsed(line)
            except ValueError as error:
                yield BadLine(f"line {lines.number}", f"not JSON ({error})")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:  # each Python says it in other words
        raise ValueError("nested too deeply") from None


def _json_array(lines: Lines) -> Iterator[Record]:
    before = "\n" * lines.number  # for the number of the line that an error names
    text = "".join(lines.take([]))
    if next(lines, None) is not None:
        problem = "the array is too long; write JSON lines, for example with jq -c '.[]'"
        raise lines.error(problem, whole=True)
    try:
        items = _parsed(before + text)
    except ValueError as error:
        raise lines.error(f"not JSON ({error})", whole=True) from None
    for number, item in enumerate(items, start=1):
        yield f"item {number}", item
