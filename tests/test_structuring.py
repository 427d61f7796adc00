"""Bytes to the model and back: nothing raised, nothing lost, nothing guessed.

Mutation testing finds eleven wrong changes of `structuring` that no test notices.
Eight are shortcuts that only save time (for plain seconds, for dicts and where nothing is unknown,
of slots and of the garbage collector), two change the size of a step by a sixtieth or less, and one
is `TYPE_CHECKING`.
"""

import copy
import importlib.util
import json
import math
import pickle
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, Final

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_async import structuring
from intercom_async.errors import InvalidArgumentError, ResponseDecodeError
from intercom_async.model import (
    ContactPage,
    Contacts,
    Conversation,
    ConversationParts,
    Id,
    IntercomObject,
    NumericId,
    Priority,
    State,
)
from intercom_async.structuring import (
    STEP,
    _converter,
    _shortcut,
    _structure,
    decode_contacts,
    decode_conversation,
    decode_identity,
    decode_in_steps,
    decode_json,
    decode_page,
    encode_conversation,
    is_list,
    is_object,
)
from tests.model.documents import (
    ANY_JSON,
    DETACH_REPLY,
    JSON,
    RETRIEVED,
    documents,
    fits,
    odd_documents,
    without_nulls,
)

YEAR_3000: Final = 32_503_680_000
MOMENT = datetime(2024, 6, 27, 12, 55, 51, tzinfo=UTC)
NOON = 1719492951


def decode(document: JSON) -> Conversation:
    """Decode by the shortcut where that is possible, and make sure that both ways agree."""
    found = decode_conversation(json.dumps(document))
    assert found == decode_conversation(document)
    return found


def assert_round_trip(document: JSON) -> None:
    found = decode(document)
    encoded = encode_conversation(found)
    assert without_nulls(encoded) == without_nulls(document)
    assert decode(encoded) == found
    assert fits(found, Conversation)


