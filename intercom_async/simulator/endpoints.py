"""What each call does and answers: from a parsed request to a JSON object. No network."""

import base64
import binascii
import enum
from collections.abc import Collection
from typing import Final, cast

import attrs
import msgspec

from intercom_async.simulator import documents
from intercom_async.simulator.documents import Document
from intercom_async.simulator.requests import Request
from intercom_async.simulator.workspace import NOT_FOUND, RefusedError, Workspace

_CONVERSATIONS_PER_PAGE: Final = 20
_CONTACTS_PER_PAGE: Final = 50
_MAX_PER_PAGE: Final = 150
_MAX_FILTERS: Final = 15
_VERSIONS: Final = frozenset({
    *("Preview", "Unstable"),
    *(f"1.{minor}" for minor in range(5)),
    *(f"2.{minor}" for minor in range(18)),
})  # fmt: skip


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

    def answer(self, request: Request, now: float) -> Document:
        """Do what the request asks for and return the body of its reply.

        Raises:
            RefusedError: the request is refused; nothing was changed.
        """
        if request.headers.get("Intercom-Version", "Preview") not in _VERSIONS:
            message = "The requested version could not be found"
            raise RefusedError(400, "intercom_version_invalid", message)
        _check_accept(request.headers.get("Accept"))
        admins = self.workspace.admins
        match request.method, *request.segments:
            case _, "conversations", *rest:
                return self._conversations(request, rest, now)
            case "POST", "contacts", "search":
                return self._search_contacts(_json_object(request))
            case "GET", "contacts", contact_id:
                return documents.contact(self.workspace.contact(contact_id))
            case "GET", "admins", admin_id:
                if admin_id not in admins:
                    raise RefusedError(404, "admin_not_found", "Admin not found")
                return documents.admin(admins[admin_id])
            case "GET", "me":
                owner = next(iter(admins.values()))
                return documents.me(owner, region=self.region, app_id=self.app_id)
            case _:
                raise RefusedError(*NOT_FOUND)

    def _conversations(self, request: Request, rest: list[str], now: float) -> Document:
        workspace = self.workspace
        match request.method, *rest:
            case "DELETE", conversation_id, "customers", contact_id:
                self._check_admin(_json_object(request))
                workspace.detach(conversation_id, contact_id, now=now)
                return self._participation(conversation_id)
            case "POST", conversation_id, "customers":
                return self._attach(_json_object(request), conversation_id, now)
            case "GET", conversation_id:
                return documents.retrieved(workspace.conversation(conversation_id), workspace)
            case "DELETE", conversation_id:
                workspace.delete_conversation(conversation_id)
                return {"id": conversation_id, "object": "conversation", "deleted": True}
            case "POST", "search":
                return self._search_conversations(_json_object(request))
            case _:
                raise RefusedError(*NOT_FOUND)

    def _attach(self, body: Document, conversation_id: str, now: float) -> Document:
        self._check_admin(body)
        match body.get("customer"):
            case {"intercom_user_id": str(contact_id)}:
                self.workspace.attach(conversation_id, contact_id, now=now)
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
        match body.get("admin_id"):
            case bool() | None | "":
                raise RefusedError(400, "parameter_not_found", "admin_id is missing")
            case str() | int() as admin_id if str(admin_id) in self.workspace.admins:
                pass
            case _:
                # Undocumented: this is the answer of other calls that name an admin.
                raise RefusedError(404, "admin_not_found", "Admin for admin_id not found")

    def _search_conversations(self, body: Document) -> Document:
        workspace = self.workspace
        _, contact_ids = self._asked(body, {"contact_ids"})
        contacts = [workspace.contacts[one] for one in contact_ids if one in workspace.contacts]
        ids = list(dict.fromkeys(one for contact in contacts for one in contact.conversation_ids))
        page, shown = _page(body, len(ids), _CONVERSATIONS_PER_PAGE)
        listed = [
            documents.conversation(workspace.conversations[one], workspace) for one in ids[shown]
        ]
        return page | {"type": "conversation.list", "conversations": listed}

    def _search_contacts(self, body: Document) -> Document:
        field, values = self._asked(body, {"id", "email", "external_id"})
        matches = [
            contact
            for value in dict.fromkeys(values)
            for contact in self.workspace.contacts_with(field, value)
        ]
        page, shown = _page(body, len(matches), _CONTACTS_PER_PAGE)
        return page | {"type": "list", "data": [*map(documents.contact, matches[shown])]}

    def _asked(self, body: Document, fields: Collection[str]) -> tuple[str, list[str]]:
        """Return which values of which field are searched for."""
        match body.get("query"):
            case {"field": str(field), "operator": "=", "value": str(value)} if field in fields:
                return field, [value]
            case {"field": str(field), "operator": "IN", "value": [*values]} if (
                field in fields and field not in self.in_refused and len(values) <= _MAX_FILTERS
            ):
                return field, [str(value) for value in values]
            case _:
                message = (
                    "Only contact_ids (conversations), id, email and external_id (contacts), by = "
                    "or IN"
                )
                raise RefusedError(400, "parameter_invalid", message)


def _check_accept(accept: str | None) -> None:
    if accept is None:
        raise RefusedError(*NOT_FOUND)
    kinds = {kind.partition(";")[0].strip() for kind in accept.split(",")}
    if kinds.isdisjoint({"application/json", "application/*", "*/*"}):
        # The status is documented, a code is not.
        message = "The Accept header must allow application/json"
        raise RefusedError(406, "not_acceptable", message)


def _json_object(request: Request) -> Document:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if request.body and kind != "application/json":
        message = "The Content-Type of a request body is application/json"
        raise RefusedError(400, "bad_request", message)
    try:
        return msgspec.json.decode(request.body or b"{}", type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "The request body is not a JSON object"
        raise RefusedError(400, "parameter_invalid", message) from None


def _page(body: Document, total: int, default_size: int) -> tuple[Document, slice]:
    """Return what describes the page that a search asks for, and which of its results it has.

    The last page has no `next`, and no cursor.
    """
    asked = body.get("pagination")
    pagination = cast("Document", asked) if isinstance(asked, dict) else {}
    size = _page_size(pagination.get("per_page", default_size))
    # The cursor is a position: items that leave the set between two pages shift the rest.
    first = min(_position(pagination.get("starting_after")), total)
    last = first + size
    number = first // size + 1
    pages: Document = {
        "type": "pages",
        "page": number,
        "per_page": size,
        "total_pages": -(-total // size),
    }
    if last < total:
        cursor = base64.urlsafe_b64encode(str(last).encode()).decode()
        pages["next"] = {"page": number + 1, "starting_after": cursor}
    return {"pages": pages, "total_count": total}, slice(first, last)


def _page_size(asked: object) -> int:
    try:
        size = int(str(asked))
    except ValueError:
        size = 0
    if not 1 <= size <= _MAX_PER_PAGE:
        raise RefusedError(400, "invalid_per_page", "per_page is a number from 1 to 150")
    return size


def _position(cursor: object) -> int:
    if cursor is None:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(str(cursor)))
    except (binascii.Error, ValueError):
        position = -1
    if position < 0:
        message = "starting_after is not a cursor of this list"
        raise RefusedError(400, "parameter_invalid", message)
    return position
