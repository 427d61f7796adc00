"""Rows of CSV, read so that a wrong quote never turns the text of one cell into a pair.

A cell is quoted if it begins with a quote, after spaces perhaps. It ends at a quote before a
delimiter or the end of a line, and a quote inside it must be doubled. If one is not, the true end
is uncertain: the row runs up to the next quote that can end it, and is a bad row. If no quote ends
the cell before the file does, only its first line is bad, and the lines after it are read alone.
"""

import re
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Final

from intercom_async.cli.lines import Lines

_IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes after an open quote that stay in memory; more go to a temporary file."""

_KEPT: Final = 8192
"""Bytes of a quoted cell that are kept; no id is as long."""

_OPENING: Final = re.compile(rb' *"')
_BLANKS: Final = re.compile(rb" *")
_INSIDE: Final = re.compile(rb'[^"]*+(?:""[^"]*+)*+')


class UnclosedQuoteError(Exception):
    """No quote ends a quoted cell."""


def read_rows(
    lines: Lines, delimiter: bytes, width: int, *, alone: bool = False
) -> Iterator[tuple[int, list[bytes] | str]]:
    """Yield the number of each row's first line, and its cells or what is wrong with it.

    Blank rows are skipped. A row may have fewer than the header's `width` cells, as spreadsheets
    drop empty ones at its end. With `alone` each line is a row.
    """
    for number, line in lines:
        if not line.strip():
            continue
        cells = _split_simple(line.rstrip(b"\r\n"), delimiter)
        if cells is not None:
            yield number, _fitting(cells, width)
            continue
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as behind:
            following = _keep(iter(()) if alone else lines, behind)
            try:
                cells, sound = split_row(line, delimiter, following)
            except UnclosedQuoteError:
                yield number, "not CSV (a quote is never closed)"
                behind.seek(0)
                yield from read_rows(enumerate(behind, number + 1), delimiter, width, alone=True)
                continue
            if sound:
                yield number, _fitting(cells, width)
                continue
            behind.seek(0)
            more = sum(1 for _ in behind)
        up_to = f"; the row ends in line {number + more}" if more else ""
        yield number, f'not CSV (a quote in a quoted cell must be doubled: ""{up_to})'


def _keep(lines: Lines, behind: "SpooledTemporaryFile[bytes]") -> Iterator[bytes]:
    for _, line in lines:
        behind.write(line)
        yield line


def _fitting(cells: list[bytes], width: int) -> list[bytes] | str:
    if any(cell.strip() for cell in cells[width:]):
        return f"{len(cells)} cells, but the header has {width}"
    return cells


def _split_simple(row: bytes, delimiter: bytes) -> list[bytes] | None:
    """Return the cells of a line with no quotes, or with all cells quoted; None for others."""
    quotes = row.count(b'"')
    if not quotes:
        return row.split(delimiter)
    cells = row[1:-1].split(b'"%b"' % delimiter)
    simple = quotes == 2 * len(cells) and row.startswith(b'"') and row.endswith(b'"')
    return cells if simple else None


def split_row(line: bytes, delimiter: bytes, behind: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Return a row's cells, and whether all quotes in them are doubled.

    A quoted cell that goes on takes lines from `behind`.
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
            start, line = 0, next(following, b"")
            if not line:
                raise UnclosedQuoteError
            length = _length(line)
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
