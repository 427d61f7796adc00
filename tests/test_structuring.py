"""Bytes to the model and back: nothing raised, nothing lost, nothing guessed."""

import copy
import json
import pickle
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_async.documents import decode_json, is_list, is_object
from intercom_async.errors import InvalidArgumentError, ResponseDecodeError
from intercom_async.model import ContactPage, Conversation, NumericId
from intercom_async.structuring import (
    STEP,
    converter,
    decode_contacts,
    decode_conversation,
    decode_identity,
    decode_in_steps,
    decode_page,
    encode_conversation,
    fast_path,
    prepare,
)
from tests.fuzz.comparing import alike
from tests.fuzz.targets.decoding import check, in_steps
from tests.model.documents import (
    ANY_JSON,
    DETACH_REPLY,
    JSON,
    RETRIEVED,
    documents,
    odd_documents,
)

YEAR_3000: Final = 32_503_680_000
MOMENT: Final = datetime(2024, 6, 27, 12, 55, 51, tzinfo=UTC)
NOON: Final = 1719492951
SLOW_TO_MAKE = settings(suppress_health_check=[HealthCheck.too_slow])


def usual(document: JSON) -> Conversation | None:
    """Decode by the fast path alone; None if the document does not take it."""
    return fast_path.decode_usual(json.dumps(document), Conversation)


def decode(document: JSON) -> Any:
    """Decode in every way there is, check that nothing is lost, and return the conversation.

    The type checker does not learn what it is, because all members of a conversation are optional.
    """
    body = json.dumps(document).encode()
    check(body)
    found = decode_conversation(body)
    assert found == decode_conversation(body.decode())
    return found


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
        assert (found.id, found.created_at) == ("471", MOMENT)
        assert (found.state, found.priority) == ("snoozed", "high")
        assert found.admin_assignee_id == "0"
        assert [contact.id for contact in found.participants] == ["667d60d1", "667d60d2"]
        part = found.conversation_parts.conversation_parts[0]
        assert (part.id, part.tags) == ("81", None)
        assert part.author.from_ai_agent is True
        assert found.company.monthly_spend == 155.5

    @pytest.mark.parametrize(
        "document",
        [
            *({}, {"title": "null", "id": "null"}, {"new": 1}, {"extra": None}, {"extra": {}}),
            *({"id": 0}, {"id": -1}, {"id": 2**63 - 1}, {"id": 2**63}, {"open": 1}),
            *({"created_at": value} for value in (0, -1, YEAR_3000 - 1, YEAR_3000)),
            {"company": {"monthly_spend": sys.float_info.max}},
            {"source": {"new": 1}},
        ],
        ids=repr,
    )
    def test_where_the_fast_path_ends_nothing_changes(self, document: JSON) -> None:
        decode(document)

    def test_a_decoded_conversation_is_an_ordinary_value(self) -> None:
        found = decode(RETRIEVED)
        assert type(found) is Conversation
        assert pickle.loads(pickle.dumps(found)) == found == copy.deepcopy(found)
        assert hash(found) == hash(decode(RETRIEVED))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            found.title = "x"  # type: ignore[misc]
        assert attrs.evolve(found, title="x").title == "x"


class TestParticipants:
    @pytest.mark.parametrize(
        ("document", "ids", "known"),
        [
            ({}, [], False),
            ({"customers": None}, [], False),  # null and empty are told apart
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


MISFITS: Final[dict[str, list[Any]]] = {
    "title": [5, True, []],
    "open": ["false", 0, "true"],
    "id": [{}, [], True, 1.0, 2**64, -(2**63) - 1],
    "state": [3],
    "tags": ["none", [], False],
    "source": ["x"],
    "statistics": [1],
    "customers": [{}, "abc"],
    "custom_attributes": ["{}", []],
    "created_at": [
        *("soon", True, {}, "", "None", 10**14, 10**30, -(10**30), 1e300),
        -62_135_596_801,  # before the year 1
        "2024-06-27T12:55:51",  # without a zone it is no moment
        *("2024-06-27", "2024-99-27T12:55:51Z", "0001-01-01T00:00:00+14:00"),
        *("20240627", str(NOON), "١٧١٩٤٩٢٩٥١"),
    ],
}


class TestNothingIsGuessed:
    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in MISFITS.items() for value in values]
    )
    def test_a_value_of_another_type_is_kept_raw(self, name: str, value: Any) -> None:
        found = decode({name: value})
        assert getattr(found, name) is None
        assert found.extra == {name: value}

    @pytest.mark.parametrize("value", ["1", 1.9, 1.0, True, [1]])
    def test_a_count_is_a_whole_number_or_none(self, value: Any) -> None:
        found = decode({"linked_objects": {"total_count": value}}).linked_objects
        assert found.total_count is None
        assert found.extra == {"total_count": value}

    @pytest.mark.parametrize("value", ['"0.5"', "true", "NaN", "Infinity", "-Infinity", "1e999"])
    def test_an_amount_is_a_number_that_is_one_or_none(self, value: str) -> None:
        found: Any = decode_conversation(f'{{"company": {{"monthly_spend": {value}}}}}').company
        assert found.monthly_spend is None
        assert repr(found.extra["monthly_spend"]) == repr(json.loads(value))

    def test_a_value_nobody_documented_is_text(self) -> None:
        document = {"state": "archived", "priority": "x", "source": {"type": "fax"}}
        found = decode(document)
        assert (found.state, found.extra) == ("archived", {})

    def test_unknown_members_are_kept_at_their_own_level(self) -> None:
        document = {"new": {"a": None}, "source": {"author": {"mood": 1}}, "extra": 3}
        found = decode(document)
        assert found.extra == {"new": {"a": None}, "extra": 3}
        assert found.source.author.extra == {"mood": 1}

    @pytest.mark.parametrize("name", ["self", "class", "participants", "__class__", "_type", ""])
    def test_unknown_members_may_be_named_like_python_s_own(self, name: str) -> None:
        assert decode({name: 1}).extra == {name: 1}


