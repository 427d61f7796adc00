"""CSV as programs write it, read so that a wrong quote never turns the text of a cell into a pair.

A cell is quoted if it begins with a quote, after spaces perhaps. It ends at a quote before a
delimiter or the end of a line, and a quote inside it must be doubled. If one is not, the true end
is uncertain: the row runs up to the next quote that can end it, and is a bad row. If no quote ends
the cell before the file does, only its first line is bad, and the lines after it are read alone.
"""

import functools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from intercom_async.cli import input_text
from intercom_async.errors import readable

Record = tuple[int, Sequence[Any] | str]
"""The number of a record's first line; the values of its columns, or what is wrong with it."""

_DELIMITERS: Final = (",", ";", "\t")
_NAMED_DELIMITER: Final = re.compile(r'"?sep=([^"\w\r\n])"?\s*\n', re.IGNORECASE)
_LONGEST_HEADER: Final = 64 * 1024  # characters; a name may have line breaks
_TOKEN: Final = re.compile(r"(?=.*\d|.*[a-z].*[A-Z]|.*[A-Z].*[a-z])\S{20,}")
"""Perhaps an access token: a file of one is easily given in place of a source."""

_SHOWN: Final = 20
_LIKELY: Final[Mapping[str, Sequence[str]]] = {
    "conversation_id": ("conversationid", "conversation", "convid", "convoid", "conversations"),
    "contact_id": ("contactid", "contact", "intercomid", "userid", "user", "customerid", "leadid"),
    "admin_id": ("adminid", "admin"),
    "email": ("email", "emailaddress", "mail", "useremail", "contactemail"),
    "external_id": ("externalid", "userid", "user", "customerid"),
    "workspace": (),
}
"""Other programs' names of a column, as lower-case letters and digits, likelier ones first."""


@attrs.frozen
class Columns:
    """The columns that an input must have.

    Attributes:
        ours: the library's names of the columns; required ones come first.
        names: the file's names of them, in the same order.
        required: how many of them each record must have.
        otherwise: advice for a header that has another column instead, by that column.
    """

    ours: Sequence[str]
    names: Sequence[str]
    required: int
    otherwise: Mapping[str, str] = attrs.Factory(dict[str, str])

    @property
    def wanted(self) -> Sequence[str]:
        """The file's names of the columns that each record must have."""
        return self.names[: self.required]

    def refusal(self, header: Sequence[str]) -> str:
        """Say what a header lacks, what it has, and which option would help."""
        lacking = " and ".join(repr(name) for name in self.wanted if name not in header)
        shown = ", ".join(map(_shown, header[:_SHOWN]))
        more = f" and {len(header) - _SHOWN} more" if len(header) > _SHOWN else ""
        return f"the header lacks {lacking}; found {shown}{more}. {self._advice(header)}"

    def _advice(self, header: Sequence[str]) -> str:
        guessed = {column: _guess(column, header) for column in self.ours}
        required = self.ours[: self.required]
        if all(guessed[column] for column in required):
            named = [f"{ours}={name}" for ours, name in guessed.items() if name not in {None, ours}]
            advice = f"Try --columns {shlex.quote(','.join(named))}"
            return advice if named else "Leave --columns out"
        for name in header:
            if name in self.otherwise:
                return self.otherwise[name]
        shown = ",".join(f"{column}=..." for column in required)
        return f"Name the column{'s' * (self.required > 1)} with --columns {shown}"


def _shown(name: str) -> str:
    return f"a text of {len(name)} characters" if _TOKEN.search(name) else repr(name)


def _guess(column: str, header: Sequence[str]) -> str | None:
    simple = {
        "".join(filter(str.isalnum, name.lower())): name
        for name in reversed(header)
        if "," not in name and readable(name) == name
    }
    return next((simple[likely] for likely in _LIKELY[column] if likely in simple), None)


