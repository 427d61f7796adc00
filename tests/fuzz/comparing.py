"""Whether two values are alike, however deeply they are nested; NaN is like NaN."""

from typing import Any

import attrs

from intercom_async.documents import is_list, is_object
from intercom_async.model import IntercomObject

_ABSENT = object()


def alike(one: Any, other: Any, *, null_is_absent: bool = False) -> bool:
    """Compare JSON values or model objects without recursion: inputs may be nested to any depth.

    NaN equals NaN, true is not 1, and a number equals another one of the same value. A null member
    of an object is absent, if wished.
    """
    missing = None if null_is_absent else _ABSENT
    todo: list[tuple[Any, Any]] = [(one, other)]
    while todo:
        left, right = todo.pop()
        if isinstance(left, IntercomObject) and type(left) is type(right):
            left, right = attrs.asdict(left, recurse=False), attrs.asdict(right, recurse=False)
        if is_object(left) and is_object(right):
            known = left.keys() | right.keys()
            todo += [(left.get(name, missing), right.get(name, missing)) for name in known]
        elif is_list(left) and is_list(right) and len(left) == len(right):
            todo += zip(left, right, strict=True)
        elif not _equal(left, right):
            return False
    return True


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124  NaN