class TestIds:
    def test_a_number_becomes_text_and_a_number_again(self) -> None:
        found = decode({"id": 1295, "team_assignee_id": 0})
        assert found.id == "1295"
        assert isinstance(found.id, NumericId)
        assert found.extra == {}
        assert encode_conversation(found) == {"id": 1295, "team_assignee_id": 0}

    @pytest.mark.parametrize("number", [-(2**63), -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1])
    def test_large_numbers_are_exact(self, number: int) -> None:
        assert decode({"id": number}).id == str(number)

    def test_lists_of_ids_may_mix_both(self) -> None:
        found = decode_identity(b'{"team_ids": [1, "2", null]}')
        assert found.team_ids == ("1", "2")
        assert found.extra == {"team_ids": [1, "2", None]}

    @pytest.mark.parametrize(
        ("document", "found"),
        [({}, "9"), ({"id": None}, "9"), ({"id": 1.5}, "9"), ({"id": "1"}, "1"), ({"id": ""}, "")],
    )
    @pytest.mark.parametrize("form", [json.dumps, dict], ids=["text", "mapping"])
    def test_a_default_stands_in_only_for_an_id_that_is_not_there(
        self, form: Callable[[JSON], Any], document: JSON, found: str
    ) -> None:
        assert decode_conversation(form(document), default_id="9").id == found


class TestTimes:
    @pytest.mark.parametrize("value", [0, NOON, YEAR_3000, -1, -62_135_596_800])
    def test_seconds_become_an_aware_datetime(self, value: int) -> None:
        found = decode({"created_at": value})
        assert found.created_at.tzinfo is UTC
        assert found.created_at.timestamp() == value
        assert found.extra == {}
        encoded = encode_conversation(found)["created_at"]
        assert (encoded, type(encoded)) == (value, int)

    @pytest.mark.parametrize("value", [NOON + 0.5, NOON + 0.123456, NOON + 0.0])
    def test_fractions_survive(self, value: float) -> None:
        found = decode({"created_at": value})
        assert found.created_at.timestamp() == value
        assert found.extra == {}

    @pytest.mark.parametrize(
        ("value", "moment"),
        [
            (NOON * 1000, MOMENT),
            (float(NOON * 1000), MOMENT),
            ("2024-06-27T12:55:51Z", MOMENT),
            ("2024-06-27T12:55:51.000Z", MOMENT),
            ("2024-06-27T14:55:51+02:00", MOMENT),
            ("2024-06-27 12:55:51+00:00", MOMENT),
            ("20240627T125551Z", MOMENT),
            (1000.00000001, datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)),
            (10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
            (1e11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
            (10**14 - 1, datetime(5138, 11, 16, 9, 46, 39, 999_000, tzinfo=UTC)),
        ],
    )
    def test_other_forms_are_understood_and_kept(self, value: Any, moment: datetime) -> None:
        found = decode({"created_at": value})
        assert found.created_at == moment
        assert found.extra == {"created_at": value}

    def test_the_largest_seconds_are_one_less_than_the_least_milliseconds(self) -> None:
        found = decode({"created_at": 10**11 - 1})
        assert found.created_at == datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)

    def test_a_time_without_a_zone_is_refused_when_encoding(self) -> None:
        naive = datetime(2024, 1, 1)  # noqa: DTZ001
        with pytest.raises(InvalidArgumentError, match="time zone"):
            encode_conversation(Conversation(created_at=naive))

    def test_other_zones_encode_the_same_moment(self) -> None:
        local = datetime.fromisoformat("2024-06-27T14:55:51+02:00")
        assert encode_conversation(Conversation(created_at=local)) == {"created_at": NOON}