def decode_stepwise(document: JSON | bytes) -> tuple[Conversation, int]:
    """Decode in steps; return the conversation and how often the decoding paused."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    steps = decode_in_steps(body, default_id="1295")
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value, pauses
        pauses += 1


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Plain(IntercomObject):
    """A member of each type that JSON has itself."""

    text: str | None = None
    flag: bool | None = None
    count: int | None = None
    id: Id | None = None


class TestUsualDocuments:
    def test_a_detach_reply_holds_the_contacts_still_attached(self) -> None:
        found = decode_conversation(json.dumps(DETACH_REPLY).encode(), default_id="1295")
        assert found.id == "1295"
        assert [contact.id for contact in found.participants] == ["667d60d18a68186f43bafddd"]
        assert found.participants[0].type == "user"
        assert found.participants_known

    def test_a_retrieved_conversation_decodes_completely(self) -> None:
        found = decode(RETRIEVED)
        assert found.extra == {}
        assert found.id == "471"
        assert found.created_at == MOMENT
        assert found.state is State.SNOOZED
        assert found.priority is Priority.HIGH
        assert found.admin_assignee_id == "0"
        assert [contact.id for contact in found.participants] == ["667d60d1", "667d60d2"]
        assert found.participants_known
        assert found.teammates is not None
        assert found.teammates.admins is not None
        assert found.conversation_parts is not None
        assert found.conversation_parts.conversation_parts is not None
        part = found.conversation_parts.conversation_parts[0]
        assert part.id == "81"
        assert part.tags is None
        assert part.author is not None
        assert part.author.from_ai_agent is True
        assert found.scorecards is not None
        assert found.scorecards[0].score == 0.85
        assert_round_trip(RETRIEVED)

    @pytest.mark.parametrize(
        "document",
        [
            DETACH_REPLY,
            RETRIEVED,
            {},
            {"id": -(2**63)},
            {"id": 2**63 - 1},
            {"created_at": 0},
            {"created_at": YEAR_3000 - 1},
        ],
        ids=lambda document: repr(document)[:30],
    )
    def test_usual_documents_take_the_shortcut(self, document: JSON) -> None:
        assert _shortcut(Conversation).decode(json.dumps(document)) == _structure(
            document, Conversation
        )

    @pytest.mark.parametrize(
        "document",
        [
            {"new": 1},
            {"source": {"new": 1}},
            {"id": 2**63},
            {"id": -(2**63) - 1},
            {"created_at": -1},
            {"created_at": YEAR_3000},  # not every system converts it
        ],
    )
    def test_what_needs_thought_does_not_take_it(self, document: JSON) -> None:
        assert _shortcut(Conversation).decode(json.dumps(document)) is None

    def test_usual_replies_need_no_hooks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[type[IntercomObject]] = []

        def structure(document: Any, kind: type[IntercomObject]) -> Any:
            asked.append(kind)
            return _structure(document, kind)

        monkeypatch.setattr(structuring, "_structure", structure)
        decode_conversation(json.dumps(RETRIEVED))
        decode_conversation(json.dumps(RETRIEVED).encode())
        decode_page(json.dumps({"conversations": [RETRIEVED, DETACH_REPLY]}))
        assert asked == []
        decode_stepwise(long_conversation(3))
        assert asked == [ConversationParts]  # only the frame around the parts

    def test_values_of_just_the_promised_type_need_no_hook(self) -> None:
        def hook(value: Any, hint: Any) -> Any:
            pytest.fail(f"a hook was asked about {value!r}, a {hint}")

        def hook_of(hint: Any) -> Callable[[Any, Any], Any]:
            return hook

        converter: Any = SimpleNamespace(get_structure_hook=hook_of)
        structure = structuring._structure_object(Plain, converter)
        document: JSON = {"text": "a", "flag": False, "count": 0, "id": "1"}
        assert structure(document, None) == Plain(**document)
        assert structure({"text": None}, None) == Plain()

    def test_bytes_text_and_mappings_decode_alike(self) -> None:
        text = json.dumps(RETRIEVED)
        assert (
            decode_conversation(text)
            == decode_conversation(text.encode())
            == decode_conversation(MappingProxyType(RETRIEVED))
        )

    def test_the_description_s_form_of_teammates_decodes_too(self) -> None:
        document = {"teammates": {"type": "admin.list", "teammates": [{"type": "admin"}]}}
        found = decode(document)
        assert found.teammates is not None
        assert found.teammates.teammates is not None
        assert_round_trip(document)

    def test_a_decoded_conversation_is_an_ordinary_value(self) -> None:
        found = decode(RETRIEVED)
        assert type(found) is Conversation
        assert pickle.loads(pickle.dumps(found)) == found
        assert copy.deepcopy(found) == found
        assert hash(found) == hash(decode(RETRIEVED))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            found.title = "x"  # type: ignore[misc]
        assert attrs.evolve(found, title="x").title == "x"

    def test_decoding_twice_shares_nothing(self) -> None:
        body = json.dumps(DETACH_REPLY)
        assert decode_conversation(body).extra is not decode_conversation(body).extra


class TestParticipants:
    @pytest.mark.parametrize(
        ("document", "ids", "known"),
        [
            ({}, [], False),
            ({"customers": None}, [], False),
            ({"customers": []}, [], True),
            ({"contacts": None}, [], False),
            ({"contacts": {}}, [], False),
            ({"contacts": {"contacts": None}}, [], False),
            ({"contacts": {"contacts": []}}, [], True),
            ({"contacts": {"contacts": [{"id": "a"}]}}, ["a"], True),
            ({"contacts": {"contacts": [{"id": 7}]}}, ["7"], True),
            ({"contacts": {"contacts": [{"id": "a"}, None]}}, ["a"], False),
            ({"contacts": {"contacts": [{"id": "a"}, {}]}}, ["a", None], False),
            ({"contacts": {"contacts": [{"id": 1.5}]}}, [None], False),
            ({"contacts": {"contacts": {"id": "a"}}}, [], False),
            ({"contacts": "a"}, [], False),
            ({"contacts": [{"id": "a"}]}, [], False),
            ({"customers": [{"id": "a"}, "b"]}, ["a"], False),
            ({"customers": "a", "contacts": {"contacts": [{"id": "c"}]}}, ["c"], False),
            ({"customers": None, "contacts": {"contacts": [{"id": "c"}]}}, ["c"], True),
            ({"customers": [], "contacts": {"contacts": [{"id": "c"}]}}, [], True),
        ],
    )
    def test_are_read_from_either_list(
        self, document: JSON, ids: list[str | None], known: bool
    ) -> None:
        found = decode(document)
        assert [contact.id for contact in found.participants] == ids
        assert found.participants_known is known
        assert_round_trip(document)

    def test_of_a_conversation_made_by_hand_may_be_unknown(self) -> None:
        assert not Conversation(contacts=Contacts()).participants_known


class TestNothingIsGuessed:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("title", 5),
            ("title", True),
            ("title", []),
            ("open", "false"),
            ("open", 0),
            ("open", "true"),
            ("id", {}),
            ("id", []),
            ("id", True),
            ("id", 1.0),
            ("id", 2**64),
            ("id", -(2**63) - 1),
            ("state", 3),
            ("tags", "none"),
            ("tags", []),
            ("tags", False),
            ("source", "x"),
            ("statistics", 1),
            ("customers", {}),
            ("customers", "abc"),
            ("custom_attributes", "{}"),
            ("custom_attributes", []),
            ("created_at", "soon"),
            ("created_at", True),
            ("created_at", {}),
            ("created_at", ""),
            ("created_at", "None"),
            ("created_at", 10**14),
            ("created_at", 10**30),
            ("created_at", -62_135_596_801),
            ("created_at", -(10**30)),
            ("created_at", 1e300),
            ("created_at", "2024-06-27T12:55:51"),
            ("created_at", "2024-06-27"),
            ("created_at", "2024-99-27T12:55:51Z"),
            ("created_at", "0001-01-01T00:00:00+14:00"),
            ("created_at", "20240627"),
            ("created_at", "20240627T125551Z"),
            ("created_at", "2024-06-27_12:55:51Z"),
            ("created_at", "١٧١٩٤٩٢٩٥١"),
        ],
    )
    def test_a_value_of_another_type_is_kept_raw(self, name: str, value: Any) -> None:
        found = decode({name: value})
        assert getattr(found, name) is None
        assert found.extra == {name: value}
        assert_round_trip({name: value})

    @pytest.mark.parametrize("value", ["1", 1.9, 1.0, True, [1]])
    def test_a_count_is_a_whole_number_or_none(self, value: Any) -> None:
        document = {"linked_objects": {"total_count": value}}
        found = decode(document).linked_objects
        assert found is not None
        assert found.total_count is None
        assert found.extra == {"total_count": value}
        assert_round_trip(document)

    @pytest.mark.parametrize("value", ["0.5", True])
    def test_a_score_is_a_number_or_none(self, value: Any) -> None:
        found = decode({"scorecards": [{"score": value}]}).scorecards
        assert found is not None
        assert found[0].score is None
        assert found[0].extra == {"score": value}

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_what_no_number_is_equal_to_is_no_score(self, value: str) -> None:
        found = decode_conversation(f'{{"scorecards": [{{"score": {value}}}]}}').scorecards
        assert found is not None
        assert found[0].score is None
        assert not math.isfinite(found[0].extra["score"])

    def test_a_null_list_decodes_to_none(self) -> None:
        assert decode({"customers": None}).customers is None

    def test_an_empty_list_decodes_to_an_empty_tuple(self) -> None:
        assert decode({"customers": []}).customers == ()

    def test_an_empty_object_decodes_to_an_empty_object(self) -> None:
        assert decode({"contacts": {}}).contacts == Contacts()
        assert_round_trip({"contacts": {}})

    def test_a_list_with_an_odd_entry_keeps_the_others(self) -> None:
        value = [{"id": "a"}, None, 5, {"id": "b"}]
        found = decode({"customers": value})
        assert found.customers is not None
        assert [contact.id for contact in found.customers] == ["a", "b"]
        assert found.extra == {"customers": value}

    def test_a_value_nobody_documented_is_text(self) -> None:
        found = decode({"state": "archived", "priority": "x", "source": {"type": "fax"}})
        assert found.state == "archived"
        assert not isinstance(found.state, State)
        assert found.extra == {}
        assert_round_trip({"state": "archived"})

    def test_unknown_members_are_kept_at_their_own_level(self) -> None:
        document = {"new": {"a": None}, "source": {"author": {"mood": 1}}, "extra": 3}
        found = decode(document)
        assert found.extra == {"new": {"a": None}, "extra": 3}
        assert found.source is not None
        assert found.source.author is not None
        assert found.source.author.extra == {"mood": 1}
        assert_round_trip(document)

    def test_unknown_members_may_be_named_like_python_s_own(self) -> None:
        for name in ("self", "class", "participants", "__class__", "_type", ""):
            assert decode({name: 1}).extra == {name: 1}


class TestIds:
    def test_a_number_becomes_text_and_a_number_again(self) -> None:
        found = decode({"id": 1295, "team_assignee_id": 0})
        assert found.id == "1295"
        assert isinstance(found.id, NumericId)
        assert found.extra == {}
        assert encode_conversation(found) == {"id": 1295, "team_assignee_id": 0}

    def test_text_stays_text(self) -> None:
        assert encode_conversation(decode({"id": "1295"})) == {"id": "1295"}

    @pytest.mark.parametrize("number", [-(2**63), -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1])
    def test_large_numbers_are_exact(self, number: int) -> None:
        assert decode({"id": number}).id == str(number)
        assert_round_trip({"id": number})

    def test_lists_of_ids_may_mix_both(self) -> None:
        found = decode_identity({"team_ids": [1, "2", None]})
        assert found.team_ids == ("1", "2")
        assert found.extra == {"team_ids": [1, "2", None]}

    @pytest.mark.parametrize("value", [None, 1.5, {}])
    def test_a_default_stands_in_for_an_id_that_is_not_there(self, value: Any) -> None:
        assert decode_conversation({"id": value}, default_id="9").id == "9"

    def test_a_default_never_replaces_an_id(self) -> None:
        assert decode_conversation({"id": "1"}, default_id="9").id == "1"


class TestTimes:
    @pytest.mark.parametrize("value", [0, NOON, 32_503_680_000, -1, -62_135_596_800])
    def test_seconds_become_an_aware_datetime(self, value: int) -> None:
        found = decode({"created_at": value})
        assert found.created_at is not None
        assert found.created_at.tzinfo is UTC
        assert found.created_at.timestamp() == value
        assert found.extra == {}
        encoded = encode_conversation(found)["created_at"]
        assert encoded == value
        assert type(encoded) is int

    def test_of_an_object_that_are_equal_are_kept_once(self) -> None:
        found = decode_conversation(
            json.dumps({"created_at": NOON, "updated_at": NOON, "waiting_since": NOON + 1})
        )
        assert found.created_at is found.updated_at
        assert found.waiting_since == MOMENT + timedelta(seconds=1)

    @pytest.mark.parametrize("value", [NOON + 0.5, NOON + 0.123456, NOON + 0.0])
    def test_fractions_survive(self, value: float) -> None:
        found = decode({"created_at": value})
        assert found.created_at is not None
        assert found.created_at.timestamp() == value
        assert found.extra == {}
        assert_round_trip({"created_at": value})

    @pytest.mark.parametrize(
        "value",
        [
            NOON * 1000,
            float(NOON * 1000),
            str(NOON),
            f"{NOON}.0",
            str(NOON * 1000),
            "2024-06-27T12:55:51Z",
            "2024-06-27T12:55:51.000Z",
            "2024-06-27T14:55:51+02:00",
            "2024-06-27 12:55:51+00:00",
        ],
    )
    def test_other_forms_are_understood_and_kept(self, value: Any) -> None:
        found = decode({"created_at": value})
        assert found.created_at == MOMENT
        assert found.extra == {"created_at": value}
        assert_round_trip({"created_at": value})

    @pytest.mark.parametrize(
        ("value", "moment"),
        [
            (10**11 - 1, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
            (10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
            (10**14 - 1, datetime(5138, 11, 16, 9, 46, 39, 999_000, tzinfo=UTC)),
        ],
    )
    @pytest.mark.parametrize("number", [int, float])
    def test_numbers_too_large_for_seconds_are_milliseconds(
        self, value: int, moment: datetime, number: Callable[[int], float]
    ) -> None:
        found = decode({"created_at": number(value)})
        assert found.created_at == moment
        assert_round_trip({"created_at": number(value)})

    def test_what_a_datetime_cannot_hold_is_kept_too(self) -> None:
        found = decode({"created_at": 1000.00000001})
        assert found.created_at == datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
        assert found.extra == {"created_at": 1000.00000001}

    def test_a_time_without_a_zone_is_refused_when_encoding(self) -> None:
        naive = datetime(2024, 1, 1)  # noqa: DTZ001
        with pytest.raises(InvalidArgumentError, match="time zone"):
            encode_conversation(Conversation(created_at=naive))

    def test_other_zones_encode_the_same_moment(self) -> None:
        local = datetime.fromisoformat("2024-06-27T14:55:51+02:00")
        assert encode_conversation(Conversation(created_at=local)) == {"created_at": NOON}


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"<html>502</html>",
            b'{"id": "1"',
            b'{"id": "1"} x',
            b"[]",
            b"null",
            b'"text"',
            b"17",
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            "\ud800",
            "",
        ],
        ids=lambda body: repr(body[:12]),
    )
    @pytest.mark.parametrize("decoder", [decode_conversation, decode_identity, decode_page])
    def test_what_is_no_object_raises_one_error_only(
        self, decoder: Callable[[Any], object], body: bytes | str
    ) -> None:
        with pytest.raises(ResponseDecodeError) as raised:
            decoder(body)
        assert len(raised.value.body) <= 200
        assert len(str(raised.value)) < 300
        assert raised.value.__cause__ is None

    @pytest.mark.parametrize("body", [None, 5, [], [("id", "1")]])
    def test_values_that_are_no_mapping_raise_it_too(self, body: Any) -> None:
        with pytest.raises(ResponseDecodeError):
            decode_conversation(body)

    @pytest.mark.parametrize("body", [b"[1, 2]", "[1, 2]"])
    def test_the_error_shows_the_beginning_of_the_body(self, body: bytes | str) -> None:
        with pytest.raises(ResponseDecodeError, match="no JSON object: a list") as raised:
            decode_conversation(body)
        assert raised.value.body == b"[1, 2]"

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            ("<p>\u00fc" + "x" * 300, b"<p>\xc3\xbc" + b"x" * 195),
            (b"<p>" + b"x" * 300, b"<p>" + b"x" * 197),
            ("\ud800", b"\\ud800"),
        ],
    )
    def test_the_error_shows_200_bytes_of_text_too(self, body: bytes | str, shown: bytes) -> None:
        with pytest.raises(ResponseDecodeError) as raised:
            decode_json(body)
        assert raised.value.body == shown

    def test_the_error_says_that_it_is_nested_too_deeply(self) -> None:
        with pytest.raises(ResponseDecodeError, match="nested too deeply"):
            decode_json("[" * 100_000)

    @pytest.mark.parametrize(
        ("decoder", "body"),
        [
            (decode_page, b'{"pages": {}, "conversations": [{"id": "1"}, {"id": "\xff"}]}'),
            (
                decode_stepwise,
                b'{"conversation_parts": {"conversation_parts": [{}, {"id": "\xff"}]}}',
            ),
            (
                decode_stepwise,
                b'{"conversation_parts": {"x": "\xff", "conversation_parts": [{}]}}',
            ),
            (
                decode_stepwise,
                b'{"conversation_parts": {"conversation_parts": []}, "title": "\xff"}',
            ),
        ],
    )
    def test_the_error_names_the_place_in_the_whole_body(
        self, decoder: Callable[[bytes], object], body: bytes
    ) -> None:
        place = body.index(b"\xff")
        with pytest.raises(ResponseDecodeError, match=f"position {place}") as raised:
            decoder(body)
        assert raised.value.body == body
        assert raised.value.__cause__ is None

    @pytest.mark.parametrize(
        "body",
        [
            b'{"id": "1", "x": NaN}',
            b'{"id": "1", "x": 1e999}',
            b'{"id": "1", "created_at": Infinity}',
            b'{"id": "1", "created_at": NaN}',
            b'{"id": "1", "scorecards": [{"score": NaN}]}',
            b'{"id": "1", "title": "\\ud800"}',
            b'\xef\xbb\xbf{"id": "1"}',
            b'{"id": "1", "x": ' + b"9" * 5000 + b"}",
            b'{"id": "1", "x": 123456789012345678901234567890}',
        ],
        ids=lambda body: repr(body[:30]),
    )
    def test_what_other_writers_of_json_let_through_decodes(self, body: bytes) -> None:
        assert decode_conversation(body).id == "1"

    def test_large_numbers_are_exact(self) -> None:
        body = b'{"x": 123456789012345678901234567890}'
        assert decode_json(body) == {"x": 123456789012345678901234567890}

    def test_text_that_is_no_utf_8_raises_it_too(self) -> None:
        with pytest.raises(ResponseDecodeError, match="utf-8"):
            decode_conversation(b'{"id": "\xff"}')

    def test_of_members_named_twice_the_last_counts(self) -> None:
        body = b'{"id": "1", "id": "2"}'
        assert decode_conversation(body).id == "2"
        assert decode_json(body) == {"id": "2"}

    def test_deeply_nested_free_values_decode(self) -> None:
        depth = 300
        body = b'{"custom_attributes":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        assert decode_conversation(body).custom_attributes == decode_json(body)["custom_attributes"]

    def test_any_json_value_can_be_decoded(self) -> None:
        assert decode_json(b"[1, null]") == [1, None]
        with pytest.raises(ResponseDecodeError):
            decode_json(b"nope")

    @given(st.binary(max_size=50) | st.text(max_size=50))
    def test_any_body_decodes_or_raises_that_error(self, body: bytes | str) -> None:
        for decoder in (decode_conversation, decode_identity, decode_page, decode_json):
            try:
                decoder(body)
            except ResponseDecodeError:
                continue


class TestIdentity:
    def test_names_the_admin_and_the_workspace(self) -> None:
        found = decode_identity(
            b'{"type": "admin", "id": "5017690", "name": "Ada", "email": "ada@example.com",'
            b'"app": {"type": "app", "id_code": "abc", "name": "Acme", "region": "EU",'
            b'"created_at": 1719492951, "secure": false}, "has_inbox_seat": true, "new": 1}'
        )
        assert (found.id, found.name, found.email) == ("5017690", "Ada", "ada@example.com")
        assert found.app is not None
        assert (found.app.id_code, found.app.name, found.app.region) == ("abc", "Acme", "EU")
        assert found.app.created_at == MOMENT
        assert found.extra == {"new": 1}


ODD_PAGES: Final[list[JSON]] = [
    {},
    {"conversations": None},
    {"conversations": {"id": "1"}, "total_count": "3"},
    {"conversations": [None, 5, "x", []], "total_count": True},
    {"conversations": None, "data": []},
]


class TestPages:
    @pytest.mark.parametrize("name", ["conversations", "data"])
    @pytest.mark.parametrize("form", [json.dumps, dict], ids=["text", "mapping"])
    def test_hold_conversations_by_either_name(
        self, name: str, form: Callable[[JSON], Any]
    ) -> None:
        page = {
            "type": "conversation.list",
            "pages": {"type": "pages", "next": {"page": 2, "starting_after": "abc"}},
            "total_count": 3,
            name: [{"id": "1"}, RETRIEVED, {"id": 2, "odd": 1}],
        }
        found = decode_page(form(page))
        assert [conversation.id for conversation in found.conversations] == ["1", "471", "2"]
        assert found.total_count == 3
        assert found.starting_after == "abc"

    @pytest.mark.parametrize(
        "pages",
        [
            None,
            {},
            [],
            "x",
            {"next": None},
            {"next": "https://api.intercom.io/?page=2"},
            {"next": {}},
            {"next": {"starting_after": None}},
            {"next": {"starting_after": 5}},
            {"next": {"starting_after": ""}},
        ],
    )
    def test_without_a_cursor_are_the_last(self, pages: Any) -> None:
        page: JSON = {"conversations": [], "pages": pages}
        assert decode_page(json.dumps(page)).starting_after is None
        assert decode_page(page).starting_after is None

    @pytest.mark.parametrize("page", ODD_PAGES)
    def test_that_are_odd_hold_nothing(self, page: JSON) -> None:
        for found in (decode_page(json.dumps(page)), decode_page(page)):
            assert found.conversations == ()
            assert found.total_count is None

    @given(st.lists(odd_documents(Conversation) | ANY_JSON, max_size=3), ANY_JSON, ANY_JSON)
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_of_text_and_of_mappings_are_alike(
        self, entries: list[Any], total: Any, pages: Any
    ) -> None:
        page = {"conversations": entries, "total_count": total, "pages": pages, "more": 1}
        found = decode_page(page)
        assert found == decode_page(json.dumps(page)) == decode_page(json.dumps(page).encode())
        objects = [entry for entry in entries if is_object(entry)]
        assert list(map(encoded_without_nulls, found.conversations)) == without_nulls(objects)


class TestContacts:
    @pytest.mark.parametrize("form", [json.dumps, dict], ids=["text", "mapping"])
    def test_are_listed_with_all_that_is_known_of_them(self, form: Callable[[JSON], Any]) -> None:
        page = {
            "type": "list",
            "data": [{"type": "contact", "id": "a", "external_id": "7", "email": "a@b"}, {}],
            "pages": {"next": {"starting_after": "abc"}},
        }
        found = decode_contacts(form(page))
        first, second = found.contacts
        assert (first.type, first.id, first.external_id) == ("contact", "a", "7")
        assert first.extra == {"email": "a@b"}
        assert second.id is None
        assert found.starting_after == "abc"

    @pytest.mark.parametrize("data", [None, {}, {"id": "a"}, "a", 5, [], [None, "a", []]])
    def test_that_are_odd_are_none(self, data: Any) -> None:
        assert decode_contacts({"data": data}) == ContactPage()
        assert decode_contacts({"contacts": [{"id": "a"}]}) == ContactPage()

    def test_beside_odd_entries_are_kept(self) -> None:
        found = decode_contacts({"data": [None, {"id": "a"}, 5, {"id": "b"}]})
        assert [contact.id for contact in found.contacts] == ["a", "b"]


def encoded_without_nulls(conversation: Conversation) -> Any:
    return without_nulls(encode_conversation(conversation))


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Made(IntercomObject):
    """Lists that no object of Intercom's has yet."""

    flags: tuple[bool, ...] | None = None
    counts: tuple[int, ...] | None = None
    scores: tuple[float, ...] | None = None
    texts: tuple[str, ...] | None = None
    ids: tuple[Id, ...] | None = None
    times: tuple[datetime, ...] | None = None
    states: tuple[State, ...] | None = None


