"""Documents as Intercom sends them, and a generator of others from the model's own types."""

import types
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard, Union, cast, get_args, get_origin

import attrs
from hypothesis import strategies as st

from intercom_async.model import Id, IntercomObject

JSON = dict[str, Any]

DETACH_REPLY: JSON = {"customers": [{"type": "user", "id": "667d60d18a68186f43bafddd"}]}

AUTHOR: JSON = {"type": "user", "id": "66f1", "name": "Ada", "email": ""}

# fmt: off
RETRIEVED: JSON = {
    "type": "conversation", "id": "471", "title": None, "created_at": 1719492951,
    "updated_at": 1719492952, "waiting_since": None, "snoozed_until": 1719500000, "open": True,
    "state": "snoozed", "read": False, "priority": "high", "admin_assignee_id": 0,
    "team_assignee_id": 5017691,
    "company": {
        "type": "company", "id": "531ee472", "plan": {"type": "plan", "id": "1", "name": "Pro"},
        "monthly_spend": 155.5, "custom_attributes": {"seats": 9, "paid": True, "note": None},
        "tags": {"type": "tag.list", "tags": []},
        "segments": {"type": "segment.list", "segments": [{"type": "segment", "count": 3}]},
        "notes": {
            "type": "note.list",
            "notes": [
                {
                    "type": "note", "id": "17", "created_at": 1674589321,
                    "author": {
                        "type": "admin", "id": "1295", "team_ids": [814865],
                        "team_priority_level": {"primary_team_ids": [814865]},
                    },
                },
            ],
        },
    },
    "tags": {
        "type": "tag.list",
        "tags": [
            {
                "type": "tag", "id": "86", "name": "vip", "applied_at": 1663597223,
                "applied_by": {"type": "admin", "id": "456"},
            },
        ],
    },
    "contacts": {
        "type": "contact.list",
        "contacts": [
            {"type": "contact", "id": "667d60d1", "external_id": "70"},
            {"type": "contact", "id": "667d60d2", "external_id": None},
        ],
    },
    "teammates": {"type": "admin.list", "admins": [{"type": "admin", "id": "991267645"}]},
    "source": {
        "type": "email", "id": "403918320", "delivered_as": "admin_initiated", "subject": "",
        "body": "<p>Hello</p>", "author": AUTHOR, "attachments": [], "url": None,
        "redacted": False,
        "recipients": [{"type": "to", "email": "a@example.com", "drop_reason": None}],
        "reply_to": None,
    },
    "custom_attributes": {"Language": "Klingon", "list": [{"a": None}, 2], "off": False},
    "conversation_rating": {"rating": 5, "contact": {"type": "contact", "id": "667d60d1"}},
    "first_contact_reply": {"created_at": 1719492951, "type": "conversation", "url": None},
    "sla_applied": {"type": "conversation_sla_summary", "sla_name": "", "sla_status": "hit"},
    "statistics": {
        "type": "conversation_statistics", "time_to_assignment": None,
        "time_to_admin_reply": 2310, "last_closed_by_id": 991267645,
        "assigned_team_first_response_time": [
            {"team_id": 100, "team_name": "One", "response_time": 2310},
        ],
    },
    "conversation_parts": {
        "type": "conversation_part.list",
        "conversation_parts": [
            {
                "type": "conversation_part", "id": 81, "part_type": "comment",
                "body": "<p>Okay!</p>", "created_at": 1719492951, "assigned_to": None,
                "author": AUTHOR | {"from_ai_agent": True},
                "attachments": [{"type": "upload", "name": "a.png", "filesize": 100}],
                "state": "open", "tags": None, "event_details": {},
            },
            {
                "type": "conversation_part", "id": "82",
                "part_type": "conversation_sla_target_missed",
                "event_details": {
                    "sla_target_type": "first_reply_time",
                    "sla_states": {"time_to_close": {"status": "active", "seconds_remaining": 9}},
                },
            },
        ],
        "total_count": 2,
    },
    "linked_objects": {"type": "list", "total_count": 0, "has_more": False, "data": []},
    "ai_agent_participated": True,
    "ai_agent": {"source_type": "workflow", "resolution_state": None, "rating": 4},
    "ai_topics": None, "channel": {"initial": "messenger", "current": "email"},
    "scorecards": [{"name": "QA", "score": 0.85, "reviewed_teammate": {"type": "ai"}}],
    "topics": {"type": "topic.list", "topics": []}, "ticket": None,
}
# fmt: on


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
