"""Pairs from files: CSV with a header, or JSON lines. Read lazily, a line at a time.

A line that cannot be understood becomes a `BadLine` with its place and what would be right, and
the reading goes on: one typing error must not cost the other two million lines.
"""

import codecs
import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, Self

import attrs

from intercom_async.detaching import Detach
from intercom_async.errors import IntercomError
from intercom_async.structuring import is_list, is_object

COLUMNS: Final = ("conversation_id", "contact_id", "admin_id")
REQUIRED: Final = COLUMNS[:2]
_DELIMITERS: Final = (",", ";", "\t")


class SourceError(IntercomError):
    """An input that cannot be read at all.

    Attributes:
        source: the file, "-" for standard input.
        line: where, counted from 1; 0 when it is no matter of a line.
    """

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source = source
        self.line = line
        place = f"{source}, line {line}" if line else source
        super().__init__(f"{place}: {problem}")


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

    The format is told by the first line that is not blank: one that begins with "{" or "[" is
    JSON lines, anything else is a CSV header. CSV may use commas, semicolons or tabs.

    Args:
        stream: the file, opened for reading bytes; UTF-8, with or without a byte order mark.
        name: what to call it in messages.
        columns: header names that stand for `conversation_id`, `contact_id`, `admin_id`.

    Raises:
        SourceError: empty, or a header without the needed columns.
    """
    lines = enumerate(stream, start=1)
    texts = ((number, raw.removeprefix(codecs.BOM_UTF8)) for number, raw in lines)
    number, first = next(((number, text) for number, text in texts if text.strip()), (0, b""))
    if not number:
        raise SourceError(name, 0, "the file is empty; expected a CSV header or JSON lines")
    if first.lstrip()[:1] in {b"{", b"["}:
        yield from _read_json_lines(first, number, lines, columns or {})
    else:
        yield from _read_csv(first, number, lines, name, columns or {})


def _read_json_lines(
    first: bytes, number: int, rest: Iterable[tuple[int, bytes]], columns: Mapping[str, str]
) -> Iterator[Detach | BadLine]:
    yield _pair_from_json(first, number, columns)
    for line, raw in rest:
        if raw.strip():
            yield _pair_from_json(raw, line, columns)


def _pair_from_json(raw: bytes, line: int, columns: Mapping[str, str]) -> Detach | BadLine:
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return BadLine(line, _why_no_json(error))
    if is_list(document):
        if not 2 <= len(document) <= 3:
            return BadLine(line, f"a list of {len(document)}, not [conversation_id, contact_id]")
        return _pair([*document, None][: len(COLUMNS)], line)
    if not is_object(document):
        return BadLine(line, 'not an object such as {"conversation_id": "1", "contact_id": "2"}')
    return _pair([document.get(columns.get(name, name)) for name in COLUMNS], line)


def _why_no_json(error: ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "not a pair: nested too deeply"
    return f"not JSON ({error})"


def _read_csv(
    header: bytes,
    number: int,
    rest: Iterable[tuple[int, bytes]],
    name: str,
    columns: Mapping[str, str],
) -> Iterator[Detach | BadLine]:
    wanted = [columns.get(column, column) for column in COLUMNS]
    delimiter, found = _header(header, name, number, wanted)
    places = [found.index(column) if column in found else None for column in wanted]
    lines = _Lines(rest)
    while True:
        # A reader that raised is spent.
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for row in rows:
                line = lines.end_row()
                if row:
                    yield _pair_from_row(row, places, line)
        except csv.Error as error:
            yield BadLine(lines.go_back(), f"not CSV ({error})")
        except UnicodeDecodeError:
            yield BadLine(lines.go_back(), "not UTF-8")
        else:
            return


class _Lines:
    """The lines that a CSV reader takes, for going back to where a row began.

    A quote that is never closed makes a row of everything behind it: only the line that it is on
    is wrong, the others are read again.

    Args:
        numbered: the lines with their numbers.
    """

    def __init__(self, numbered: Iterable[tuple[int, bytes]]) -> None:
        self._coming = iter(numbered)
        self._again: deque[tuple[int, bytes]] = deque()
        self._row: list[tuple[int, bytes]] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        entry = self._again.popleft() if self._again else next(self._coming)
        self._row.append(entry)
        return entry[1].decode()

    def end_row(self) -> int:
        """The row is understood; return the number of its first line."""
        first = self._row[0][0]
        self._row.clear()
        return first

    def go_back(self) -> int:
        """The row is not: go on with its second line, and return the number of its first."""
        (first, _), *others = self._row
        self._row.clear()
        self._again.extendleft(reversed(others))
        return first


def _header(raw: bytes, name: str, line: int, wanted: Sequence[str]) -> tuple[str, list[str]]:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise SourceError(name, line, "the header is not UTF-8") from None
    best: list[str] = []
    for delimiter in _DELIMITERS:
        try:
            row = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise SourceError(name, line, f"the header is not CSV ({error})") from None
        found = [column.strip() for column in row]
        if set(wanted[: len(REQUIRED)]) <= set(found):
            return delimiter, found
        best = max(best, found, key=len)
    missing = [column for column in wanted[: len(REQUIRED)] if column not in best]
    shown = ", ".join(repr(column) for column in best[:20])
    raise SourceError(
        name,
        line,
        f"the header lacks {' and '.join(repr(column) for column in missing)}; "
        f"found {shown}. Name the columns with --columns conversation_id=...,contact_id=...",
    )


def _pair_from_row(row: Sequence[str], places: Sequence[int | None], line: int) -> Detach | BadLine:
    cells = [None if at is None or at >= len(row) else row[at] for at in places]
    return _pair(cells, line)


def _pair(values: Sequence[Any], line: int) -> Detach | BadLine:
    """Make a pair of the values for `COLUMNS`; ids may be whole numbers in JSON."""
    texts: list[str | None] = []
    for column, value in zip(COLUMNS, values, strict=True):
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if text is None or (isinstance(text, str) and not text.strip()):
            if column in REQUIRED:
                return BadLine(line, f"{column} is missing")
            texts.append(None)
        elif isinstance(text, str):
            texts.append(text.strip())
        else:
            return BadLine(line, f"{column} must be a text, not {value!r:.60}")
    conversation_id, contact_id, admin_id = texts
    assert conversation_id is not None  # noqa: S101  required columns are never None here
    assert contact_id is not None  # noqa: S101  same
    return Detach(conversation_id, contact_id, admin_id)
