"""Bytes to the model and back: nothing raised, nothing lost, nothing guessed."""

import json
import marshal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_async.documents import decode_json, is_object
from intercom_async.errors import InvalidArgumentError, ResponseDecodeError
from intercom_async.model import ContactReference, Conversation, NumericId
from intercom_async.structuring import (
    Page,
    converter,
    decode_conversation,
    decode_identity,
    decode_page,
    encode_conversation,
    fast_path,
    prepare,
)
from tests.fuzz.comparing import alike
from tests.fuzz.targets.decoding import check
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


def decode(document: JSON) -> Any:
    """Decode in every way there is, check that nothing is lost, and return the conversation.

    The type checker does not learn what it is, because all members of a conversation are optional.
    """
    body = json.dumps(document).encode()
    check(body)
    found = decode_conversation(body)
    assert found == decode_conversation(body.decode())
    return found


def conversations(page: bytes | str) -> Page[Conversation]:
    return decode_page(page, Conversation)


def contacts(page: bytes | str) -> Page[ContactReference]:
    return decode_page(page, ContactReference)


class TestUsualDocuments:
    def test_a_detach_reply_holds_the_contacts_still_attached(self) -> None:
        found = decode_conversation(json.dumps(DETACH_REPLY).encode(), default_id="1295")
        assert (found.id, found.participants_known) == ("1295", True)
        (contact,) = found.participants
        assert (contact.id, contact.type) == ("667d60d18a68186f43bafddd", "user")

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
    "linked_objects.total_count": ["1", 1.9, 1.0, True, [1]],
    "company.monthly_spend": ["0.5", True, float("nan"), float("inf"), float("-inf")],
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
        *outer, last = name.split(".")
        document: JSON = {last: value}
        for each in reversed(outer):
            document = {each: document}
        found = decode(document)
        for each in outer:
            found = getattr(found, each)
        assert getattr(found, last) is None
        assert alike(found.extra, {last: value})

    def test_unknown_members_and_values_are_kept_at_their_own_level(self) -> None:
        names = ("extra", "self", "class", "participants", "__class__", "")  # Python's own, too
        unknown = {"new": {"a": None}} | dict.fromkeys(names, 3)
        found = decode(unknown | {"source": {"author": {"mood": 1}}, "state": "archived"})
        assert found.extra == unknown
        assert found.source.author.extra == {"mood": 1}
        assert found.state == "archived"


class TestIds:
    @pytest.mark.parametrize("number", [0, -(2**63), -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1])
    def test_a_number_becomes_text_and_a_number_again(self, number: int) -> None:
        found = decode({"id": number})
        assert (found.id, type(found.id), found.extra) == (str(number), NumericId, {})
        assert encode_conversation(found) == {"id": number}

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
    @pytest.mark.parametrize(
        "value", [0, NOON, YEAR_3000, 10**11 - 1, -1, -62_135_596_800, NOON + 0.5, NOON + 0.123456]
    )
    def test_seconds_become_an_aware_datetime_and_the_same_seconds_again(
        self, value: float
    ) -> None:
        found = decode({"created_at": value})
        assert found.created_at.tzinfo is UTC
        assert found.created_at.timestamp() == value
        assert found.extra == {}
        encoded = encode_conversation(found)["created_at"]
        assert (encoded, type(encoded)) == (value, type(value))

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

    def test_times_of_any_zone_are_encoded_and_those_of_none_refused(self) -> None:
        local = datetime.fromisoformat("2024-06-27T14:55:51+02:00")
        assert encode_conversation(Conversation(created_at=local)) == {"created_at": NOON}
        naive = datetime(2024, 1, 1)  # noqa: DTZ001
        with pytest.raises(InvalidArgumentError, match="time zone"):
            encode_conversation(Conversation(created_at=naive))


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
    @pytest.mark.parametrize(
        "decoder", [decode_conversation, decode_identity, conversations, contacts]
    )
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
            *(b'{"id": "1", "x": %b}' % value for value in (b"NaN", b"1e999", b"9" * 5000)),
            *(b'{"id": "1", "created_at": %b}' % value for value in (b"NaN", b"Infinity")),
            b'{"id": "1", "title": "\\ud800"}',
            b'\xef\xbb\xbf{"id": "1"}',
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


