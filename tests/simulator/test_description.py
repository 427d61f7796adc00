"""The simulator's answers against what Intercom's official description says of their members.

A member is described by its type (`?`: or null) and, behind a colon, the values it may have. Where
the live API is known to differ (assignees of 0, `admins` in `teammates`, `customers` in the answer
to a detach) it is described as it is.
"""

from typing import Any

import pytest

from tests.simulator.asking import Ask

Described = dict[str, Any]

# fmt: off
AUTHOR: Described = {"type": "str: user admin", "id": "str", "name": "str?", "email": "str"}
ADMIN: Described = {
    "type": "str: admin", "id": "str", "name": "str", "email": "str", "team_ids": ["int"],
    **dict.fromkeys(("away_mode_enabled", "away_mode_reassign", "has_inbox_seat"), "bool"),
}
APP: Described = {
    "type": "str: app", "id_code": "str", "name": "str", "created_at": "int", "secure": "bool",
    "identity_verification": "bool", "timezone": "str", "region": "str: US EU AU",
}
ME: Described = ADMIN | {"email_verified": "bool", "app": APP}
CONTACT: Described = {
    "type": "str: contact", "id": "str", "workspace_id": "str", "external_id": "str?",
    "role": "str: user lead", "email": "str?", "name": "str?", "created_at": "int",
    "updated_at": "int", "unsubscribed_from_emails": "bool", "custom_attributes": {},
}
REFERENCE: Described = {"type": "str: contact", "id": "str", "external_id": "str?"}
SOURCE: Described = {
    "type": "str: conversation email push sms", "id": "str", "subject": "str", "body": "str",
    "delivered_as": "str: customer_initiated operator_initiated automated admin_initiated",
    "url": "str?", "redacted": "bool", "author": AUTHOR, "attachments": [],
}
STATISTICS: Described = {
    "type": "str: conversation_statistics",
    **dict.fromkeys(("count_reopens", "count_assignments", "count_conversation_parts"), "int"),
    **dict.fromkeys(("time_to_assignment", "time_to_admin_reply", "median_time_to_reply"), "int?"),
    **dict.fromkeys(("time_to_first_close", "time_to_last_close", "last_closed_by_id"), "int?"),
    **dict.fromkeys(("first_contact_reply_at", "last_contact_reply_at"), "int?"),
    **{f"{n}_{what}_at": "int?" for n in ("first", "last") for what in ("assignment", "close")},
    **dict.fromkeys(("first_admin_reply_at", "last_admin_reply_at"), "int?"),
    "last_assignment_admin_reply_at": "int?",
}
LINKED: Described = {"type": "str: list", "total_count": "int", "has_more": "bool", "data": []}
CONVERSATION: Described = {
    "type": "str: conversation", "id": "str", "title": "str?", "created_at": "int",
    "updated_at": "int", "waiting_since": "int?", "snoozed_until": "int?", "open": "bool",
    "state": "str: open closed snoozed", "read": "bool", "company": "object?",
    "priority": "str: none low medium high urgent",
    "admin_assignee_id": "int", "team_assignee_id": "int",
    "tags": {"type": "str: tag.list", "tags": []},
    "contacts": {"type": "str: contact.list", "contacts": [REFERENCE]},
    "teammates": {"type": "str: admin.list", "admins": []},
    "source": SOURCE, "custom_attributes": {}, "conversation_rating": "object?",
    "first_contact_reply": "object?", "sla_applied": "object?", "statistics": STATISTICS,
    "linked_objects": LINKED, "ai_agent_participated": "bool", "ai_agent": "object?",
}
PART: Described = {
    "type": "str: conversation_part", "id": "str", "part_type": "str", "body": "str?",
    "created_at": "int", "updated_at": "int", "notified_at": "int", "assigned_to": "object?",
    "author": AUTHOR, "attachments": [], "external_id": "str?", "redacted": "bool",
}
PARTS: Described = {
    "type": "str: conversation_part.list", "total_count": "int", "conversation_parts": [PART],
}
RETRIEVED: Described = CONVERSATION | {"conversation_parts": PARTS}
PARTICIPANTS: Described = {"customers": [{"type": "str: user lead", "id": "str"}]}
ERROR: Described = {
    "type": "str: error.list", "request_id": "str?",
    "errors": [{"code": "str", "message": "str"}],
}
PAGES: Described = {
    "type": "str: pages", "page": "int", "per_page": "int", "total_pages": "int",
    "next": {"page": "int", "starting_after": "str"},
}
PAGE: Described = {"pages": PAGES, "total_count": "int"}
LISTED: Described = PAGE | {"type": "str: conversation.list", "conversations": [CONVERSATION]}
FOUND: Described = PAGE | {"type": "str: list", "data": [CONTACT]}
# fmt: on

BY_CONTACT = {"query": {"field": "contact_ids", "operator": "=", "value": "anna"}}
BY_ADDRESS = {"query": {"field": "email", "operator": "=", "value": "a@b.example"}}
FIRST: Described = {"pagination": {"per_page": 1}}
DETACH: Described = {"admin_id": "5017690"}
ATTACH: Described = DETACH | {"customer": {"intercom_user_id": "carl"}}
CASES: dict[str, tuple[str, str, Described | None, Described]] = {
    "detach": ("DELETE", "/conversations/1/customers/anna", DETACH, PARTICIPANTS),
    "attach": ("POST", "/conversations/1/customers", ATTACH, PARTICIPANTS),
    "retrieve": ("GET", "/conversations/1", None, RETRIEVED),
    "search": ("POST", "/conversations/search", BY_CONTACT | FIRST, LISTED),
    "find contacts": ("POST", "/contacts/search", BY_ADDRESS | FIRST, FOUND),
    "contact": ("GET", "/contacts/anna", None, CONTACT),
    "admin": ("GET", "/admins/5017690", None, ADMIN),
    "me": ("GET", "/me", None, ME),
    "an error": ("GET", "/conversations/none", None, ERROR),
}
KINDS = {bool: "bool", int: "int", str: "str", dict: "object"}


def check(value: Any, described: str | Described | list[Any], name: str = "") -> None:
    if isinstance(described, dict):
        assert set(value) == set(described), name
        for inner, member in value.items():
            check(member, described[inner], f"{name}.{inner}")
    elif isinstance(described, list):
        elements: list[Any] = value
        assert type(value) is list, name
        for element in elements:
            check(element, described[0], name)
    else:
        kind, _, values = described.partition(": ")
        if value is None:
            assert kind.endswith("?"), name
        else:
            assert KINDS[type(value)] == kind.rstrip("?"), name
            assert not values or value in values.split(), name


@pytest.mark.parametrize(("method", "path", "body", "described"), CASES.values(), ids=CASES)
async def test_an_answer_has_the_described_members_and_no_other(
    method: str, path: str, body: Any, described: Described, ask: Ask
) -> None:
    workspace = ask.sim.workspace
    for name in ("anna", "bert", "carl"):
        workspace.add_contact(email="a@b.example", contact_id=name)
    for number in "12":
        workspace.add_conversation(["anna", "bert"], conversation_id=number, parts=2)
    answer = await ask(method, path, body)
    check(answer.json, described)