ODD_LISTS: Final[list[tuple[str, list[Any], tuple[Any, ...]]]] = [
    ("flags", [True, 1, "true"], (True,)),
    ("counts", [1, True, 1.0, "1"], (1,)),
    ("scores", [0.5, True, "1"], (0.5,)),
    ("texts", ["a", 1, None, []], ("a",)),
    ("ids", ["a", 1, True, 1.5], ("a", "1")),
    ("times", [NOON, "soon", True], (MOMENT,)),
    ("states", ["open", 1, {}], (State.OPEN,)),
]


class TestLists:
    def test_may_hold_values_of_every_type(self) -> None:
        document: JSON = {
            "flags": [True, False],
            "counts": [1, 10**20],
            "scores": [1, 0.5],
            "texts": ["a", ""],
            "ids": [1, "1"],
            "times": [0, NOON],
            "states": ["open", "archived"],
        }
        found = _shortcut(Made).decode(json.dumps(document))
        assert found == _structure(document, Made)
        assert found.extra == {}
        assert found.times == (datetime(1970, 1, 1, tzinfo=UTC), MOMENT)
        assert found.states[0] is State.OPEN
        assert _converter().unstructure(found) == document

    @pytest.mark.parametrize(
        ("name", "value", "kept"),
        ODD_LISTS,
    )
    def test_keep_what_fits_and_the_whole_as_it_came(
        self, name: str, value: list[Any], kept: tuple[Any, ...]
    ) -> None:
        document = {name: value}
        assert _shortcut(Made).decode(json.dumps(document)) is None
        found = _structure(document, Made)
        assert getattr(found, name) == kept
        assert found.extra == document
        assert _converter().unstructure(found) == document


