"""Whether two values are alike, however deeply they are nested; NaN is like NaN."""

from typing import Any

import attrs

from intercom_async.documents import is_list, is_object

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
        kind = _class_of(left)
        if attrs.has(kind) and kind is _class_of(right):
            names = [field.name for field in attrs.fields(kind)]
            todo += [(getattr(left, name), getattr(right, name)) for name in names]
        elif is_object(left) and is_object(right):
            known = left.keys() | right.keys()
            todo += [(left.get(name, missing), right.get(name, missing)) for name in known]
        elif is_list(left) and is_list(right) and len(left) == len(right):
            todo += zip(left, right, strict=True)
        elif not _equal(left, right):
            return False
    return True


def _class_of(value: object) -> type[Any]:
    return type(value)


def _equal(one: Any, other: Any) -> bool:
    if is_list(one) or is_object(one) or isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other) or (_is_nan(one) and _is_nan(other))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124  just that
