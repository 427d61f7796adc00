"""The header of a CSV file: its delimiter, its columns, and advice when they are unclear."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from intercom_async.cli.lines import Lines, SourceError
from intercom_async.cli.rows import UnclosedQuoteError, split_row
from intercom_async.errors import readable
from intercom_async.people import By

PEOPLE: Final[Mapping[By, str]] = {
    "email": "email",
    "contact": "contact_id",
    "external-id": "external_id",
}
"""The column of people, for each value of --by."""

_DELIMITERS: Final = (b",", b";", b"\t")
_NAMED_DELIMITER: Final = re.compile(rb'"?sep=([^"\w\r\n])"?[\r\n]*', re.IGNORECASE)
_LONGEST_HEADER: Final = 1000
"""Lines; the name of a column may have line breaks."""

_SHOWN: Final = 20
_LIKELY: Final[Mapping[str, Sequence[str]]] = {
    "conversation_id": ("conversationid", "conversation", "convid", "convoid", "conversations"),
    "contact_id": ("contactid", "contact", "intercomid", "userid", "user", "customerid", "leadid"),
    "admin_id": ("adminid", "admin"),
    "email": ("email", "emailaddress", "mail", "useremail", "contactemail"),
    "external_id": ("externalid", "userid", "user", "customerid"),
}
"""Other programs' names of a column, as lower-case letters and digits, likelier ones first."""


def read_header(
    lines: Lines, name: str, columns: Sequence[str], wanted: Sequence[str]
) -> tuple[bytes, Sequence[str]]:
    """Return the delimiter and the names in the header, which must have those `wanted`."""
    number, text = next(lines)
    delimiters: Sequence[bytes] = _DELIMITERS
    if named := _NAMED_DELIMITER.fullmatch(text):
        delimiters = [named[1]]
        number, text = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if b"\0" in text:
        problem = "neither UTF-8 nor UTF-16 with a byte order mark; save the file as CSV (UTF-8)"
        raise SourceError(name, number, problem)
    found: list[str] = []
    for _ in range(_LONGEST_HEADER):
        unclosed = False
        for delimiter in delimiters:
            try:
                cells, _ = split_row(text, delimiter, ())
            except UnclosedQuoteError:
                unclosed = True
                continue
            names = [_name(cell) for cell in cells]
            if set(wanted) <= set(names):
                if twice := [column for column in sorted(wanted) if names.count(column) > 1]:
                    raise SourceError(name, number, f"the header names {twice[0]!r} twice")
                return delimiter, names
            found = max(found, names, key=len)
        following = next(lines, None) if unclosed else None
        if following is None:
            break
        text += following[1]
    raise SourceError(name, number, f"the header {_why_lacking(found, columns, wanted)}")


def _name(cell: bytes) -> str:
    try:
        return cell.decode().strip()
    except UnicodeDecodeError:
        return cell.decode("cp1252", errors="replace").strip()


def _why_lacking(found: Sequence[str], columns: Sequence[str], wanted: Sequence[str]) -> str:
    lacking = " and ".join(repr(name) for name in wanted if name not in found)
    shown = ", ".join(repr(name) for name in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"lacks {lacking}; found {shown}{more}. {_advice(found, columns, len(wanted))}"


def _advice(found: Sequence[str], columns: Sequence[str], required: int) -> str:
    guessed = {column: _guess(column, found) for column in columns}
    if not all(guessed[column] for column in columns[:required]):
        other = next((by for by, one in PEOPLE.items() if len(columns) == 1 and one in found), None)
        if other is not None:
            return f"Try --by {other}"
        shown = ",".join(f"{column}=..." for column in columns[:required])
        return f"Name the column{'s' * (required > 1)} with --columns {shown}"
    named = [f"{column}={name}" for column, name in guessed.items() if name not in {None, column}]
    return f"Try --columns {shlex.quote(','.join(named))}"


def _guess(column: str, found: Sequence[str]) -> str | None:
    simple = {
        "".join(filter(str.isalnum, name.lower())): name
        for name in reversed(found)
        if "," not in name and readable(name) == name
    }
    return next((simple[likely] for likely in _LIKELY[column] if likely in simple), None)
