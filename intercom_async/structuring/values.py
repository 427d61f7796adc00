"""The hooks that `converter` registers: each makes a model value from one JSON value.

They guess nothing. cattrs' own rules would turn null into the text "None", "false" into True and
1.9 into 1, so every type of the model has a hook here. A hook wraps its result in `Partly` if the
JSON value says more than the result.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from intercom_async.documents import is_object
from intercom_async.errors import InvalidArgumentError
from intercom_async.model import NumericId

PLAIN_SECONDS: Final = 32_503_680_000
"""The year 3000, where `fromtimestamp` ends on some systems."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND: Final = -62_135_596_800
"""The year 1."""
_MILLISECONDS_FROM: Final = 10**11
"""From this number on, a time is in milliseconds: the year 1973, and not 5138 in seconds."""
_MILLISECONDS_TO: Final = 10**14
_ID_RANGE: Final = range(-(2**63), 2**64)


@attrs.frozen
class Partly:
    """A result that does not say all of its JSON value, which must therefore be kept raw too."""

    value: Any


NOTHING: Final = Partly(None)


def exactly(value: Any, kind: type[Any]) -> Any:
    """Take a value of exactly this type: true is no number."""
    return value if type(value) is kind else NOTHING


def number(value: Any, _: Any) -> Any:
    """Take a finite number."""
    fits = type(value) is int or (type(value) is float and math.isfinite(value))
    return value if fits else NOTHING


def id_text(value: Any, _: Any) -> Any:
    """Take a text or a number as an id."""
    if isinstance(value, str):
        return value
    return NumericId(value) if type(value) is int and value in _ID_RANGE else NOTHING


def free(value: Any, _: Any) -> Any:
    """Take any value as it is."""
    return value


def free_map(value: Any, _: Any) -> Any:
    """Take any object as it is."""
    return value if is_object(value) else NOTHING


def time(value: Any, _: Any) -> Any:
    """Take Unix seconds, and other ways to write a moment, which are kept raw too."""
    if type(value) is int and 0 <= value < PLAIN_SECONDS:
        return datetime.fromtimestamp(value, UTC)
    moment = _moment(value)
    # A moment has whole microseconds, so not every fraction survives.
    return moment if moment and seconds(moment) == value else Partly(moment)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        return _iso_moment(value)
    if type(value) not in {int, float}:
        return None
    if _FIRST_SECOND <= value < _MILLISECONDS_FROM:  # never true of a NaN
        return _EPOCH + timedelta(seconds=value)
    if _MILLISECONDS_FROM <= value < _MILLISECONDS_TO:
        return _EPOCH + timedelta(milliseconds=value)
    return None


def _iso_moment(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        # Without a zone, the text names no single moment.
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def seconds(moment: datetime) -> int | float:
    """Return the Unix seconds of a moment; raise `InvalidArgumentError` without a time zone."""
    if moment.tzinfo is None:
        raise InvalidArgumentError("conversation", moment, "one whose times all have a time zone")
    whole, rest = divmod(moment - _EPOCH, timedelta(seconds=1))
    return whole + rest.microseconds / 1_000_000 if rest else whole
