"""Documents as Intercom sends them, and a generator of others from the model's own types."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

from hypothesis import strategies as st

from intercom_async.documents import is_list
from intercom_async.model import Id, IntercomObject
from intercom_async.structuring.fast_path import is_model, is_tuple, members

JSON = dict[str, Any]

FOLDER = Path(__file__).parent
DETACH_REPLY: JSON = {"customers": [{"type": "user", "id": "667d60d18a68186f43bafddd"}]}

# With every member that Intercom's description and its replies are known to have.
RETRIEVED: JSON = json.loads((FOLDER / "retrieved.json").read_text(encoding="utf-8"))
IDENTITY: JSON = json.loads((FOLDER / "identity.json").read_text(encoding="utf-8"))


def all_kinds(kind: type[IntercomObject]) -> set[type[IntercomObject]]:
    """A class and all that its documents are made of."""
    inner = {get_args(hint)[0] if is_tuple(hint) else hint for hint in members(kind).values()}
    return {kind}.union(*(all_kinds(hint) for hint in inner if is_model(hint)))


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a field's type promises, or None."""
    if value is None or hint is Any:
        return True
    if is_tuple(hint):
        entries = cast("tuple[Any, ...]", value)
        return type(value) is tuple and all(fits(entry, get_args(hint)[0]) for entry in entries)
    if is_model(hint):
        inner = members(hint).items()
        return type(value) is hint and all(fits(getattr(value, name), one) for name, one in inner)
    if hint == Mapping[str, Any]:
        return isinstance(value, Mapping)
    if hint is datetime:
        return type(value) is datetime and value.tzinfo is UTC
    return isinstance(value, str) if hint == Id else type(value) in {hint, *get_args(hint)}


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
_USUAL: Mapping[Any, st.SearchStrategy[Any]] = {
    Id: st.text("0123456789abcdef", min_size=1) | st.integers(0, 2**40),
    Mapping[str, Any]: st.dictionaries(st.text(max_size=5), ANY_JSON, max_size=2),
    Any: ANY_JSON,
    str: st.text(max_size=8),
    bool: st.booleans(),
    int: st.integers(0, 10**6),
    int | float: st.floats(0, 1) | st.integers(0, 100),
    datetime: st.integers(0, 2**31),
}


def usual_values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that the description promises for a type."""
    if is_tuple(hint):
        return st.lists(usual_values(get_args(hint)[0]), max_size=2)
    return documents(hint) if is_model(hint) else _USUAL[hint]


@st.composite
def documents(draw: st.DrawFn, kind: type[IntercomObject]) -> JSON:
    """Documents as the description promises them, with few of the members."""
    declared = members(kind)
    chosen = draw(st.lists(st.sampled_from(sorted(declared)), unique=True, max_size=5))
    return {name: draw(st.none() | usual_values(declared[name])) for name in chosen}


@st.composite
def odd_documents(draw: st.DrawFn, kind: type[IntercomObject]) -> JSON:
    """Documents with members of wrong types and unknown names, at every level."""
    odd = draw(st.dictionaries(st.sampled_from(sorted(members(kind))), ODD, max_size=2))
    unknown = draw(st.dictionaries(NAMES, ANY_JSON, max_size=1))
    spoilt: JSON = _spoilt(draw, unknown | draw(documents(kind)) | odd)
    return spoilt


def _spoilt(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict):
        named = cast("JSON", value)
        spoilt = {name: _member(draw, member) for name, member in named.items()}
        return spoilt | draw(st.dictionaries(NAMES, ANY_JSON, max_size=1))
    return [_member(draw, entry) for entry in value] if is_list(value) else value


def _member(draw: st.DrawFn, value: Any) -> Any:
    return draw(ODD) if draw(st.integers(0, 9)) == 0 else _spoilt(draw, value)
