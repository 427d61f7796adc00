"""Conversations in three sizes, as Intercom sends them, and odd ones."""

import json
from typing import Any, Final

from intercom_async.simulator import Workspace, documents

_JSON = dict[str, Any]

BEGAN: Final = 1719492951
_TEXT: Final = (
    "<p>Hello, the invoice of last month shows the old address — could you send it again? "
    "Ordered twice, paid once; see the attachment. “Thanks”!</p>\n"
)
_FILE: Final[_JSON] = {
    "type": "upload",
    "name": "invoice.pdf",
    "url": "https://downloads.example.com/20481/invoice.pdf",
    "content_type": "application/pdf",
    "filesize": 20_481,
    "width": None,
    "height": None,
}
_ADMIN: Final[_JSON] = {"type": "admin", "id": "5017690"}
_TAG: Final[_JSON] = {"type": "tag", "id": "86", "name": "invoice", "applied_by": _ADMIN}


def _conversation(parts: int, every_part: _JSON | None = None, **changes: Any) -> bytes:
    """Return a conversation with so many parts; without any, as a search gives it."""
    workspace = Workspace()
    contacts = [workspace.add_contact(external_id="70"), workspace.add_contact()]
    record = workspace.conversations[workspace.add_conversation(contacts, parts=parts)]
    document = documents.conversation(record, workspace)
    if parts:
        document = documents.retrieved(record, workspace)
        for number, part in enumerate(document["conversation_parts"]["conversation_parts"]):
            part.update(_part(number) | (every_part or {}))
    document["source"] |= {"subject": "Invoice", "body": _TEXT, "author": _person(0)}
    document["tags"]["tags"] = [_TAG | {"applied_at": BEGAN}]
    document["custom_attributes"] = {"Language": "English", "Seats": 9, "Paid": True}
    return _encode(document | changes)


def _person(number: int) -> _JSON:
    return {
        "type": ("user", "admin", "bot", "lead")[number % 4],
        "id": f"667d60d18a68186f43ba{number % 90 + 10}dd",
        "name": f"Person {number}",
        "email": f"person{number}@example.com",
    }


def _part(number: int) -> _JSON:
    return {
        "part_type": ("comment", "note", "assignment", "close")[number % 4],
        "body": _TEXT * (2 + number % 5),
        "assigned_to": _ADMIN if number % 4 == 2 else None,
        "author": _person(number) | {"from_ai_agent": False, "is_ai_answer": False},
        "attachments": [] if number % 3 else [_FILE],
        **dict.fromkeys(("email_message_metadata", "metadata", "app_package_code")),
        "state": "open",
        "tags": [],
        "event_details": {},
    }


def _encode(document: _JSON) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


DETACH_REPLY: Final = _encode({"customers": [{"type": "user", "id": "667d60d18a68186f43bafddd"}]})
USUAL: Final = {
    "small": _conversation(0),
    "20 parts": _conversation(20),
    "500 parts": _conversation(500),
}
_TIME: Final = "2024-06-27T12:55:51Z"
ODD: Final = {
    "small, one unknown member": _conversation(0, sentiment={"score": 0.5}),
    "small, times as text": _conversation(0, created_at=_TIME),
    "20 parts, one odd member": _conversation(20, updated_at=BEGAN + 0.25),
    "20 parts, an unknown member in each": _conversation(20, {"sentiment": "calm"}),
    "500 parts, an unknown member in each": _conversation(500, {"sentiment": "calm"}),
    "500 parts, an odd member in each": _conversation(500, {"updated_at": _TIME, "redacted": "no"}),
}
