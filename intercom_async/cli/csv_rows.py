"""CSV as programs write it, read so that a wrong quote rarely turns the text of a cell into a pair.

Python's reader refuses a quoted cell with a quote that is not doubled, or that is never closed.
Nobody can tell for certain where such a row ends. Here it ends with the first line whose last quote
can close a cell; if there is no such line, with the first line in which any quote can. If no quote
can close a cell, only the first line is bad, and each line after it is read alone.
"""

import contextlib
import csv
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from intercom_async.cli.lines import Lines
from intercom_async.errors import readable


@attrs.frozen
class BadLine:
    """A record that gives no pair: its place, such as "line 7", and what is wrong with it."""

    place: str
    problem: str


Record = tuple[str, Any] | BadLine
"""A record's place and what is in it."""

csv.field_size_limit(2**31 - 1)  # `Lines` bounds a row

_DELIMITERS: Final = (",", ";", "\t")
_NAMED_DELIMITER: Final = re.compile(r'"?sep=([^"\w\r\n])"?\s*', re.IGNORECASE)
_LONE_CR: Final = re.compile(r"\r(?!\r*$)")
_LIKE_A_TOKEN: Final = re.compile(r"(?=\S*[\dA-Z])\S{20}")
_SHOWN: Final = 20
_LIKELY: Final[Mapping[str, Sequence[str]]] = {
    "conversation_id": ("conversationid", "conversation", "convid", "convoid", "conversations"),
    "contact_id": ("contactid", "contact", "intercomid", "userid", "user", "customerid", "leadid"),
    "admin_id": ("adminid", "admin"),
    "email": ("email", "emailaddress", "mail", "useremail", "contactemail"),
    "external_id": ("externalid", "userid", "user", "customerid"),
}
"""Other programs' names of a column, as lower-case letters and digits, likelier ones first."""


@attrs.frozen
class Columns:
    """The columns that an input must have.

    Attributes:
        names: the file's name of each column; required ones come first.
        required: how many of them each record must have.
        options: what names the columns on the command line; "" if nothing does.
    """

    names: Mapping[str, str]
    required: int
    options: str = ""

    @property
    def wanted(self) -> Sequence[str]:
        """The file's names of the columns that each record must have."""
        return [*self.names.values()][: self.required]

    def refusal(self, header: Sequence[str]) -> str:
        """Say what a header lacks, what it has, and which option would help."""
        lacking = " and ".join(repr(name) for name in self.wanted if name not in header)
        found = ", ".join(map(_shown, header[:_SHOWN]))
        more = ", ..." if len(header) > _SHOWN else ""
        guessed = {ours: _guess(ours, header) for ours in self.names}
        advice = f". Give {self.options}" if self.options else ""
        if advice and all([*guessed.values()][: self.required]):
            named = ",".join(f"{ours}={name}" for ours, name in guessed.items() if name)
            advice = f". Try --columns {shlex.quote(named)}"
        return f"the header lacks {lacking}; found {found}{more}{advice}"


def _shown(name: str) -> str:
    """Show a name, but no access token: a file of one is easily given in place of a source."""
    return f"a text of {len(name)} characters" if _LIKE_A_TOKEN.search(name) else repr(name)


def _guess(column: str, header: Sequence[str]) -> str | None:
    simple = {
        "".join(filter(str.isalnum, name.lower())): name
        for name in reversed(header)
        if "," not in name and readable(name) == name
    }
    return next((simple[likely] for likely in _LIKELY.get(column, ()) if likely in simple), None)


def read_rows(lines: Lines, columns: Columns, *, headless: bool = False) -> Iterator[Record]:
    """Yield the rows after the header, or those of a file that has only the wanted columns.

    A row may have fewer cells than the header, as spreadsheets drop empty ones at its end.

    Raises:
        SourceError: the header lacks a column or has it twice.
    """
    delimiter, header = (",", columns.wanted) if headless else _read_header(lines, columns)
    up_to_closing = re.compile(rf'.*(?<!")(?:"")*" *(?:{re.escape(delimiter)}|\r*$)')
    searched = 0  # the last line that was read in search of the end of a row
    while True:
        number = lines.number + 1
        row: list[str] = []
        taken = itertools.islice(lines.take(row), 1 if number <= searched else None)
        try:
            cells = _next_row(taken, delimiter)
        except csv.Error:
            end = _end_of(row, taken, up_to_closing)
            searched = max(searched, lines.number)
            lines.give_back(row[max(1, end) :])
            problem = "a quote is never closed"
            if end:
                problem = "quotes in a quoted cell must be doubled"
                problem += f"; the row ends in line {lines.number}"
            yield BadLine(f"line {number}", f"not CSV ({problem})")
            continue
        if cells is None:
            return
        if any(map(str.strip, cells[len(header) :])):
            problem = f"{len(cells)} cells, but the header has {len(header)}"
            yield BadLine(f"line {number}", problem)
        elif [cell.strip() for cell in cells] == header:
            yield BadLine(f"line {number}", "the header again")
        elif any(map(str.strip, cells)):
            yield f"line {number}", dict(zip(header, cells, strict=False))


def _end_of(row: list[str], more: Iterator[str], up_to_closing: re.Pattern[str]) -> int:
    """Return how many lines a wrong row has; 0 if no quote can close a cell of it.

    Each of `more` lines becomes one of the row's.
    """
    end = 0
    for line in itertools.chain(row[-1:], more):
        if closing := up_to_closing.match(line):
            end = end or len(row)
            if '"' not in line[closing.end() :]:
                return len(row)
    return end


def _read_header(lines: Lines, columns: Columns) -> tuple[str, Sequence[str]]:
    delimiters: Sequence[str] = _DELIMITERS
    first = next(lines)
    if named := _NAMED_DELIMITER.fullmatch(first):
        delimiters = [named[1]]
        first = next(lines, "")
    if "\0" in first or "\r" in first.rstrip():
        raise lines.error("not UTF-8, or its lines end with CR alone; save it as CSV (UTF-8)")
    lines.give_back([first] if first else [])
    longest: Sequence[str] = ()
    for delimiter in delimiters:
        row: list[str] = []
        with contextlib.suppress(csv.Error):
            names = [name.strip() for name in _next_row(lines.take(row), delimiter) or ()]
            if set(columns.wanted) <= set(names):
                for name in columns.names.values():
                    if names.count(name) > 1:
                        raise lines.error(f"the header names {name!r} twice")
                return delimiter, names
            longest = max(longest, names, key=len)
        lines.give_back(row)
    next(lines, None)  # the line that the error names
    if not longest:
        raise lines.error("the header is not CSV (a quote is never closed, or not doubled)")
    raise lines.error(columns.refusal(longest))


def _next_row(lines: Iterator[str], delimiter: str) -> list[str] | None:
    # Python's reader would take a lone CR for the end of a row.
    kept = (_LONE_CR.sub("\v", line) if "\r" in line else line for line in lines)
    reader = csv.reader(kept, delimiter=delimiter, skipinitialspace=True, strict=True)
    return next(reader, None)
