"""The model has every member that Intercom's description and its replies are known to have."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs
import pytest

from intercom_async.model import Conversation, ConversationPage, Id, Identity, IntercomObject
from tests.model.documents import all_kinds, inner_kinds, members

# Paths from a conversation; a name before braces is an object or a list of objects.
REFERENCE = "type id"
CONTACT = "type id external_id"
TAG = "type id name applied_at applied_by{type id}"
AUTHOR = "type id name email from_ai_agent is_ai_answer"
ATTACHMENT = "type name url content_type filesize width height"
EMAIL = "subject message_id history email_address_headers{type email_address name}"
PLAN = "type id name"
ADMIN = """
    type id name email job_title away_mode_enabled away_mode_reassign away_status_reason_id
    has_inbox_seat team_ids avatar team_priority_level{primary_team_ids secondary_team_ids}
    role{type id name}
"""
COMPANY = f"""
    type id name app_id plan{{{PLAN}}} company_id remote_created_at created_at updated_at
    last_request_at size website industry monthly_spend session_count user_count
    custom_attributes tags{{type tags{{type id name}}}}
    segments{{type segments{{type id name created_at updated_at person_type count}}}}
    notes{{type notes{{type id created_at company{{{REFERENCE}}} author{{{ADMIN}}} body}}}}
"""
EVENT = """
    workflow{name} attribute{name} value action{name result}
    event{type result} call_id tags_added tags_removed until custom_until_time
    current_priority previous_priority sla_name sla_definition
    sla_target_type current_sla_status sla_states
"""
PART = f"""
    type id part_type body created_at updated_at notified_at assigned_to{{{REFERENCE}}}
    author{{{AUTHOR}}} attachments{{{ATTACHMENT}}} external_id redacted state tags{{{TAG}}}
    event_details{{{EVENT}}} email_message_metadata{{{EMAIL}}} app_package_code translations
    metadata{{quick_reply_options{{text uuid translations}} quick_reply_uuid}}
"""
RESPONSE_TIME = "team_id team_name response_time"
STATISTICS = f"""
    type time_to_assignment time_to_admin_reply time_to_first_close time_to_last_close
    median_time_to_reply first_contact_reply_at first_assignment_at first_admin_reply_at
    first_close_at last_assignment_at last_assignment_admin_reply_at last_contact_reply_at
    last_admin_reply_at last_close_at last_closed_by_id count_reopens count_assignments
    count_conversation_parts assigned_team_first_response_time{{{RESPONSE_TIME}}}
    assigned_team_first_response_time_in_office_hours{{{RESPONSE_TIME}}}
    handling_time adjusted_handling_time
"""
CONVERSATION = f"""
    type id title created_at updated_at waiting_since snoozed_until open state read priority
    admin_assignee_id team_assignee_id company{{{COMPANY}}} tags{{type tags{{{TAG}}}}}
    contacts{{type contacts{{{CONTACT}}}}} customers{{{CONTACT}}}
    teammates{{type teammates{{{REFERENCE}}} admins{{{REFERENCE}}}}}
    source{{
        type id delivered_as subject body author{{{AUTHOR}}} attachments{{{ATTACHMENT}}} url
        redacted email_message_metadata{{{EMAIL}}} recipients{{type email drop_reason}}
        reply_to{{email name}}
    }}
    custom_attributes
    conversation_rating{{
        rating remark created_at updated_at contact{{{CONTACT}}} teammate{{{REFERENCE}}}
    }}
    first_contact_reply{{created_at type url}} sla_applied{{type sla_name sla_status}}
    statistics{{{STATISTICS}}}
    conversation_parts{{type total_count conversation_parts{{{PART}}}}}
    linked_objects{{type total_count has_more data{{type id category}}}}
    ai_agent_participated
    ai_agent{{
        source_type source_title last_answer_type resolution_state rating rating_remark
        created_at updated_at
        content_sources{{type total_count content_sources{{content_type url title locale}}}}
    }}
    sales_agent_participated sales_agent{{outcome routing_outcome collected_data}}
    ai_topics{{type topics{{type topic_name subtopics{{type id name}}}}}}
    channel{{initial current}} external_references{{type id}}
    monitor_evaluations scorecards topics ticket
"""
IDENTITY = """
    type id name email email_verified job_title away_mode_enabled away_mode_reassign
    has_inbox_seat team_ids avatar role{type id name}
    app{type id_code name region timezone created_at identity_verification secure}
"""


def paths(text: str) -> Iterator[str]:
    """The dotted path of every name in such a text."""
    outer: list[str] = []
    last = ""
    for word in text.replace("{", " { ").replace("}", " } ").split():
        if word == "{":
            outer.append(last)
        elif word == "}":
            outer.pop()
        else:
            last = word
            yield ".".join([*outer, word])


def paths_of(kind: type[IntercomObject]) -> Iterator[str]:
    for name, hint in members(kind).items():
        yield name
        for inner in inner_kinds(hint):
            yield from (f"{name}.{path}" for path in paths_of(inner))


KINDS = sorted(all_kinds(Conversation) | all_kinds(Identity), key=lambda kind: kind.__name__)

SHARED = """
    type id name result email email_address drop_reason applied_at applied_by history
    from_ai_agent is_ai_answer
    away_status_reason_id team_priority_level primary_team_ids secondary_team_ids
"""
"""One class serves for similar objects, so it has one of these too many in some places."""


@pytest.mark.parametrize(("kind", "text"), [(Conversation, CONVERSATION), (Identity, IDENTITY)])
def test_the_model_has_every_known_member_and_no_other(
    kind: type[IntercomObject], text: str
) -> None:
    known, found = set(paths(text)), set(paths_of(kind))
    assert known - found == set()
    assert {path.split(".")[-1] for path in found - known} <= set(paths(SHARED))


@pytest.mark.parametrize("kind", KINDS)
class TestEveryClass:
    def test_needs_no_member_and_has_none_by_default(self, kind: type[IntercomObject]) -> None:
        empty = kind()
        assert all(getattr(empty, name) is None for name in members(kind))
        assert empty.extra == {}

    def test_is_frozen_slotted_hashable_and_compared_by_value(
        self, kind: type[IntercomObject]
    ) -> None:
        first, second = kind(), kind()
        assert first == second != kind(extra={"new": 1})
        assert hash(first) == hash(second)
        assert not hasattr(first, "__dict__")
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(first, next(iter(members(kind))), "x")

    def test_takes_keywords_only(self, kind: type[IntercomObject]) -> None:
        with pytest.raises(TypeError):
            kind({})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    def test_types_ids_and_times_as_such(self, kind: type[IntercomObject]) -> None:
        assert kind.__doc__
        for name, hint in members(kind).items():
            if name == "id" or (name.endswith("_id") and name != "message_id"):
                assert hint == Id | None, name
            if name.endswith(("_at", "_since", "_until")):
                assert hint == datetime | None, name


def test_the_repr_names_only_what_is_there() -> None:
    shown = repr(Conversation(id="1", customers=(), extra={"new": 1}))
    assert shown == "Conversation(extra={'new': 1}, id='1', customers=())"
    assert repr(Conversation()) == "Conversation()"


def test_a_page_is_empty_by_default() -> None:
    page: Any = ConversationPage()
    assert page.conversations == ()
    assert page.total_count is None
    assert page.starting_after is None
