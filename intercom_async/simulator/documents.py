"""The JSON objects that replies consist of, shaped as the newest API version shapes them.

They lack the members that are empty in a workspace without ratings, service levels and AI agents.
"""

from typing import Any, Final

from intercom_async.simulator.workspace import Admin, Contact, Conversation, Workspace

Document = dict[str, Any]
"""A JSON object."""

_CREATED_AT: Final = 1_700_000_000
"""Unix seconds; when everything was created."""

_PARTS_SHOWN: Final = 500
"""A retrieved conversation holds at most this many of its parts."""


def admin(record: Admin) -> Document:
    """Return an admin as the admin calls show it."""
    return {
        "type": "admin",
        "id": record.id,
        "name": record.name,
        "email": record.email,
        "has_inbox_seat": True,
        "team_ids": [],
    }


def me(record: Admin, *, region: str, app_id: str) -> Document:
    """Return the admin a token belongs to, with its workspace."""
    app = {
        "type": "app",
        "id_code": app_id,
        "name": "Simulated workspace",
        "created_at": _CREATED_AT,
        "timezone": "Europe/Dublin",
        "region": region,
    }
    return admin(record) | {"email_verified": True, "app": app}


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
        "created_at": _CREATED_AT,
        "updated_at": _CREATED_AT,
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
    first = max(1, record.parts - _PARTS_SHOWN + 1)
    parts = {
        "type": "conversation_part.list",
        "conversation_parts": [_part(record, n) for n in range(first, record.parts + 1)],
        "total_count": record.parts,
    }
    return conversation(record, workspace) | {"conversation_parts": parts}


def conversation(record: Conversation, workspace: Workspace) -> Document:
    """Return a conversation as a search shows it."""
    contacts = [workspace.contacts[contact_id] for contact_id in record.contact_ids]
    return {
        "type": "conversation",
        "id": record.id,
        "title": None,
        "created_at": _CREATED_AT,
        "updated_at": _CREATED_AT,
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
                {"type": "contact", "id": one.id, "external_id": one.external_id}
                for one in contacts
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
        "statistics": {
            "type": "conversation_statistics",
            # The message that began the conversation is counted here and nowhere else.
            "count_conversation_parts": record.parts + 1,
        },
    }


def _author(record: Conversation) -> Document:
    return {"type": "user", "id": record.contact_ids[0], "name": None, "email": ""}


def _part(record: Conversation, number: int) -> Document:
    return {
        "type": "conversation_part",
        "id": f"{record.id}{number:04d}",
        "part_type": "comment",
        "body": f"<p>Part {number}</p>",
        "created_at": _CREATED_AT + number,
        "updated_at": _CREATED_AT + number,
        "notified_at": _CREATED_AT + number,
        "assigned_to": None,
        "author": _author(record),
        "attachments": [],
        "external_id": None,
        "redacted": False,
    }