class TestPages:
    @pytest.mark.parametrize("name", ["conversations", "data"])
    def test_hold_conversations_by_either_name(self, name: str) -> None:
        pages = {"type": "pages", "next": {"page": 2, "starting_after": "abc"}}
        listed = [{"id": "1"}, RETRIEVED, {"id": 2, "odd": 1}]
        page = {"type": "conversation.list", "pages": pages, "total_count": 3, name: listed}
        found = conversations(json.dumps(page))
        assert [conversation.id for conversation in found.entries] == ["1", "471", "2"]
        assert (found.total_count, found.starting_after) == (3, "abc")

    def test_hold_contacts_with_all_that_is_known_of_them(self) -> None:
        listed = [{"id": "a", "external_id": "7", "email": "a@b"}, None, 5, {"id": "b"}]
        first, second = contacts(json.dumps({"data": listed, "conversations": []})).entries
        assert (first.id, first.external_id, first.extra) == ("a", "7", {"email": "a@b"})
        assert second.id == "b"

    @pytest.mark.parametrize(
        "pages",
        [
            *(None, {}, [], "x"),
            {"next": {}},
            *({"next": value} for value in (None, "https://api.intercom.io/?page=2")),
            *({"next": {"starting_after": cursor}} for cursor in (None, 5, "")),
        ],
    )
    def test_without_a_cursor_are_the_last(self, pages: Any) -> None:
        page: JSON = {"conversations": [], "pages": pages}
        assert conversations(json.dumps(page)).starting_after is None

    @pytest.mark.parametrize("listed", [None, {}, {"id": "a"}, "a", 5, [], [None, "a", []]])
    @pytest.mark.parametrize("total", [None, "3", True, 1.0])
    def test_that_are_odd_hold_nothing(self, listed: Any, total: Any) -> None:
        page = json.dumps({"conversations": listed, "data": listed, "total_count": total})
        assert conversations(page) == Page((), None, None)
        assert contacts(page).entries == ()

    @given(st.lists(odd_documents(Conversation) | ANY_JSON, max_size=3), ANY_JSON, ANY_JSON)
    @SLOW_TO_MAKE
    def test_keep_all_of_their_conversations(
        self, entries: list[Any], total: Any, pages: Any
    ) -> None:
        page = {"conversations": entries, "total_count": total, "pages": pages, "more": 1}
        found = conversations(json.dumps(page))
        objects = [entry for entry in entries if is_object(entry)]
        encoded = [encode_conversation(conversation) for conversation in found.entries]
        assert alike(encoded, objects, null_is_absent=True)


class TestAnyDocument:
    @given(documents(Conversation))
    @SLOW_TO_MAKE
    def test_as_promised_takes_the_fast_path_and_encodes_to_plain_json(
        self, document: JSON
    ) -> None:
        usual = fast_path.decode_usual(json.dumps(document), Conversation)
        assert usual == decode(document)
        encoded = encode_conversation(decode(RETRIEVED | document))
        assert json.loads(json.dumps(encoded)) == encoded
        marshal.dumps(encoded)  # takes no heirs of Python's own types

    @given(odd_documents(Conversation) | st.dictionaries(st.text(), ANY_JSON))
    @SLOW_TO_MAKE
    def test_however_odd_decodes_and_round_trips(self, document: JSON) -> None:
        found = decode(document)
        assert isinstance(found.participants, tuple)


def test_preparing_leaves_nothing_to_be_made_while_replies_wait() -> None:
    made: list[Any] = [converter.converter, fast_path._decoder, fast_path._mirror]
    for each in made:
        each.cache_clear()
    prepare()
    misses = [each.cache_info().misses for each in made]
    for document in (RETRIEVED, RETRIEVED | {"mood": "calm", "created_at": 1.5}):
        encode_conversation(decode_conversation(json.dumps(document)))
    assert [each.cache_info().misses for each in made] == misses
