"""What each call does and answers: from a parsed request to a JSON object. No network."""

import base64
import binascii
import enum
import itertools
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs, unquote

import attrs
import msgspec

from intercom_async.simulator import documents
from intercom_async.simulator.documents import Document
from intercom_async.simulator.refusals import Refusal, RefusedError
from intercom_async.simulator.workspace import Contact, Workspace

T = TypeVar("T")

CONVERSATIONS_PER_PAGE: Final = 20
CONTACTS_PER_PAGE: Final = 50
MAX_PER_PAGE: Final = 150
MAX_FILTERS: Final = 15

PREVIEWS: Final = frozenset({"Preview", "Unstable"})
VERSIONS: Final = PREVIEWS | {
    *(f"1.{minor}" for minor in range(5)),
    *(f"2.{minor}" for minor in range(18)),
}
"""Every value of the Intercom-Version header that the simulator knows."""


class ReplyForm(enum.Enum):
    """How attach and detach are answered."""

    PARTICIPANTS = "participants"
    """As the live API does: `{"customers": [...]}`, the contacts still attached."""

    CONVERSATION = "conversation"
    """As the published description says: the whole conversation."""


@attrs.frozen(kw_only=True)
class Call:
    """One request to the API: its path split by `segments_of`, its query still encoded."""

    method: str
    segments: tuple[str, ...]
    query: str = ""
    version: str = "Preview"
    content_type: str = "application/json"
    body: bytes = b""
    now: float = 0.0


def segments_of(path: str) -> tuple[str, ...]:
    """Split a path, decoding each segment on its own, so that `%2F` stays inside an id.

    Dot segments are resolved and empty ones dropped, as web servers in front of an application
    do: an id of `..` that was not refused earlier reaches another resource.
    """
    segments: list[str] = []
    for raw in path.split("/"):
        segment = unquote(raw)
        if segment == "..":
            del segments[-1:]
        elif segment not in {"", "."}:
            segments.append(segment)
    return tuple(segments)


