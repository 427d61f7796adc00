"""Names of columns: which one holds what, and what to say if nobody can know."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from intercom_async.errors import readable
from intercom_async.pairs import COLUMNS, REQUIRED

_SHOWN: Final = 20

_LIKELY: Final[Mapping[str, Sequence[str]]] = {
    "conversation_id": ("conversationid", "conversation", "convid", "convoid", "conversations"),
    "contact_id": ("contactid", "contact", "intercomid", "userid", "user", "customerid", "leadid"),
    "admin_id": ("adminid", "admin"),
}
"""What other programs call a column, in lower case and without marks; likelier ones first."""


def why_lacking(found: Sequence[str], columns: Mapping[str, str]) -> str:
    """Return what to say of names among which the needed ones are not.

    Args:
        found: the names.
        columns: header names that were given for `COLUMNS`.
    """
    wanted = [columns.get(column, column) for column in REQUIRED]
    lacking = " and ".join(repr(name) for name in wanted if name not in found)
    shown = ", ".join(repr(name) for name in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"lacks {lacking}; found {shown}{more}. {_advice(found)}"


def _advice(found: Sequence[str]) -> str:
    guessed = {column: _guess(column, found) for column in COLUMNS}
    if not all(guessed[column] for column in REQUIRED):
        return "Name the columns with --columns conversation_id=...,contact_id=..."
    named = [f"{column}={name}" for column, name in guessed.items() if name not in {None, column}]
    return f"Try --columns {shlex.quote(','.join(named))}"


def _guess(column: str, found: Sequence[str]) -> str | None:
    simple = {
        "".join(filter(str.isalnum, name.lower())): name
        for name in reversed(found)
        if "," not in name and readable(name) == name
    }
    return next((simple[likely] for likely in _LIKELY[column] if likely in simple), None)
