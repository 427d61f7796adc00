"""CSV as programs write it, read so that a wrong quote rarely turns the text of a cell into a pair.

Python's reader refuses a quoted cell with a quote that is not doubled, or that is never closed.
Nobody can tell for certain where such a row ends. Here it ends with the first line whose last quote
can close a cell; if there is no such line, with the first line in which any quote can. If no quote
can close a cell, only the first line is bad, and each line after it is read alone.
"""

import csv
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from intercom_async.cli.lines import Lines
from intercom_async.errors import readable

Record = tuple[str, Sequence[Any] | str]
"""A record's place, such as "line 7"; the values of its columns, or what is wrong with it."""

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
        shown = ", ".join(map(_shown, header[:_SHOWN]))
        more = f" and {len(header) - _SHOWN} more" if len(header) > _SHOWN else ""
        advice = f". {self._advice(header)}" if self.options else ""
        return f"the header lacks {lacking}; found {shown}{more}{advice}"

    def _advice(self, header: Sequence[str]) -> str:
        guessed = {ours: _guess(ours, header) for ours in self.names}
        if not all([*guessed.values()][: self.required]):
            return f"Give {self.options}"
        named = [f"{ours}={name}" for ours, name in guessed.items() if name not in {None, ours}]
        return f"Try --columns {shlex.quote(','.join(named))}" if named else "Leave --columns out"


def _shown(name: str) -> str:
    """Show a name, but no access token: a file of one is easily given in place of a source."""
    return f"a text of {len(name)} characters" if _LIKE_A_TOKEN.search(name) else repr(name)


def _guess(column: str, header: Sequence[str]) -> str | None:
    simple = {
        "".join(filter(str.isalnum, name.lower())): name
        for name in reversed(header)
        if "," not in name and readable(name) == name
    }
    return next((simple[likely] for likely in _LIKELY[column] if likely in simple), None)


def read_rows(lines: Lines, columns: Columns, *, headless: bool = False) -> Iterator[Record]:
    """Yield the rows after the header, or those of a file that has only the wanted columns.

    A row may have fewer cells than the header, as spreadsheets drop empty ones at its end.

    Raises:
        SourceError: the header lacks a column or has it twice.
    """
    delimiter, header = (",", columns.wanted) if headless else _read_header(lines, columns)
    width = len(header)
    places = [header.index(name) if name in header else width for name in columns.names.values()]
    for number, cells in _rows(lines, delimiter):
        place = f"line {number}"
        if isinstance(cells, str):
            yield place, cells
        elif any(cell.strip() for cell in cells[width:]):
            yield place, f"{len(cells)} cells, but the header has {width}"
        else:
            values = [cells[at].strip() or None if at < len(cells) else None for at in places]
            again = values[: columns.required] == columns.wanted
            yield place, "the header again" if again else values


def _read_header(lines: Lines, columns: Columns) -> tuple[str, Sequence[str]]:
    first = next(lines)
    delimiters: Sequence[str] = _DELIMITERS
    if named := _NAMED_DELIMITER.fullmatch(first):
        delimiters = [named[1]]
        lines.begin()
        first = next(lines, "")
    if "\0" in first or "\r" in first.rstrip():
        raise lines.error(
            "this is neither UTF-8 nor UTF-16 with a byte order mark, or its lines end with CR "
            "alone; save the file as CSV (UTF-8)"
        )
    longest: Sequence[str] = ()
    for delimiter in delimiters:
        lines.give_back()
        try:
            names = [name.strip() for name in next(_reader(lines, delimiter), ())]
        except csv.Error:
            continue
        for name in columns.names.values():
            if names.count(name) > 1:
                raise lines.error(f"the header names {name!r} twice")
        if set(columns.wanted) <= set(names):
            lines.begin()
            return delimiter, names
        longest = max(longest, names, key=len)
    lines.give_back(1)
    if not longest:
        raise lines.error("the header is not CSV (a quote is never closed, or not doubled)")
    raise lines.error(columns.refusal(longest))


def _reader(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    # Python's reader would take a lone CR for the end of a row.
    kept = (_LONE_CR.sub("\v", line) if "\r" in line else line for line in lines)
    return csv.reader(kept, delimiter=delimiter, skipinitialspace=True, strict=True)


def _rows(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number of each row's first line, and its cells or what is wrong with it."""
    up_to_closing = re.compile(rf'.*(?<!")(?:"")*" *(?:{re.escape(delimiter)}|\r*$)')
    unread = True
    while unread:
        alone = bool(lines.again)  # in the lines that were given back no quote can close a cell
        try:
            for cells in _reader(itertools.islice(lines, 1) if alone else lines, delimiter):
                if any(map(str.strip, cells)):
                    yield lines.first, cells
                lines.begin()
            unread = alone
        except csv.Error:
            yield lines.first, f"not CSV ({_skip_bad_row(lines, up_to_closing, alone=alone)})"
            lines.begin()


def _skip_bad_row(lines: Lines, up_to_closing: re.Pattern[str], *, alone: bool) -> str:
    """Return what is wrong with the row."""
    first, end = lines.first, 0
    for line in itertools.chain(lines.row[-1:], () if alone else lines):
        if closing := up_to_closing.match(line):
            end = end or lines.number
            if '"' not in line[closing.end() :]:
                end = lines.number
                break
    lines.give_back(max(1, end - first + 1))
    if not end:
        return "a quote is never closed"
    up_to = f"; the row ends in line {end}" if end > first else ""
    return f'a quote in a quoted cell must be doubled: ""{up_to}'