NO_OBJECTS: Final[dict[str, list[bytes | str]]] = {
    "Expecting value": [
        *(b"", "", b" ", b"\xff\xfe", "\ud800"),
        *("<p>\u00fc" + "x" * 300, b"<p>" + b"x" * 300),
    ],
    "a list": [b"[1, 2]", "[1, 2]"],
    "a NoneType": [b"null"],
    "a str": [b'"text"'],
    "a int": [b"17"],
    "delimiter": [b'{"id": "1"'],
    "Extra data": [b'{"id": "1"} x'],
    "utf-8": [b'{"id": "\xff"}'],
    "nested too deeply": [b"[" * 100_000, '{"a":' * 100_000],
}


class TestBodies:
    @pytest.mark.parametrize(
        ("reason", "body"),
        [(reason, body) for reason, bodies in NO_OBJECTS.items() for body in bodies],
        ids=lambda value: repr(value)[:12],
    )
    @pytest.mark.parametrize("decoder", [decode_conversation, decode_identity, decode_page])
    def test_what_is_no_object_raises_one_error_that_says_why_and_shows_its_beginning(
        self, decoder: Callable[[Any], object], reason: str, body: bytes | str
    ) -> None:
        with pytest.raises(ResponseDecodeError, match=f"no JSON object: .*{reason}") as raised:
            decoder(body)
        whole = body if isinstance(body, bytes) else body.encode("utf-8", "backslashreplace")
        assert raised.value.body == whole[:200]
        assert len(str(raised.value)) < 300
        assert raised.value.__cause__ is None

    @pytest.mark.parametrize(
        "body",
        [
            b'{"pages": {}, "conversations": [{"id": "1"}, {"id": "\xff"}]}',
            b'{"conversation_parts": {"conversation_parts": [{}, {"id": "\xff"}]}}',
            b'{"conversation_parts": {"x": "\xff", "conversation_parts": [{}]}}',
            b'{"conversation_parts": {"conversation_parts": []}, "title": "\xff"}',
            b'{"x": "\xff", "x": 1, "conversation_parts": {"conversation_parts": []}}',
        ],
    )
    def test_the_error_names_the_place_in_the_whole_body(self, body: bytes) -> None:
        decoder: Callable[[bytes], object] = decode_page if b"pages" in body else in_steps
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
            b'{"id": "1", "title": "\\ud800"}',
            b'\xef\xbb\xbf{"id": "1"}',
            b'{"id": "1", "x": ' + b"9" * 5000 + b"}",
            b'{"id": "2", "id": "1"}',  # of members named twice the last counts
        ],
        ids=lambda body: repr(body[:30]),
    )
    def test_what_other_writers_of_json_let_through_decodes(self, body: bytes) -> None:
        assert decode_conversation(body).id == "1"
        assert decode_json(body)["id"] == "1"

    def test_free_values_decode_however_deep_or_large(self) -> None:
        depth = 300
        body = b'{"custom_attributes":' + b'{"a":' * depth + b"1" * 30 + b"}" * depth + b"}"
        assert decode_conversation(body).custom_attributes == json.loads(body)["custom_attributes"]


