"""The JSON objects that replies consist of, shaped as the newest API version shapes them."""

from collections.abc import Sequence
from typing import Any

from intercom_async.simulator.workspace import (
    CREATED_AT,
    Admin,
    Contact,
    Conversation,
    Workspace,
)

Document = dict[str, Any]
"""A JSON object."""

PARTS_SHOWN = 500
"""A retrieved conversation holds at most this many of its parts."""


def error_list(code: str, message: str, request_id: str) -> Document:
    """Return the body of an error reply."""
    return {
        "type": "error.list",
        "request_id": request_id,
        "errors": [{"code": code, "message": message}],
    }


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


def conversation(record: Conversation, workspace: Workspace, *, with_parts: bool) -> Document:
    """Return a conversation.

    Args:
        record: which one.
        workspace: where its contacts are.
        with_parts: a retrieval shows the parts, a list does not.
    """
    document: Document = {
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
        "source": _source(record),
        "custom_attributes": {},
        "conversation_rating": None,
        "first_contact_reply": None,
        "sla_applied": None,
        "statistics": _statistics(record),
        "linked_objects": {"type": "list", "total_count": 0, "has_more": False, "data": []},
        "ai_agent_participated": False,
        "ai_agent": None,
    }
    if with_parts:
        document["conversation_parts"] = {
            "type": "conversation_part.list",
            "conversation_parts": _parts(record),
            "total_count": record.parts,
        }
    return document


def deleted_conversation(conversation_id: str) -> Document:
    """Return the receipt of a deleted conversation."""
    return {"id": conversation_id, "object": "conversation", "deleted": True}


def page(
    kind: str,
    items_name: str,
    items: Sequence[Document],
    *,
    total: int,
    number: int,
    per_page: int,
    cursor: str | None,
) -> Document:
    """Return one page of a list.

    Args:
        kind: the `type` of the list.
        items_name: the member that holds the items.
        items: the items of this page.
        total: items on all pages.
        number: of this page, from one.
        per_page: items on a full page.
        cursor: `starting_after` of the next page; None on the last page, which has no `next`.
    """
    pages: Document = {
        "type": "pages",
        "page": number,
        "per_page": per_page,
        "total_pages": -(-total // per_page),
    }
    if cursor is not None:
        pages["next"] = {"page": number + 1, "starting_after": cursor}
    return {"type": kind, "pages": pages, "total_count": total, items_name: list(items)}


def _source(record: Conversation) -> Document:
    return {
        "type": "conversation",
        "id": f"{record.id}0",
        "delivered_as": "customer_initiated",
        "subject": "",
        "body": "<p>Hello</p>",
        "author": _author(record),
        "attachments": [],
        "url": None,
        "redacted": False,
    }


def _author(record: Conversation) -> Document:
    return {"type": "user", "id": record.contact_ids[0], "name": None, "email": ""}


def _statistics(record: Conversation) -> Document:
    return {
        "type": "conversation_statistics",
        "time_to_assignment": None,
        "time_to_admin_reply": None,
        "time_to_first_close": None,
        "time_to_last_close": None,
        "median_time_to_reply": None,
        "first_contact_reply_at": record.created_at,
        "first_assignment_at": None,
        "first_admin_reply_at": None,
        "first_close_at": None,
        "last_assignment_at": None,
        "last_assignment_admin_reply_at": None,
        "last_contact_reply_at": record.created_at,
        "last_admin_reply_at": None,
        "last_close_at": None,
        "last_closed_by_id": None,
        "count_reopens": 0,
        "count_assignments": 0,
        # The message that began the conversation is counted here and nowhere else.
        "count_conversation_parts": record.parts + 1,
    }


def _parts(record: Conversation) -> list[Document]:
    author = _author(record)
    return [
        {
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
        for number in range(max(1, record.parts - PARTS_SHOWN + 1), record.parts + 1)
    ]
