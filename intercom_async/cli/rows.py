"""Rows of CSV. A row is judged as a row, so that no text in one is ever taken for another.

A cell is quoted if it begins with a quote, spaces aside. It ends at a quote before a delimiter or
the end of a line; a quote in it is doubled. If one is not, nobody knows which quote ends the cell:
the row goes on to the next that can, and is a bad one. Only if no quote closes the cell, up to the
end of the file, are the lines behind its first one read, each by itself.
"""

import re
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Final

import attrs

IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes behind an open quote; more are kept in a temporary file until it is closed."""

_KEPT: Final = 8192
"""Bytes of a quoted cell; no id is as long."""

_OPENING: Final = re.compile(rb' *"')
_BLANKS: Final = re.compile(rb" *")
_INSIDE: Final = re.compile(rb'[^"]*+(?:""[^"]*+)*+')


@attrs.frozen
class BadRow:
    """A row of which no cell can be trusted.

    Attributes:
        problem: what is wrong with it.
    """

    problem: str


class UnclosedQuoteError(Exception):
    """A quoted cell does not end before the lines do."""


def read_rows(
    numbered: Iterator[tuple[int, bytes]], delimiter: bytes, width: int, *, alone: bool = False
) -> Iterator[tuple[int, list[bytes] | BadRow]]:
    """Yield each row that is not blank, and the number of its first line.

    Args:
        numbered: lines with their numbers.
        delimiter: of cells.
        width: cells of the header. A row may lack some, as spreadsheets leave out empty ones.
        alone: each line is a row: the lines behind a quote that is never closed.
    """
    for number, line in numbered:
        if not line.strip():
            continue
        sound, last = True, number
        cells = _split_simple(line.rstrip(b"\r\n"), delimiter)
        if cells is None:
            behind = _Behind(iter(()) if alone else numbered)
            try:
                cells, sound = split_row(line, delimiter, behind)
                last = number + behind.count
            except UnclosedQuoteError:
                yield number, BadRow("not CSV (a quote is never closed)")
                yield from read_rows(behind.again(number + 1), delimiter, width, alone=True)
                continue
            finally:
                behind.close()
        if not sound:
            up_to = f"; the row ends in line {last}" if last > number else ""
            yield number, BadRow(f'not CSV (a quote in a quoted cell must be doubled: ""{up_to})')
        elif len(cells) > width and any(cell.strip() for cell in cells[width:]):
            yield number, BadRow(f"{len(cells)} cells, but the header has {width}")
        else:
            yield number, cells


class _Behind:
    """The lines behind a row's first one, kept for being read again.

    Attributes:
        count: of them.
    """

    def __init__(self, numbered: Iterator[tuple[int, bytes]]) -> None:
        self._numbered = numbered
        self.count = 0
        self._kept: SpooledTemporaryFile[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        for _, line in self._numbered:
            if self._kept is None:
                self._kept = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  see `close`
            self._kept.write(line)
            self.count += 1
            yield line

    def again(self, number: int) -> Iterator[tuple[int, bytes]]:
        if self._kept is not None:
            self._kept.seek(0)
            yield from enumerate(self._kept, start=number)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


def _split_simple(row: bytes, delimiter: bytes) -> list[bytes] | None:
    """Return the cells of a row without quotes, or with nothing but quoted cells on one line."""
    quotes = row.count(b'"')
    if not quotes:
        return row.split(delimiter)
    cells = row[1:-1].split(b'"%b"' % delimiter)
    simple = quotes == 2 * len(cells) and row.startswith(b'"') and row.endswith(b'"')
    return cells if simple else None


def split_row(line: bytes, delimiter: bytes, behind: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Return a row's cells, and whether all quotes in them are doubled.

    Args:
        line: its first line.
        delimiter: of cells.
        behind: the lines behind it, of which as many are taken as its quoted cells need.

    Raises:
        UnclosedQuoteError: a quoted cell does not end.
    """
    following = iter(behind)
    cells: list[bytes] = []
    sound = True
    start = 0
    while True:
        opening = _OPENING.match(line, start)
        if opening:
            cell, line, stop, doubled = _quoted(line, opening.end(), delimiter, following)
            sound = sound and doubled
        else:
            stop = line.find(delimiter, start)
            stop = _length(line) if stop < 0 else stop
            cell = line[start:stop]
        cells.append(cell)
        if line[stop : stop + 1] != delimiter:
            return cells, sound
        start = stop + 1


def _quoted(
    line: bytes, start: int, delimiter: bytes, following: Iterator[bytes]
) -> tuple[bytes, bytes, int, bool]:
    """Return a quoted cell, the line it ends on and where, and whether quotes are doubled."""
    cell = b""
    doubled = True
    length = _length(line)
    while True:
        stop = _skip(_INSIDE, line, start)
        if len(cell) < _KEPT:
            cell += line[start : min(stop, start + _KEPT)]
        if stop == len(line):
            following_line = next(following, None)
            if following_line is None:
                raise UnclosedQuoteError
            line, start, length = following_line, 0, _length(following_line)
            continue
        end = _skip(_BLANKS, line, stop + 1)
        if end == length or line[end : end + 1] == delimiter:
            return cell.replace(b'""', b'"'), line, end, doubled
        doubled = False
        cell += b'"'
        start = stop + 1


def _skip(pattern: re.Pattern[bytes], line: bytes, start: int) -> int:
    found = pattern.match(line, start)
    return start if found is None else found.end()


def _length(line: bytes) -> int:
    return len(line.rstrip(b"\r\n"))