def test_an_identity_names_the_admin_and_the_workspace() -> None:
    found: Any = decode_identity(
        b'{"type": "admin", "id": "5017690", "name": "Ada", "email": "ada@example.com",'
        b'"app": {"type": "app", "id_code": "abc", "name": "Acme", "region": "EU",'
        b'"created_at": 1719492951, "secure": false}, "has_inbox_seat": true, "new": 1}'
    )
    assert (found.id, found.name, found.email) == ("5017690", "Ada", "ada@example.com")
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
    def test_hold_conversations_by_either_name(self, name: str) -> None:
        page = {
            "type": "conversation.list",
            "pages": {"type": "pages", "next": {"page": 2, "starting_after": "abc"}},
            "total_count": 3,
            name: [{"id": "1"}, RETRIEVED, {"id": 2, "odd": 1}],
        }
        found = decode_page(json.dumps(page))
        assert [conversation.id for conversation in found.conversations] == ["1", "471", "2"]
        assert (found.total_count, found.starting_after) == (3, "abc")

    @pytest.mark.parametrize(
        "pages",
        [
            *(None, {}, [], "x"),
            {"next": None},
            {"next": "https://api.intercom.io/?page=2"},
            {"next": {}},
            *({"next": {"starting_after": cursor}} for cursor in (None, 5, "")),
        ],
    )
    def test_without_a_cursor_are_the_last(self, pages: Any) -> None:
        page: JSON = {"conversations": [], "pages": pages}
        assert decode_page(json.dumps(page)).starting_after is None

    @pytest.mark.parametrize("page", ODD_PAGES)
    def test_that_are_odd_hold_nothing(self, page: JSON) -> None:
        found = decode_page(json.dumps(page))
        assert found.conversations == ()
        assert found.total_count is None

    @given(st.lists(odd_documents(Conversation) | ANY_JSON, max_size=3), ANY_JSON, ANY_JSON)
    @SLOW_TO_MAKE
    def test_keep_all_of_their_conversations(
        self, entries: list[Any], total: Any, pages: Any
    ) -> None:
        page = {"conversations": entries, "total_count": total, "pages": pages, "more": 1}
        found = decode_page(json.dumps(page))
        objects = [entry for entry in entries if is_object(entry)]
        encoded = [encode_conversation(conversation) for conversation in found.conversations]
        assert alike(encoded, objects, null_is_absent=True)


class TestContacts:
    def test_are_listed_with_all_that_is_known_of_them(self) -> None:
        page = {
            "type": "list",
            "data": [
                {"type": "contact", "id": "a", "external_id": "7", "email": "a@b"},
                *(None, 5),
                {"id": "b"},
            ],
            "pages": {"next": {"starting_after": "abc"}},
        }
        found = decode_contacts(json.dumps(page))
        first, second = found.contacts
        assert (first.type, first.id, first.external_id) == ("contact", "a", "7")
        assert first.extra == {"email": "a@b"}
        assert second.id == "b"
        assert found.starting_after == "abc"

    @pytest.mark.parametrize("data", [None, {}, {"id": "a"}, "a", 5, [], [None, "a", []]])
    def test_that_are_odd_are_none(self, data: Any) -> None:
        page = {"data": data, "contacts": [{"id": "a"}]}
        assert decode_contacts(json.dumps(page)) == ContactPage()


def own_types_of_json(value: Any) -> bool:
    if is_object(value):
        inner = [*value.keys(), *value.values()]
        return all(map(own_types_of_json, inner)) and type(value) is dict
    if is_list(value):
        return all(map(own_types_of_json, value)) and type(value) is list
    return type(value) in {str, int, float, bool, type(None)}


class TestAnyDocument:
    @given(documents(Conversation))
    @SLOW_TO_MAKE
    def test_as_promised_takes_the_fast_path_and_encodes_to_plain_json(
        self, document: JSON
    ) -> None:
        assert usual(document) == decode(document)
        assert own_types_of_json(encode_conversation(decode(RETRIEVED | document)))

    @given(odd_documents(Conversation) | st.dictionaries(st.text(), ANY_JSON))
    @SLOW_TO_MAKE
    def test_however_odd_decodes_and_round_trips(self, document: JSON) -> None:
        found = decode(document)
        assert isinstance(found.participants, tuple)
        assert isinstance(found.participants_known, bool)


LONG_TEXT: Final = "x" * 2000


def long_conversation(count: int, **changes: Any) -> JSON:
    part = {"type": "conversation_part", "body": LONG_TEXT, "created_at": NOON, **changes}
    parts = [part | {"id": str(number)} for number in range(count)]
    return RETRIEVED | {"conversation_parts": {"conversation_parts": parts, "total_count": count}}


def pauses(document: JSON) -> int:
    """How often decoding in steps lets others run."""
    return sum(1 for _ in decode_in_steps(json.dumps(document).encode()))


class TestInSteps:
    @pytest.mark.parametrize("changes", [{}, {"mood": "calm"}, {"redacted": "no", "id": None}])
    def test_a_long_conversation_pauses_and_is_the_same(self, changes: JSON) -> None:
        document = long_conversation(200, **changes) | {"mood": "calm"}
        decode(document)
        assert pauses(document) > 200 * len(LONG_TEXT) // STEP


def test_preparing_leaves_nothing_to_be_made_while_replies_wait() -> None:
    made: list[Any] = [converter.converter, fast_path._decoder, fast_path._mirror]
    for each in made:
        each.cache_clear()
    prepare()
    misses = [each.cache_info().misses for each in made]
    for changes in ({}, {"mood": "calm"}):
        body = json.dumps(long_conversation(2, **changes)).encode()
        assert in_steps(body) == decode_conversation(body, default_id="1295")
        encode_conversation(decode_conversation(body))
    assert [each.cache_info().misses for each in made] == misses
