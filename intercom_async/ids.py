"""One rule for every id, whether it comes from a call, a run or a file.

Spreadsheets and data frames turn ids into numbers, dates and formulas. Such an id names another
conversation or none, and "no such conversation" would read as "nothing to do".
"""

import math
import operator
import re
from typing import Final, SupportsIndex, cast

from intercom_async.errors import InvalidArgumentError

LONGEST_ID: Final = 512
"""Characters; Intercom's own ids have at most 24, but nothing says they always will."""

_AS_TEXT: Final = "export the column as text"
_INVISIBLE: Final = "holds invisible characters"
_TOO_LONG: Final = f"is longer than {LONGEST_ID} characters"

_AROUND: Final = "".join(
    [
        " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000",
        *map(chr, range(0x2000, 0x2010)),  # spaces, zero-width ones, marks of direction
        *map(chr, range(0x202A, 0x202F)),
        *map(chr, range(0x2060, 0x2070)),
        "\ufeff",
    ]
)
"""Characters that copying and saving may leave around an id."""

_NOTHING: Final = (
    r"[(<\[]?(nan|null|none|nil|n/?a|n\.a\.|nat|undefined|missing|empty|blank)[)>\]]?"
    r"|\\n|[-+]?inf(inity)?|-nan|true|false"
)
_LOOKS: Final = (
    (r"", "is missing"),
    (r"conversation_id|contact_id|admin_id", "looks like the header again"),
    (_NOTHING, "looks like a word for a missing value"),
    (
        r"[-+]?\d+([.,]\d*)?e[-+]\d+|[-+]?\d[.,]\d+e\d+|\de\d{1,3}",
        f"looks like a spreadsheet's 2.15E+14: {_AS_TEXT}",
    ),
    (r"-\d+", "is a negative number"),
    (r"[-+]?\d+[.,]0*", f"looks like a data frame's 1297.0: {_AS_TEXT}"),
    (
        r"(?!\d+\Z)[-+]?\d[\d.,' \xa0\u2009\u202f\u2019]*",
        f"looks like a number with marks, as spreadsheets write 1,308: {_AS_TEXT}",
    ),
    (r"=.*", "looks like a spreadsheet's formula: export the id without it"),
    (
        r"['\"`\u2018\u2019\u201c\u201d].*",
        "begins with a quote, as spreadsheets mark texts: export the id without it",
    ),
    (r"#.*", "looks like a spreadsheet's #N/A: export the column's values"),
    (r".*[\ud800-\udfff].*", "holds bytes that are not UTF-8"),
    (r".*\ufffd.*", "holds characters that were lost in a conversion"),
    (r"[\W_]+", "has no letter and no digit"),
    (
        ".*[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0].*",
        _INVISIBLE,  # letters and marks that `str.isprintable` takes for visible
    ),
)
"""Patterns of texts that are no ids, and what they look like."""

is_plain: Final = re.compile(
    rf"\d{{1,{LONGEST_ID}}}|[A-Za-z0-9][A-Za-z0-9_-]{{15,{LONGEST_ID - 1}}}", re.ASCII
).fullmatch
"""Matches texts that are certainly ids, which nearly all ids are: words, column names and exponents
made of the same characters are shorter."""


def check_id(name: str, value: object) -> str:
    """Return an id as a plain text that can safely stand in a request.

    White space around it is left out, and whole numbers become texts.

    Raises:
        InvalidArgumentError: it cannot be an id; the message says what it looks like.
    """
    if type(value) is str and is_plain(value):
        return value
    text = _text_of(name, value)
    problem = None if is_plain(text) else _why_no_id(text)
    if problem is not None:
        raise InvalidArgumentError(name, value if text else None, "an id", seen=problem)
    return text


def _text_of(name: str, value: object) -> str:
    if isinstance(value, str):
        return str.strip(value, _AROUND)  # a subclass may have a `strip` of its own
    if value is None:
        return ""
    if isinstance(value, float):
        whole = f"looks like a data frame's 1297.0: {_AS_TEXT}"
        seen = "is a missing value" if math.isnan(value) else whole
        raise InvalidArgumentError(name, value, "an id", seen=seen)
    try:
        number = None if isinstance(value, bool) else operator.index(cast("SupportsIndex", value))
    except TypeError:
        number = None
    if number is None:
        raise InvalidArgumentError(name, value, "a text or a whole number")
    if abs(number) >= 10**LONGEST_ID:  # such a number may be too long to be written in the message
        raise InvalidArgumentError(name, None, "an id", seen=_TOO_LONG)
    return str(number)


def _why_no_id(text: str) -> str | None:
    if len(text) > LONGEST_ID:
        return _TOO_LONG
    for pattern, seen in _LOOKS:
        if re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
            return seen
    return None if text.isprintable() else _INVISIBLE
