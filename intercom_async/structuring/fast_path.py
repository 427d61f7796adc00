"""Decodes usual documents faster than the hooks, to the same result.

msgspec decodes in two steps: into a strict mirror of the model, which refuses whatever needs a
hook, then from the mirror into the model.
"""

import functools
import sys
import threading
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin

import attrs
import msgspec

from intercom_async.documents import REFUSALS
from intercom_async.model import Id, IntercomObject
from intercom_async.structuring.values import PLAIN_SECONDS

_T = TypeVar("_T", bound=IntercomObject)
_Make = TypeVar("_Make", bound=Callable[..., Any])

_FINITE: Final = msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)
_STRICT: Final[dict[Any, Any]] = {
    datetime: Annotated[int, msgspec.Meta(ge=0, lt=PLAIN_SECONDS)],
    Id: str | Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)],
    int | float: int | Annotated[float, _FINITE],
}


def _once(make: _Make) -> _Make:
    """`functools.cache`, whose own type takes no classes as arguments."""
    return cast("_Make", functools.cache(make))


def decode_usual(
    body: bytes | str | msgspec.Raw, kind: type[_T], *, default_id: str | None = None
) -> _T | None:
    """Return the object that a body holds, None if it is not usual."""
    try:
        mirror = _decoder(kind).decode(body)
    except REFUSALS:
        return None
    if default_id is not None and mirror.id is None:
        mirror.id = default_id
    return _from_mirror(mirror, kind)


def convert_usual(document: Mapping[str, Any], kind: type[_T]) -> _T | None:
    """Return the object that a document holds, None if it is not usual."""
    try:
        return _from_mirror(msgspec.convert(document, _mirror(kind)), kind)
    except REFUSALS:
        return None


def _from_mirror(mirror: msgspec.Struct, kind: type[_T]) -> _T:
    # In strict mode msgspec does not turn seconds into times.
    return msgspec.convert(mirror, kind, from_attributes=True, strict=False)


@_once
def _decoder(kind: type[IntercomObject]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_mirror(kind))


_LEARNING: Final = threading.RLock()
"""Held while msgspec builds what it needs for a type: two threads at once would crash it."""


@_once
def _mirror(kind: type[IntercomObject]) -> type[msgspec.Struct]:
    with _LEARNING:
        fields: list[Any] = [
            (name, _strict(hint) | None, None) for name, hint in members(kind).items()
        ]
        # JSON has no unset value, so the decoder refuses a member of this name, as unknown ones.
        fields.append(("extra", msgspec.UnsetType, msgspec.field(default_factory=dict)))
        mirror = msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True, gc=False)
        _from_mirror(msgspec.convert({}, mirror), kind)
        return mirror


def _strict(hint: Any) -> Any:
    if is_model(hint):
        return _mirror(hint)
    if is_tuple(hint):
        return types.GenericAlias(tuple, (_strict(get_args(hint)[0]), ...))
    return _STRICT.get(hint, hint)


def members(kind: type[IntercomObject]) -> dict[str, Any]:
    """Return the fields that are members on the wire, with their types but for `| None`."""
    return {field.name: _bare(field.type) for field in attrs.fields(kind) if field.name != "extra"}


def _bare(hint: Any) -> Any:
    if get_origin(hint) not in {Union, types.UnionType}:
        return hint
    choices = tuple(choice for choice in get_args(hint) if choice is not types.NoneType)
    return Union[choices]  # noqa: UP007  `|` takes no tuple


def is_model(hint: Any) -> bool:
    """Whether a type is an object of Intercom's."""
    return isinstance(hint, type) and issubclass(hint, IntercomObject)


def is_tuple(hint: Any) -> bool:
    """Whether a type is a list of values."""
    return get_origin(hint) is tuple