@attrs.frozen(kw_only=True)
class Endpoints:
    """The calls of the API over one workspace."""

    workspace: Workspace
    reply_form: ReplyForm = ReplyForm.PARTICIPANTS
    unknown_admin: Refusal = Refusal.ACTING_ADMIN_NOT_FOUND
    region: str = "US"
    app_id: str = "simulator"
    in_refused: frozenset[str] = frozenset()

    def answer(self, call: Call) -> Document:
        """Do what the call asks for and return the body of its reply.

        Raises:
            RefusedError: the call is refused; nothing was changed.
        """
        match call.segments:
            case "conversations", *rest:
                return self._conversations(call, rest)
            case "contacts", *rest:
                return self._contacts(call, rest)
            case "admins" | "me" as kind, *rest:
                return self._admins(call, [kind, *rest])
            case _:
                raise RefusedError(Refusal.RESOURCE_NOT_FOUND)

    def _conversations(self, call: Call, rest: list[str]) -> Document:
        match call.method, *rest:
            case "DELETE", conversation_id, "customers", contact_id:
                return self._detach(call, conversation_id, contact_id)
            case "POST", conversation_id, "customers":
                return self._attach(call, conversation_id)
            case "GET", conversation_id:
                return self._retrieve(conversation_id)
            case "DELETE", conversation_id:
                self.workspace.delete_conversation(conversation_id)
                return documents.deleted_conversation(conversation_id)
            case ("GET",):
                return self._list_conversations(call)
            case "POST", "search":
                return self._search_conversations(call)
            case _:
                raise RefusedError(Refusal.RESOURCE_NOT_FOUND)

    def _contacts(self, call: Call, rest: list[str]) -> Document:
        match call.method, *rest:
            case "POST", "search":
                return self._search_contacts(call)
            case "GET", "find_by_external_id", external_id:
                return self._find_by_external_id(call, external_id)
            case "GET", contact_id:
                return documents.contact(self.workspace.contact(contact_id))
            case _:
                raise RefusedError(Refusal.RESOURCE_NOT_FOUND)

    def _admins(self, call: Call, segments: list[str]) -> Document:
        admins = self.workspace.admins
        match call.method, *segments:
            case "GET", "admins":
                everybody = [documents.admin(record) for record in admins.values()]
                return {"type": "admin.list", "admins": everybody}
            case "GET", "admins", admin_id:
                return documents.admin(_found(admins.get(admin_id), Refusal.ADMIN_NOT_FOUND))
            case "GET", "me":
                owner = next(iter(admins.values()))
                return documents.me(owner, region=self.region, app_id=self.app_id)
            case _:
                raise RefusedError(Refusal.RESOURCE_NOT_FOUND)

    def _retrieve(self, conversation_id: str) -> Document:
        record = self.workspace.conversation(conversation_id)
        return documents.conversation(record, self.workspace, with_parts=True)

    def _detach(self, call: Call, conversation_id: str, contact_id: str) -> Document:
        self._check_admin(_json_object(call))
        self.workspace.detach(conversation_id, contact_id, now=call.now)
        return self._participation(conversation_id)

    def _attach(self, call: Call, conversation_id: str) -> Document:
        body = _json_object(call)
        self._check_admin(body)
        self.workspace.conversation(conversation_id)
        contact_id = self._named_customer(body.get("customer"))
        self.workspace.attach(conversation_id, contact_id, now=call.now)
        return self._participation(conversation_id)

    def _participation(self, conversation_id: str) -> Document:
        if self.reply_form is ReplyForm.CONVERSATION:
            return self._retrieve(conversation_id)
        return documents.participants(self.workspace.conversations[conversation_id], self.workspace)

    def _check_admin(self, body: Document) -> None:
        # Published examples send the id as text and as a number.
        match body.get("admin_id"):
            case bool() | None | "":
                raise RefusedError(Refusal.ADMIN_ID_MISSING)
            case str() | int() as admin_id if str(admin_id) in self.workspace.admins:
                pass
            case _:
                raise RefusedError(self.unknown_admin)

    def _named_customer(self, customer: object) -> str:
        workspace = self.workspace
        match customer:
            case {"intercom_user_id": str(contact_id)}:
                return contact_id
            case {"user_id": str(external_id)}:
                known = workspace.contacts_with_external_id(external_id)
                return _found(next(iter(known), None), Refusal.RESOURCE_NOT_FOUND).id
            case {"email": str(email)}:
                known = workspace.contacts_with_email(email)
                return known[0].id if known else workspace.add_contact(email=email, role="lead")
            case _:
                raise RefusedError(Refusal.CUSTOMER_MISSING)

    def _list_conversations(self, call: Call) -> Document:
        query = parse_qs(call.query)
        return self._conversation_page(
            self.workspace.conversations,
            per_page=query.get("per_page", [None])[0],
            starting_after=query.get("starting_after", [None])[0],
        )

    def _search_conversations(self, call: Call) -> Document:
        body = _json_object(call)
        _, contact_ids = self._asked(body, {"contact_ids"})
        contacts = [
            self.workspace.contacts[one] for one in contact_ids if one in self.workspace.contacts
        ]
        found = dict.fromkeys(id_ for contact in contacts for id_ in contact.conversation_ids)
        return self._conversation_page(found, **_pagination(body))

    def _search_contacts(self, call: Call) -> Document:
        body = _json_object(call)
        workspace = self.workspace
        known: dict[str, Callable[[str], list[Contact]]] = {
            "id": lambda id_: [one for one in [workspace.contacts.get(id_)] if one is not None],
            "email": workspace.contacts_with_email,
            "external_id": workspace.contacts_with_external_id,
        }
        field, values = self._asked(body, known)
        found = [contact for value in dict.fromkeys(values) for contact in known[field](value)]
        return _page(
            "list", "data", found, documents.contact, default=CONTACTS_PER_PAGE, **_pagination(body)
        )

    def _asked(self, body: Document, fields: Collection[str]) -> tuple[str, list[str]]:
        """Return which values of which field are searched for."""
        match body.get("query"):
            case {"field": str(field), "operator": "=", "value": str(value)} if field in fields:
                return field, [value]
            case {"field": str(field), "operator": "IN", "value": [*values]} if (
                field in fields and field not in self.in_refused and len(values) <= MAX_FILTERS
            ):
                return field, [str(value) for value in values]
            case _:
                raise RefusedError(Refusal.QUERY_UNSUPPORTED)

    def _find_by_external_id(self, call: Call, external_id: str) -> Document:
        if not _at_least(call.version, 2, 13):
            raise RefusedError(Refusal.VERSION_LACKS_RESOURCE)
        known = self.workspace.contacts_with_external_id(external_id)
        user: Contact | None = next((one for one in known if one.role == "user"), None)
        return documents.contact(_found(user, Refusal.USER_NOT_FOUND))

    def _conversation_page(self, ids: Collection[str], **pagination: Any) -> Document:
        def show(conversation_id: str) -> Document:
            record = self.workspace.conversations[conversation_id]
            return documents.conversation(record, self.workspace, with_parts=False)

        return _page(
            "conversation.list",
            "conversations",
            ids,
            show,
            default=CONVERSATIONS_PER_PAGE,
            **pagination,
        )


def _found(record: T | None, otherwise: Refusal) -> T:
    if record is None:
        raise RefusedError(otherwise)
    return record


def _json_object(call: Call) -> Document:
    if call.body and call.content_type != "application/json":
        raise RefusedError(Refusal.NOT_JSON)
    try:
        return msgspec.json.decode(call.body or b"{}", type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedError(Refusal.MALFORMED_JSON) from None


def _at_least(version: str, *needed: int) -> bool:
    return version in PREVIEWS or tuple(map(int, version.split("."))) >= needed


def _pagination(body: Document) -> Document:
    asked = body.get("pagination")
    pagination = cast("Document", asked) if isinstance(asked, dict) else {}
    return {name: pagination.get(name) for name in ("per_page", "starting_after")}


def _page(
    kind: str,
    items_name: str,
    found: Collection[T],
    show: Callable[[T], Document],
    *,
    default: int,
    per_page: object,
    starting_after: object,
) -> Document:
    size = _page_size(per_page, default)
    # The cursor is a position: items that leave the set between two pages shift the rest.
    first = min(_position(starting_after), len(found))
    last = first + size
    items: Iterable[T] = itertools.islice(found, first, last)
    return documents.page(
        kind,
        items_name,
        [show(item) for item in items],
        total=len(found),
        number=first // size + 1,
        per_page=size,
        cursor=_cursor(last) if last < len(found) else None,
    )


def _page_size(per_page: object, default: int) -> int:
    if per_page is None:
        return default
    try:
        size = int(str(per_page))
    except ValueError:
        size = 0
    if not 1 <= size <= MAX_PER_PAGE:
        raise RefusedError(Refusal.PER_PAGE_INVALID)
    return size


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


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
