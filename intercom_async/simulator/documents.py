"""The JSON objects that replies consist of, shaped as the newest API version shapes them."""

from typing import Any, Final

from intercom_async.simulator.workspace import (
    CREATED_AT,
    Admin,
    Contact,
    Conversation,
    Workspace,
)

Document = dict[str, Any]
"""A JSON object."""

PARTS_SHOWN: Final = 500
"""A retrieved conversation holds at most this many of its parts."""

_UNKNOWN_STATISTICS: Final = (
    *(f"time_to_{what}" for what in ("assignment", "admin_reply", "first_close", "last_close")),
    *("median_time_to_reply", "first_assignment_at", "first_admin_reply_at", "first_close_at"),
    *("last_assignment_at", "last_assignment_admin_reply_at", "last_admin_reply_at"),
    *("last_close_at", "last_closed_by_id"),
)


def admin(record: Admin) -> Document:
    """Return an admin as the admin calls show it."""
    return {
        "type": "admin",
        "id": record.id,
        "name": record.name,
        "email": record.email,
        "away_mode_enabled": False,
        "away_mode_reassign": False,
        "has_inbox_seat": True,
        "team_ids": [],
    }


def me(record: Admin, *, region: str, app_id: str) -> Document:
    """Return the admin a token belongs to, with its workspace."""
    return admin(record) | {
        "email_verified": True,
        "app": {
            "type": "app",
            "id_code": app_id,
            "name": "Simulated workspace",
            "created_at": CREATED_AT,
            "secure": False,
            "identity_verification": False,
            "timezone": "Europe/Dublin",
            "region": region,
        },
    }


def contact(record: Contact) -> Document:
    """Return a contact as the contact calls show it."""
    return {
        "type": "contact",
        "id": record.id,
        "workspace_id": "simulator",
        "external_id": record.external_id,
        "role": record.role,
        "email": record.email,
        "name": None,
        "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
        "unsubscribed_from_emails": False,
        "custom_attributes": {},
    }


def participants(record: Conversation, workspace: Workspace) -> Document:
    """Return what the live attach and detach calls answer: the contacts still attached."""
    return {
        "customers": [
            {"type": workspace.contacts[contact_id].role, "id": contact_id}
            for contact_id in record.contact_ids
        ]
    }


def retrieved(record: Conversation, workspace: Workspace) -> Document:
    """Return a conversation with its newest parts."""
    author = _author(record)
    first = max(1, record.parts - PARTS_SHOWN + 1)
    return conversation(record, workspace) | {
        "conversation_parts": {
            "type": "conversation_part.list",
            "conversation_parts": [
                _part(record, number, author) for number in range(first, record.parts + 1)
            ],
            "total_count": record.parts,
        }
    }


def conversation(record: Conversation, workspace: Workspace) -> Document:
    """Return a conversation as a search shows it."""
    return {
        "type": "conversation",
        "id": record.id,
        "title": None,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "waiting_since": None,
        "snoozed_until": None,
        "open": True,
        "state": "open",
        "read": True,
        "priority": "none",
        "admin_assignee_id": 0,
        "team_assignee_id": 0,
        "company": None,
        "tags": {"type": "tag.list", "tags": []},
        "contacts": {
            "type": "contact.list",
            "contacts": [
                {
                    "type": "contact",
                    "id": contact_id,
                    "external_id": workspace.contacts[contact_id].external_id,
                }
                for contact_id in record.contact_ids
            ],
        },
        "teammates": {"type": "admin.list", "admins": []},
        "source": {
            "type": "conversation",
            "id": f"{record.id}0",
            "delivered_as": "customer_initiated",
            "subject": "",
            "body": "<p>Hello</p>",
            "author": _author(record),
            "attachments": [],
            "url": None,
            "redacted": False,
        },
        "custom_attributes": {},
        "conversation_rating": None,
        "first_contact_reply": None,
        "sla_applied": None,
        "statistics": {
            "type": "conversation_statistics",
            **dict.fromkeys(_UNKNOWN_STATISTICS),
            "first_contact_reply_at": record.created_at,
            "last_contact_reply_at": record.created_at,
            "count_reopens": 0,
            "count_assignments": 0,
            # The message that began the conversation is counted here and nowhere else.
            "count_conversation_parts": record.parts + 1,
        },
        "linked_objects": {"type": "list", "total_count": 0, "has_more": False, "data": []},
        "ai_agent_participated": False,
        "ai_agent": None,
    }


def _author(record: Conversation) -> Document:
    return {"type": "user", "id": record.contact_ids[0], "name": None, "email": ""}


def _part(record: Conversation, number: int, author: Document) -> Document:
    return {
        "type": "conversation_part",
        "id": f"{record.id}{number:04d}",
        "part_type": "comment",
        "body": f"<p>Part {number}</p>",
        "created_at": record.created_at + number,
        "updated_at": record.created_at + number,
        "notified_at": record.created_at + number,
        "assigned_to": None,
        "author": author,
        "attachments": [],
        "external_id": None,
        "redacted": False,
    }