def own_types_of_json(value: Any) -> bool:
    if is_object(value):
        inner = [*value.keys(), *value.values()]
        return all(map(own_types_of_json, inner)) and type(value) is dict
    if is_list(value):
        return all(map(own_types_of_json, value)) and type(value) is list
    return type(value) in {str, int, float, bool, type(None)}


class TestAnyDocument:
    @given(documents(Conversation))
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_as_promised_takes_the_shortcut_and_leaves_nothing_over(self, document: JSON) -> None:
        found = _shortcut(Conversation).decode(json.dumps(document))
        assert found == _structure(document, Conversation)
        assert_round_trip(document)

    @given(odd_documents(Conversation))
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_however_odd_decodes_and_round_trips(self, document: JSON) -> None:
        assert_round_trip(document)
        found = decode(document)
        assert isinstance(found.participants, tuple)
        assert isinstance(found.participants_known, bool)

    @given(documents(Conversation))
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_encodes_to_the_own_types_of_json(self, document: JSON) -> None:
        assert own_types_of_json(encode_conversation(decode(RETRIEVED | document)))

    @given(st.dictionaries(st.text(), ANY_JSON))
    def test_of_any_shape_decodes(self, document: Mapping[str, Any]) -> None:
        assert_round_trip(dict(document))
        decode_identity(document)
        decode_page(document)