def read_rows(
    text: input_text.Text, columns: Columns, *, headless: bool = False
) -> Iterator[Record]:
    """Yield the rows after the header, or those of a file that has only the wanted columns.

    A row may have fewer cells than the header, as spreadsheets drop empty ones at its end.

    Raises:
        SourceError: the header lacks a column or has it twice.
    """
    delimiter, header = (",", columns.names) if headless else _read_header(text, columns)
    width = len(header)
    places = [header.index(name) if name in header else width for name in columns.names]
    for line, cells in _rows(text, delimiter):
        if isinstance(cells, str):
            yield line, cells
        elif any(cell.strip() for cell in cells[width:]):
            yield line, f"{len(cells)} cells, but the header has {width}"
        else:
            values = [cells[at].strip() or None if at < len(cells) else None for at in places]
            again = values[: columns.required] == columns.wanted
            yield line, "the header again" if again else values


def _read_header(text: input_text.Text, columns: Columns) -> tuple[str, Sequence[str]]:
    delimiters: Sequence[str] = _DELIMITERS
    if named := _NAMED_DELIMITER.match(text.text, text.at):
        delimiters = [named[1]]
        text.take(named.end())
    if "\0" in text.line_ahead():
        raise text.error(
            "neither UTF-8 nor UTF-16 with a byte order mark; save the file as CSV (UTF-8)"
        )
    longest: Sequence[str] = ()
    for delimiter in delimiters:
        row = text.match(_patterns(delimiter)[0], _LONGEST_HEADER)
        cells = None if row is None else _cells(row[0], delimiter)
        if row is None or cells is None:
            continue
        names = [_name(cell) for cell in cells]
        for name in columns.names:
            if names.count(name) > 1:
                raise text.error(f"the header names {name!r} twice")
        if set(columns.wanted) <= set(names):
            text.take(row.end())
            return delimiter, names
        longest = max(longest, names, key=len)
    if "\r" in text.line_ahead().rstrip():
        raise text.error("its lines end with CR alone; save the file with LF or CR LF")
    if not longest:
        raise text.error("the header is not CSV (a quote is never closed, or not doubled)")
    raise text.error(columns.refusal(longest))


def _name(cell: str) -> str:
    """Return the name of a column; programs that do not write UTF-8 mostly write Windows-1252."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        cell = cell.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return cell.strip()


@functools.cache
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return a pattern of a whole row, and one of a cell with the delimiter before it."""
    mark = re.escape(delimiter)
    inside = rf'[^"]*+(?:(?:""|"(?! *+(?:{mark}|\r*\n)))[^"]*+)*+'
    plain = rf'(?!")[^{mark}\n]*+'
    cell = rf' *+(?:"{inside}" *+(?={mark}|\r*\n)|{plain})'
    row = re.compile(rf"{cell}(?:{mark}{cell})*+\r*\n")
    return row, re.compile(rf'{mark} *+(?:"({inside})"|({plain}))')


def _cells(row: str, delimiter: str) -> list[str] | None:
    """Return the texts of a row's cells, None if a quote in one is not doubled."""
    if '"' not in row:
        return row.split(delimiter)
    cells: list[str] = []
    for quoted, plain in _patterns(delimiter)[1].findall(delimiter + row):
        if '"' in quoted.replace('""', ""):
            return None
        cells.append(quoted.replace('""', '"') or plain)
    return cells


def _rows(text: input_text.Text, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number of each row's first line, and its cells or what is wrong with it."""
    pattern, _ = _patterns(delimiter)
    alone = 0  # up to this line, no quote closes a cell
    while end := text.line_end():
        number = text.line
        if number <= alone:
            row = pattern.match(text.text, text.at, end)
        elif (row := text.match(pattern, input_text.LONGEST)) is None:
            alone = number + text.text.count("\n", text.at)
        if row is None:
            text.take(text.line_end())
            yield number, "not CSV (a quote is never closed)"
            continue
        line = text.take(row.end())
        if line.isspace():
            continue
        cells = _cells(line, delimiter)
        if cells is None:
            up_to = f"; the row ends in line {text.line - 1}" if text.line - number > 1 else ""
            yield number, f'not CSV (a quote in a quoted cell must be doubled: ""{up_to})'
        else:
            yield number, cells
