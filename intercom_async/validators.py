"""Validators of the numbers that callers set, for attrs."""

import sys
from collections.abc import Callable
from typing import Any, Final

import attrs

from intercom_async.errors import InvalidArgumentError


def number(
    expected: str, fits: Callable[[float], bool], *, of: str = ""
) -> Callable[[object, Any, Any], None]:
    """Return a validator for numbers that fit; a bool is no number.

    `expected` says in words what `fits` tests; `of` stands before the attribute's name in errors.
    """

    def validate(_: object, attribute: Any, value: Any) -> None:
        check_number(of + attribute.name, value, expected, fits)

    return validate


def check_number(name: str, value: Any, expected: str, fits: Callable[[float], bool]) -> None:
    """Raise unless a value is a number that fits; see `number`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise InvalidArgumentError(name, value, expected)


optional: Final[Callable[[Any], Any]] = attrs.validators.optional
POSITIVE: Final = number("a positive number", lambda value: 0 < value <= sys.float_info.max)
ZERO_OR_MORE: Final = number("0 or more", lambda value: 0 <= value <= sys.float_info.max)