LONG_TEXT: Final = "x" * 2000


def long_conversation(count: int, **changes: Any) -> JSON:
    part = {"type": "conversation_part", "body": LONG_TEXT, "created_at": NOON, **changes}
    return RETRIEVED | {
        "conversation_parts": {
            "type": "conversation_part.list",
            "conversation_parts": [part | {"id": str(number)} for number in range(count)],
            "total_count": count,
        }
    }


_UNUSUAL: Final[list[Any]] = [
    None,
    [],
    "none",
    {},
    {"conversation_parts": None},
    {"conversation_parts": {"a": 1}, "total_count": "2"},
    {"conversation_parts": [{"id": "1"}, None, 7]},
    {"conversation_parts": [{"id": "1", "tags": 3}], "total_count": "2", "more": 1},
]
UNUSUAL_PARTS: Final = [RETRIEVED | {"conversation_parts": parts} for parts in _UNUSUAL]


class TestInSteps:
    @pytest.mark.parametrize("changes", [{}, {"mood": "calm"}, {"redacted": "no", "id": None}])
    def test_a_long_conversation_pauses_and_is_the_same(self, changes: JSON) -> None:
        document = long_conversation(200, **changes) | {"mood": "calm"}
        found, pauses = decode_stepwise(document)
        assert found == decode_conversation(json.dumps(document))
        assert pauses > 200 * len(LONG_TEXT) // STEP
        assert_round_trip(document)

    def test_nothing_long_is_decoded_in_one_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []

        def decode_whole(body: bytes, *, default_id: str | None = None) -> Conversation:
            sizes.append(len(body))
            return decode_conversation(body, default_id=default_id)

        monkeypatch.setattr(structuring, "decode_conversation", decode_whole)
        decode_stepwise(long_conversation(200, mood="calm"))
        assert max(sizes) < STEP

    @pytest.mark.parametrize(("size", "at_a_time"), [(STEP, 1), (STEP - 1, 2), (STEP // 3, 4)])
    def test_it_pauses_as_soon_as_a_step_is_done(self, size: int, at_a_time: int) -> None:
        empty = len(b'{"body": ""}')
        part = {"body": "x" * (size - empty)}
        document = {"conversation_parts": {"conversation_parts": [part] * 11}}
        _, pauses = decode_stepwise(document)
        assert pauses == 2 + 11 // at_a_time  # the first two are for finding the parts

    @pytest.mark.parametrize("document", [*UNUSUAL_PARTS, DETACH_REPLY, {}])
    def test_parts_that_are_none_change_nothing(self, document: JSON) -> None:
        found, _ = decode_stepwise(document)
        assert found == decode_conversation(json.dumps(document), default_id="1295")

    @pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"null"])
    def test_no_object_is_an_error_here_too(self, body: bytes) -> None:
        with pytest.raises(ResponseDecodeError):
            decode_stepwise(body)

    @given(odd_documents(Conversation))
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_however_odd_decodes_alike(self, document: JSON) -> None:
        found, _ = decode_stepwise(document)
        assert found == decode_conversation(json.dumps(document), default_id="1295")

    @given(
        st.integers(0, len(json.dumps(RETRIEVED))),
        st.integers(0, 3),
        st.sampled_from(b'" { } [ ] , : \\ - 0 .5 1e400 NaN null true \xff \x00 \\ud800'.split()),
    )
    def test_a_broken_body_comes_to_the_same(self, place: int, cut: int, put: bytes) -> None:
        body = json.dumps(RETRIEVED).encode()
        body = body[:place] + put + body[place + cut :]
        assert outcome(decode_stepwise, body) == outcome(decode_whole, body)


def decode_whole(body: bytes) -> tuple[Conversation, int]:
    return decode_conversation(body, default_id="1295"), 0


def outcome(decoder: Callable[[bytes], tuple[Conversation, int]], body: bytes) -> object:
    """What was decoded, or what the error says."""
    try:
        # As text, because a NaN does not equal itself.
        return repr(decoder(body)[0])
    except ResponseDecodeError as error:
        return error.reason, error.body


@pytest.fixture
def fresh() -> ModuleType:
    """The module as it is in a program that has decoded nothing yet."""
    spec = importlib.util.find_spec(structuring.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as without:
        # The slowest import of all is left to `prepare`: this one here would fail.
        without.setitem(sys.modules, "cattrs", None)
        spec.loader.exec_module(module)
    return module


class TestPreparing:
    def test_leaves_nothing_to_be_made_while_replies_wait(
        self, fresh: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def too_late(*_: Any) -> None:
            pytest.fail("a reply waits for code to be written")

        fresh.prepare()
        monkeypatch.setattr(fresh, "exec", too_late, raising=False)
        monkeypatch.setattr(fresh, "_Shortcut", too_late)
        for changes in ({}, {"mood": "calm"}):
            document = long_conversation(2, **changes)
            expected = decode_conversation(document)
            body = json.dumps(document).encode()
            assert fresh.decode_conversation(body) == expected
            assert fresh.encode_conversation(expected) == encode_conversation(expected)
            with pytest.raises(StopIteration) as done:
                steps = fresh.decode_in_steps(body)
                while True:
                    next(steps)
            assert done.value.value == expected

    def test_is_not_needed(self, fresh: ModuleType) -> None:
        assert fresh.decode_conversation({"id": "1", "mood": 1}) == Conversation(
            id="1", extra={"mood": 1}
        )
