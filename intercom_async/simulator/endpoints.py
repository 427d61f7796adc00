"""What each call does and answers: from a parsed request to a JSON object. No network."""

import base64
import binascii
import enum
import itertools
from collections.abc import Callable, Collection
from typing import Final, TypeVar, cast

import attrs
import msgspec

from intercom_async.simulator import documents
from intercom_async.simulator.documents import Document
from intercom_async.simulator.refusals import Refusal, RefusedError
from intercom_async.simulator.requests import Request
from intercom_async.simulator.workspace import Workspace

_T = TypeVar("_T")

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
            raise RefusedError(Refusal.VERSION_UNKNOWN)
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
                    raise RefusedError(Refusal.ADMIN_NOT_FOUND)
                return documents.admin(admins[admin_id])
            case "GET", "me":
                owner = next(iter(admins.values()))
                return documents.me(owner, region=self.region, app_id=self.app_id)
            case _:
                raise RefusedError(Refusal.RESOURCE_NOT_FOUND)

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
                raise RefusedError(Refusal.RESOURCE_NOT_FOUND)

    def _attach(self, body: Document, conversation_id: str, now: float) -> Document:
        self._check_admin(body)
        match body.get("customer"):
            case {"intercom_user_id": str(contact_id)}:
                self.workspace.attach(conversation_id, contact_id, now=now)
                return self._participation(conversation_id)
            case _:
                raise RefusedError(Refusal.CUSTOMER_MISSING)

    def _participation(self, conversation_id: str) -> Document:
        record = self.workspace.conversations[conversation_id]
        if self.reply_form is ReplyForm.CONVERSATION:
            return documents.retrieved(record, self.workspace)
        return documents.participants(record, self.workspace)

    def _check_admin(self, body: Document) -> None:
        # Published examples send the id as text and as a number.
        match body.get("admin_id"):
            case bool() | None | "":
                raise RefusedError(Refusal.ADMIN_ID_MISSING)
            case str() | int() as admin_id if str(admin_id) in self.workspace.admins:
                pass
            case _:
                raise RefusedError(Refusal.ACTING_ADMIN_NOT_FOUND)

    def _search_conversations(self, body: Document) -> Document:
        workspace = self.workspace
        _, contact_ids = self._asked(body, {"contact_ids"})
        contacts = [workspace.contacts[one] for one in contact_ids if one in workspace.contacts]
        ids = dict.fromkeys(id_ for contact in contacts for id_ in contact.conversation_ids)
        matches = [workspace.conversations[id_] for id_ in ids]
        return {"type": "conversation.list"} | _page(
            "conversations",
            matches,
            lambda record: documents.conversation(record, workspace),
            body,
            _CONVERSATIONS_PER_PAGE,
        )

    def _search_contacts(self, body: Document) -> Document:
        field, values = self._asked(body, {"id", "email", "external_id"})
        matches = [
            contact
            for value in dict.fromkeys(values)
            for contact in self.workspace.contacts_with(field, value)
        ]
        return {"type": "list"} | _page(
            "data", matches, documents.contact, body, _CONTACTS_PER_PAGE
        )

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
                raise RefusedError(Refusal.QUERY_UNSUPPORTED)


def _check_accept(accept: str | None) -> None:
    if accept is None:
        raise RefusedError(Refusal.RESOURCE_NOT_FOUND)
    kinds = {kind.partition(";")[0].strip() for kind in accept.split(",")}
    if kinds.isdisjoint({"application/json", "application/*", "*/*"}):
        raise RefusedError(Refusal.NOT_ACCEPTABLE)


def _json_object(request: Request) -> Document:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if request.body and kind != "application/json":
        raise RefusedError(Refusal.NOT_JSON)
    try:
        return msgspec.json.decode(request.body or b"{}", type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedError(Refusal.MALFORMED_JSON) from None


def _page(
    name: str,
    matches: Collection[_T],
    show: Callable[[_T], Document],
    body: Document,
    default_size: int,
) -> Document:
    """Return the page that a search asks for; the last page has no `next`, and no cursor."""
    asked = body.get("pagination")
    pagination = cast("Document", asked) if isinstance(asked, dict) else {}
    size = _page_size(pagination.get("per_page", default_size))
    # The cursor is a position: items that leave the set between two pages shift the rest.
    first = min(_position(pagination.get("starting_after")), len(matches))
    last = first + size
    number = first // size + 1
    pages: Document = {
        "type": "pages",
        "page": number,
        "per_page": size,
        "total_pages": -(-len(matches) // size),
    }
    if last < len(matches):
        cursor = base64.urlsafe_b64encode(str(last).encode()).decode()
        pages["next"] = {"page": number + 1, "starting_after": cursor}
    items = [show(item) for item in itertools.islice(matches, first, last)]
    return {"pages": pages, "total_count": len(matches), name: items}


def _page_size(asked: object) -> int:
    try:
        size = int(str(asked))
    except ValueError:
        size = 0
    if not 1 <= size <= _MAX_PER_PAGE:
        raise RefusedError(Refusal.PER_PAGE_INVALID)
    return size


def _position(cursor: object) -> int:
    if cursor is None:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(str(cursor)))
    except (binascii.Error, ValueError):
        position = -1
    if position < 0:
        raise RefusedError(Refusal.CURSOR_INVALID)
    return position
