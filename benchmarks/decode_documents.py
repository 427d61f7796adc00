"""Conversations in three sizes, as Intercom sends them, and odd ones."""

import json
from typing import Any, Final

JSON = dict[str, Any]

BEGAN: Final = 1719492951
_TEXT: Final = (
    "<p>Hello, the invoice of last month shows the old address — could you send it again? "
    "Ordered twice, paid once; see the attachment. “Thanks”!</p>\n"
)


def _person(number: int) -> JSON:
    kinds = ("user", "admin", "bot", "lead")
    return {
        "type": kinds[number % 4],
        "id": f"667d60d18a68186f43ba{number % 90 + 10}dd",
        "name": f"Person {number}",
        "email": f"person{number}@example.com",
    }


def _nothing(*names: str) -> JSON:
    return dict.fromkeys(names)


def _part(number: int) -> JSON:
    url = f"https://downloads.example.com/{number}/invoice.pdf"
    file = {"type": "upload", "name": "invoice.pdf", "url": url, "content_type": "application/pdf"}
    at = BEGAN + 60 * number
    return {
        "type": "conversation_part",
        "id": str(18_000_000_000 + number),
        "part_type": ("comment", "note", "assignment", "close")[number % 4],
        "body": _TEXT * (2 + number % 5),
        "created_at": at,
        "updated_at": at,
        "notified_at": at,
        "assigned_to": {"type": "admin", "id": "5017690"} if number % 4 == 2 else None,
        "author": _person(number) | {"from_ai_agent": False, "is_ai_answer": False},
        "attachments": []
        if number % 3
        else [file | {"filesize": 20_481} | _nothing("width", "height")],
        "external_id": None,
        "redacted": False,
        **_nothing("email_message_metadata", "metadata"),
        "state": "open",
        "tags": [],
        "event_details": {},
        "app_package_code": None,
    }


_ADMIN: Final = {"type": "admin", "id": "5017690"}
_CONTACT: Final = {"type": "contact", "id": "667d60d18a68186f43bafddd", "external_id": "70"}
_SOURCE: Final[JSON] = {
    "type": "email",
    "id": "403918320",
    "delivered_as": "customer_initiated",
    "subject": "Invoice",
    "body": _TEXT,
    "author": _person(0),
    "attachments": [],
    "url": None,
    "redacted": False,
}
_STATISTICS: Final[JSON] = {
    "type": "conversation_statistics",
    **dict.fromkeys(("time_to_assignment", "time_to_admin_reply", "median_time_to_reply"), 2310),
    **_nothing("time_to_first_close", "time_to_last_close", "first_close_at", "last_close_at"),
    **{f"first_{what}_at": BEGAN for what in ("contact_reply", "assignment", "admin_reply")},
    **{f"last_{what}_at": BEGAN for what in ("contact_reply", "assignment", "admin_reply")},
    "last_assignment_admin_reply_at": BEGAN,
    "last_closed_by_id": None,
    "count_reopens": 0,
    "count_assignments": 1,
}


def conversation(parts: int) -> JSON:
    """Return a conversation with so many parts; without any, as a search gives it."""
    tag = {"type": "tag", "id": "86", "name": "invoice", "applied_at": BEGAN, "applied_by": _ADMIN}
    contacts = [_CONTACT, _CONTACT | {"id": "667d60d18a68186f43bafdde", "external_id": None}]
    document: JSON = {
        "type": "conversation",
        "id": "215473840934085",
        "title": None,
        "created_at": BEGAN,
        "updated_at": BEGAN + 60 * parts,
        **_nothing("waiting_since", "snoozed_until"),
        "open": True,
        "state": "open",
        "read": True,
        "priority": "not_priority",
        "admin_assignee_id": 5017690,
        "team_assignee_id": 0,
        "tags": {"type": "tag.list", "tags": [tag]},
        "contacts": {"type": "contact.list", "contacts": contacts},
        "teammates": {"type": "admin.list", "admins": [_ADMIN]},
        "source": _SOURCE,
        "custom_attributes": {"Language": "English", "Seats": 9, "Paid": True},
        "conversation_rating": None,
        "first_contact_reply": {"created_at": BEGAN, "type": "conversation", "url": None},
        "sla_applied": None,
        "statistics": _STATISTICS | {"count_conversation_parts": parts},
        "linked_objects": {"type": "list", "total_count": 0, "has_more": False, "data": []},
        "ai_agent_participated": False,
        "ai_agent": None,
    }
    if parts:
        document["conversation_parts"] = {
            "type": "conversation_part.list",
            "conversation_parts": [_part(number) for number in range(parts)],
            "total_count": parts,
        }
    return document


def _each_part(document: JSON, changes: JSON) -> JSON:
    """Change every part."""
    for part in document["conversation_parts"]["conversation_parts"]:
        part.update(changes)
    return document


def encode(document: JSON) -> bytes:
    """Return a document as Intercom's server would write it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


DETACH_REPLY: Final = encode({"customers": [{"type": "user", "id": "667d60d18a68186f43bafddd"}]})

USUAL: Final = {
    "small": encode(conversation(0)),
    "20 parts": encode(conversation(20)),
    "500 parts": encode(conversation(500)),
}

ODD: Final = {
    "small, one unknown member": encode(conversation(0) | {"sentiment": {"score": 0.5}}),
    "small, times as text": encode(conversation(0) | {"created_at": "2024-06-27T12:55:51Z"}),
    "20 parts, one odd member": encode(conversation(20) | {"updated_at": float(BEGAN) + 0.25}),
    "20 parts, an unknown member in each": encode(
        _each_part(conversation(20), {"sentiment": "calm"})
    ),
    "500 parts, an unknown member in each": encode(
        _each_part(conversation(500), {"sentiment": "calm"})
    ),
    "500 parts, an odd member in each": encode(
        _each_part(conversation(500), {"updated_at": "2024-06-27T12:55:51Z", "redacted": "no"})
    ),
}
