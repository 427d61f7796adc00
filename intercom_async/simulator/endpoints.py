"""What each call does and answers: from a parsed request to a JSON object. No network."""

import enum
from typing import Any, Final

import attrs
import msgspec

from intercom_async.simulator import documents
from intercom_async.simulator.documents import Document
from intercom_async.simulator.requests import Request
from intercom_async.simulator.workspace import NOT_FOUND, RefusedError, Workspace

_MAX_PER_PAGE: Final = 150
_MAX_FILTERS: Final = 15


class ReplyForm(enum.Enum):
    """How attach and detach are answered."""

    PARTICIPANTS = "participants"
    """As the live API does: `{"customers": [...]}`, the contacts still attached."""

    CONVERSATION = "conversation"
    """As the published description says: the whole conversation."""


@attrs.frozen(kw_only=True)
class Endpoints:
    """The calls of the API over one workspace."""

    workspace: Workspace
    reply_form: ReplyForm
    region: str
    app_id: str
    in_refused: frozenset[str]

    def answer(self, request: Request) -> Document:  # noqa: C901, PLR0911  a table
        """Do what the request asks for and return the body of its reply.

        Raises:
            RefusedError: the request is refused; nothing was changed.
        """
        workspace = self.workspace
        match request.method, *request.segments:
            case "DELETE", "conversations", conversation_id, "customers", contact_id:
                self._check_admin(_json_object(request))
                workspace.detach(conversation_id, contact_id)
                return self._participation(conversation_id)
            case "POST", "conversations", conversation_id, "customers":
                return self._attach(_json_object(request), conversation_id)
            case "POST", "conversations", "search":
                return self._search_conversations(_json_object(request))
            case "GET", "conversations", conversation_id:
                return documents.retrieved(workspace.conversation(conversation_id), workspace)
            case "DELETE", "conversations", conversation_id:
                workspace.delete_conversation(conversation_id)
                return {"id": conversation_id, "object": "conversation", "deleted": True}
            case "POST", "contacts", "search":
                return self._search_contacts(_json_object(request))
            case "GET", "contacts", contact_id:
                return documents.contact(workspace.contact(contact_id))
            case "GET", "admins", admin_id:
                if admin_id not in workspace.admins:
                    raise RefusedError(404, "admin_not_found", "Admin not found")
                return documents.admin(workspace.admins[admin_id])
            case "GET", "me":
                owner = next(iter(workspace.admins.values()))
                return documents.me(owner, region=self.region, app_id=self.app_id)
            case _:
                raise RefusedError(*NOT_FOUND)

    def _attach(self, body: Document, conversation_id: str) -> Document:
        self._check_admin(body)
        match body.get("customer"):
            case {"intercom_user_id": str(contact_id)}:
                self.workspace.attach(conversation_id, contact_id)
                return self._participation(conversation_id)
            case _:
                message = "customer needs an intercom_user_id"
                raise RefusedError(400, "parameter_not_found", message)

    def _participation(self, conversation_id: str) -> Document:
        record = self.workspace.conversations[conversation_id]
        if self.reply_form is ReplyForm.CONVERSATION:
            return documents.retrieved(record, self.workspace)
        return documents.participants(record, self.workspace)

    def _check_admin(self, body: Document) -> None:
        # Published examples send the id as text and as a number.
        admin_id = str(body.get("admin_id") or "")
        if not admin_id:
            raise RefusedError(400, "parameter_not_found", "admin_id is missing")
        if admin_id not in self.workspace.admins:
            # Undocumented: this is the answer of other calls that name an admin.
            raise RefusedError(404, "admin_not_found", "Admin for admin_id not found")

    def _search_conversations(self, body: Document) -> Document:
        _, contact_ids = self._asked(body, {"contact_ids"})
        page, found = _page(body, self.workspace.conversations_of(contact_ids), default_size=20)
        listed = [documents.conversation(one, self.workspace) for one in found]
        return page | {"type": "conversation.list", "conversations": listed}

    def _search_contacts(self, body: Document) -> Document:
        field, values = self._asked(body, {"id", "email", "external_id"})
        page, found = _page(body, self.workspace.contacts_with(field, values), default_size=50)
        return page | {"type": "list", "data": [*map(documents.contact, found)]}

    def _asked(self, body: Document, fields: set[str]) -> tuple[str, list[str]]:
        match body.get("query"):
            case {"field": str(field), "operator": "=", "value": str(value)} if field in fields:
                return field, [value]
            case {"field": str(field), "operator": "IN", "value": [*values]} if (
                field in fields - self.in_refused and len(values) <= _MAX_FILTERS
            ):
                return field, [str(value) for value in values]
            case _:
                message = f"Only {', '.join(sorted(fields))}, by = or IN"
                raise RefusedError(400, "parameter_invalid", message)


def _json_object(request: Request) -> Document:
    try:
        return msgspec.json.decode(request.body or b"{}", type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "The request body is not a JSON object"
        raise RefusedError(400, "parameter_invalid", message) from None


def _page(body: Document, found: list[Any], *, default_size: int) -> tuple[Document, list[Any]]:
    """Cut out the page that a search asks for; the last one has no `next`, and no cursor."""
    asked: Document = body.get("pagination") or {}
    size, after = asked.get("per_page", default_size), asked.get("starting_after") or "0"
    if not isinstance(size, int) or not 1 <= size <= _MAX_PER_PAGE:
        raise RefusedError(400, "invalid_per_page", "per_page is a number from 1 to 150")
    if not isinstance(after, str) or not after.isdecimal():
        message = "starting_after is not a cursor of this list"
        raise RefusedError(400, "parameter_invalid", message)
    first, last = int(after), int(after) + size
    number = first // size + 1
    pages: Document = {
        "type": "pages",
        "page": number,
        "per_page": size,
        "total_pages": -(-len(found) // size),
    }
    if last < len(found):
        pages["next"] = {"page": number + 1, "starting_after": str(last)}
    return {"pages": pages, "total_count": len(found)}, found[first:last]
