"""Documents as Intercom sends them, and a generator of others from the model's own types."""

import json
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard, Union, cast, get_args, get_origin

import attrs
from hypothesis import strategies as st

from intercom_async.model import Id, IntercomObject

JSON = dict[str, Any]

FOLDER = Path(__file__).parent
DETACH_REPLY: JSON = {"customers": [{"type": "user", "id": "667d60d18a68186f43bafddd"}]}

# With every member that Intercom's description and its replies are known to have.
RETRIEVED: JSON = json.loads((FOLDER / "retrieved.json").read_text(encoding="utf-8"))
IDENTITY: JSON = json.loads((FOLDER / "identity.json").read_text(encoding="utf-8"))


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def members(kind: type[IntercomObject]) -> dict[str, Any]:
    return {field.name: field.type for field in attrs.fields(kind) if field.name != "extra"}


def inner_kinds(hint: Any) -> set[type[IntercomObject]]:
    """The classes that a field of this type can hold."""
    if isinstance(hint, type) and issubclass(hint, IntercomObject):
        return {hint}
    return {kind for inner in get_args(hint) for kind in inner_kinds(inner)}


def all_kinds(kind: type[IntercomObject]) -> set[type[IntercomObject]]:
    """A class and all that its documents are made of."""
    found = {kind}
    for hint in members(kind).values():
        for inner in inner_kinds(hint):
            found |= all_kinds(inner)
    return found


def fits(value: Any, hint: Any) -> bool:  # noqa: PLR0911  a table
    """Whether a value is what a field's type promises."""
    origin = get_origin(hint)
    if hint == Id:
        return isinstance(value, str)
    if origin in {Union, types.UnionType}:
        return any(fits(value, inner) for inner in get_args(hint))
    if origin is tuple:
        inner = get_args(hint)[0]
        if not is_list(value) or isinstance(value, list):
            return False
        return all(fits(entry, inner) for entry in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if hint is Any:
        return True
    if hint is int or hint is float:
        return type(value) in {int, hint}
    if hint is datetime:
        return type(value) is datetime and value.tzinfo is UTC
    if isinstance(value, IntercomObject):
        kind = type(value)
        return kind is hint and all(
            fits(getattr(value, name), inner) for name, inner in members(kind).items()
        )
    return isinstance(value, hint)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
NAMES = st.text(max_size=8) | st.sampled_from(["extra", "participants", "class", "self"])
ODD = (
    ANY_JSON
    | st.sampled_from(["false", "none", "soon", "1.9", "2024-05-01T10:00:00Z", "1719492951"])
    | st.sampled_from([1719492951.25, 1719492951123, 1719492951.1234567, -1, 10**11, 10**30, 1.0])
)


def usual_values(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911  a table
    """Values that the description promises for a type."""
    origin = get_origin(hint)
    ids = st.text("0123456789abcdef", min_size=1) | st.integers(0, 2**40)
    if hint in (Id, Id | None):
        return ids if hint == Id else ids | st.none()
    if origin in {Union, types.UnionType}:
        return st.one_of([usual_values(inner) for inner in get_args(hint)])
    if origin is tuple:
        return st.lists(usual_values(get_args(hint)[0]), max_size=2)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=5), ANY_JSON, max_size=2)
    if hint is Any:
        return ANY_JSON
    if issubclass(hint, IntercomObject):
        return documents(hint)
    leaves: Mapping[Any, st.SearchStrategy[Any]] = {
        types.NoneType: st.none(),
        str: st.text(max_size=8),
        bool: st.booleans(),
        int: st.integers(0, 10**6),
        float: st.floats(0, 1) | st.integers(0, 100),
        datetime: st.integers(0, 2**31),
    }
    return leaves[hint]


@st.composite
def documents(draw: st.DrawFn, kind: type[IntercomObject]) -> JSON:
    """Documents as the description promises them, with few of the members."""
    declared = members(kind)
    chosen = draw(st.lists(st.sampled_from(sorted(declared)), unique=True, max_size=5))
    return {name: draw(usual_values(declared[name])) for name in chosen}


@st.composite
def odd_documents(draw: st.DrawFn, kind: type[IntercomObject]) -> JSON:
    """Documents with members of wrong types and unknown names, at every level."""
    return {name: _spoilt(draw, value) for name, value in _more(draw, draw(documents(kind)), kind)}


def _more(draw: st.DrawFn, document: JSON, kind: type[IntercomObject]) -> list[tuple[str, Any]]:
    odd = draw(st.dictionaries(st.sampled_from(sorted(members(kind))), ODD, max_size=2))
    unknown = draw(st.dictionaries(NAMES, ANY_JSON, max_size=1))
    return list((unknown | document | odd).items())


def _spoilt(draw: st.DrawFn, value: Any) -> Any:
    if draw(st.integers(0, 9)) == 0:
        return draw(ODD)
    if isinstance(value, dict):
        named = cast("JSON", value)
        spoilt = {name: _spoilt(draw, member) for name, member in named.items()}
        return spoilt | draw(st.dictionaries(NAMES, ANY_JSON, max_size=1))
    if is_list(value):
        return [_spoilt(draw, entry) for entry in value]
    return value
