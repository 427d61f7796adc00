"""Pairs and people from files: CSV with a header, JSON lines, or a JSON array. Read lazily.

A record without a pair becomes a `BadLine`, and the reading goes on: one typing error must not
cost the other two million lines.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from intercom_async.cli.csv_rows import Columns, Record, read_rows
from intercom_async.cli.input_text import LONGEST, Text
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

_BEGINNING: Final = re.compile(
    r"(?P<blank>(?:[^\S\n]*+\n)*+)[^\S\n]*+"
    r"(?:(?P<array>\[[^\S\n]*+[\[{\]\n])|(?P<lines>\{|\[[^\S\n]*+\S)|[^\s\[{])"
)
"""What decides the format, after blank lines."""

_ADDRESS: Final = re.compile(r"[^,;\t@\n]+@[^,;\t@\n]+\n")
"""A first line that is an address, not a header."""

_decode: Final = json.JSONDecoder().raw_decode

_Entry = TypeVar("_Entry")


@attrs.frozen
class BadLine:
    """A line, counted from 1, that gives no pair, and what is wrong with it."""

    line: int
    problem: str


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
    names = [columns.get(column, column) for column in COLUMNS]
    # A column of admins that was named and is missing would let the wrong admin act.
    required = COLUMNS if "admin_id" in columns else REQUIRED
    return _read(stream, name, Columns(COLUMNS, names, len(required)), _pair)


def read_people(
    stream: io.BufferedReader, name: str, *, by: By, columns: Mapping[str, str] | None = None
) -> Iterator[str | BadLine]:
    """Yield the people of an opened file, as `read_pairs` does; addresses need no header."""
    column = PEOPLE[by]
    others = {other: f"Try --by {other_by}" for other_by, other in PEOPLE.items()}
    wanted = Columns((column,), [(columns or {}).get(column, column)], 1, others)
    return _read(stream, name, wanted, lambda values: check_id(column, values[0]))


def read_routed_pairs(
    stream: io.BufferedReader, name: str
) -> Iterator[tuple[str, Detach] | BadLine]:
    """Yield the workspaces and pairs of an opened file, as `read_pairs` does."""
    columns = ("workspace", *COLUMNS)
    return _read(stream, name, Columns(columns, columns, 3), _routed)


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
    for line, values in _records(Text(stream, name), columns):
        if isinstance(values, str):
            yield BadLine(line, values)
            continue
        try:
            yield make(values)
        except InvalidArgumentError as error:
            missing = error.value is None and error.seen == "is missing"
            yield BadLine(line, f"{error.name} is missing" if missing else str(error))


def _records(text: Text, columns: Columns) -> Iterator[Record]:
    begin = text.match(_BEGINNING)
    if begin is None:
        raise text.error("the file is empty; it must begin with a CSV header or JSON", line=0)
    text.take(begin.end("blank"))
    if begin["array"]:
        return _elements(text, columns)
    if begin["lines"]:
        return _lines(text, columns)
    address = _ADDRESS.fullmatch(text.line_ahead()) is not None
    return read_rows(text, columns, headless=address and columns.ours == ("email",))


def _lines(text: Text, columns: Columns) -> Iterator[Record]:
    while end := text.line_end():
        number, line = text.line, text.take(end)
        if line.isspace():
            continue
        try:
            yield number, _values(json.loads(line.rstrip()), columns)
        except RecursionError:
            yield number, "not a pair: nested too deeply"
        except ValueError as error:
            yield number, f"not JSON ({error})"


def _elements(text: Text, columns: Columns) -> Iterator[Record]:
    """Yield each element of an array, with the number of the line it begins on."""
    text.take(text.text.index("[", text.at) + 1)
    mark = text.look()
    if mark == "]":
        text.take(text.at + 1)
    else:
        mark = ","
    while mark == ",":
        text.look()
        yield text.line, _values(_element(text), columns)
        mark = text.look()
        if mark not in {",", "]"}:
            raise text.error('not JSON (expected "," or "]")')
        text.take(text.at + 1)
    if text.look():
        raise text.error("there is text after the array")


def _element(text: Text) -> Any:
    """Decode what comes next, and pass it."""
    while True:
        try:
            element, end = _decode(text.text, text.at)
            number = isinstance(element, int | float)
            # What comes next may belong to a number: "1" may be the beginning of "1e-5".
            if end + 2 * number < len(text.text) or not text.grow():
                text.take(end)
                return element
        except json.JSONDecodeError as error:
            if len(text.text) - text.at > LONGEST or not text.grow():
                text.take(error.pos)
                raise text.error(f"not JSON ({error.msg})") from None
        except RecursionError:
            raise text.error("nested too deeply") from None
        except ValueError as error:  # a number of thousands of digits
            raise text.error(f"not JSON ({error})") from None


def _values(document: Any, columns: Columns) -> Sequence[Any] | str:
    required = columns.ours[: columns.required]
    values: Sequence[Any]
    if is_object(document):
        values = [document.get(name) for name in columns.names]
    elif not is_list(document):
        return f"not an object such as {json.dumps(dict.fromkeys(required, '...'))}"
    elif columns.required <= len(document) <= len(columns.ours):
        values = document
    else:
        return f"a list of {len(document)}, not [{', '.join(required)}]"
    # An id that a database left empty is missing.
    return [None if value == "" else value for value in values]
