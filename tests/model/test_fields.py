"""The model has every member that Intercom's description and its replies are known to have."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs
import pytest

from intercom_async.documents import is_list
from intercom_async.model import Conversation, Id, Identity, IntercomObject
from intercom_async.structuring import decode_conversation, decode_identity
from intercom_async.structuring.fast_path import members
from tests.model.documents import (
    DETACH_REPLY,
    IDENTITY,
    RETRIEVED,
    all_kinds,
)

KINDS = sorted(all_kinds(Conversation) | all_kinds(Identity), key=lambda kind: kind.__name__)


def objects_in(value: Any) -> Iterator[IntercomObject]:
    if isinstance(value, IntercomObject):
        yield value
        for name in members(type(value)):
            yield from objects_in(getattr(value, name))
    elif is_list(value):
        for entry in value:
            yield from objects_in(entry)


DECODED = [
    *objects_in(decode_conversation(json.dumps(RETRIEVED | DETACH_REPLY))),
    *objects_in(decode_identity(json.dumps(IDENTITY))),
]


def test_every_known_member_has_a_field_of_its_type() -> None:
    unknown = {name: each for each in DECODED for name in each.extra}
    assert unknown.keys() == {"custom_until_time"}  # no seconds: kept as it came as well


@pytest.mark.parametrize("kind", KINDS)
class TestEveryClass:
    def test_has_no_field_that_is_no_member(self, kind: type[IntercomObject]) -> None:
        found = [each for each in DECODED if issubclass(kind, type(each))]  # or inherited
        for name in members(kind).keys() - {"type"}:
            assert any(getattr(each, name, None) is not None for each in found), name

    def test_is_frozen_slotted_hashable_and_compared_by_value(
        self, kind: type[IntercomObject]
    ) -> None:
        first, second = kind(), kind()
        assert first == second != kind(extra={"new": 1})
        assert hash(first) == hash(second)
        assert not hasattr(first, "__dict__")
        assert all(getattr(first, name) is None for name in members(kind))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(first, next(iter(members(kind))), "x")
        with pytest.raises(TypeError, match="positional"):
            kind({})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    def test_types_ids_and_times_as_such(self, kind: type[IntercomObject]) -> None:
        for name, hint in members(kind).items():
            if name == "id" or (name.endswith("_id") and name != "message_id"):
                assert hint == Id, name
            if name.endswith(("_at", "_since", "_until")):
                assert hint is datetime, name


def test_the_repr_names_only_what_is_there() -> None:
    shown = repr(Conversation(id="1", customers=(), extra={"new": 1}))
    assert shown == "Conversation(extra={'new': 1}, id='1', customers=())"
    assert repr(Conversation()) == "Conversation()"
