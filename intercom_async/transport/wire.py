"""Builds requests and reads replies. Pure.

Ids become exactly one path segment each. That is more than tidiness: pasted unescaped into a
URL, the conversation id "1?x=1" or "1#f" turns a detach into `DELETE /conversations/1`, the
call that deletes the whole conversation.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import msgspec
from multidict import istr

from intercom_async.documents import decode_json, is_list, is_object
from intercom_async.errors import (
    AdminNotFoundError,
    APIError,
    AuthenticationError,
    ContactNotFoundError,
    ConversationNotFoundError,
    GatewayError,
    IntercomError,
    InvalidArgumentError,
    InvalidRequestError,
    LastContactError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ServerError,
    readable,
)
from intercom_async.ids import check_id, is_plain
from intercom_async.observing import RateLimitStatus
from intercom_async.pacing.window import RateLimitHeaders
from intercom_async.replies import ReplyHead
from intercom_async.secret import Secret
from intercom_async.transport.retrying import Failure

Region = Literal["us", "eu", "au"]
"""Where Intercom hosts a workspace."""

REGIONS: Final[Mapping[str, str]] = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
"""Base URL of each region in which Intercom hosts workspaces."""

FILTERS: Final = 15
"""Values that one search may name, at most."""

SUCCESS: Final = 200
"""The one status that Intercom documents for success."""

_LOOPBACK_HOSTS: Final = frozenset({"localhost", "::1"})


class Request(msgspec.Struct, frozen=True, gc=False):
    """One call of the API, ready to be sent any number of times.

    Attributes:
        path: percent-encoded path below the base URL, beginning with "/".
        conversation_id: the conversation that the reply must be about.
        attaches: whether the contact takes part after the write.
        raw: whether the caller reads the reply: any 2xx that is no web page or error will do.
        repeatable: whether it may be sent again when it may have been applied.
    """

    method: str
    path: str
    body: bytes | None = None
    writes: bool = False
    conversation_id: str | None = None
    contact_id: str | None = None
    attaches: bool = False
    query: str = ""
    raw: bool = False
    repeatable: bool = True


class Doubt(msgspec.Struct, frozen=True):
    """Why a reply is not believed.

    Attributes:
        again: whether another attempt may be answered better.
        contradiction: whether a success contradicts itself or the question. It may answer
            another request, so its connection is not used again.
        listed: whether the only reason is that the reply lists the removed contact.
    """

    failure: Failure
    reason: str
    again: bool
    contradiction: bool = False
    listed: bool = False


class Reply(msgspec.Struct, frozen=True):
    """The server's answer to one attempt.

    Attributes:
        body: as received, decompressed; empty when `flaw` is set.
        headers: what the reply said about the quota, None when it said nothing.
        flaw: why the body could not be kept, or None.
        server: the Server header of a reply in doubt.
        attempts: requests sent for this call so far, refused ones (429) not counted.
        in_doubt: whether an attempt of this call, this one included, may have been applied
            though no believed answer says so.
        rate_limit: the quota after a reply that is an error.
        advice: what the caller should do, or why the reply is final.
        all_headers: names and values as received, but without the token, each on a line. Runs
            keep many replies, and as a text their headers take least.
    """

    status: int
    body: bytes
    request_id: str | None = None
    headers: RateLimitHeaders | None = None
    flaw: IntercomError | None = None
    doubt: Doubt | None = None
    server: str | None = None
    attempts: int = 1
    refusals: int = 0
    in_doubt: bool = False
    rate_limit: RateLimitStatus | None = None
    advice: str | None = None
    all_headers: str = ""
    raw: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether it is a success and is believed."""
        good = self.status == SUCCESS or (self.raw and 200 <= self.status < 300)
        return good and self.doubt is None

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait."""
        return None if self.headers is None else self.headers.retry_after


# --- configuration -----------------------------------------------------------------------------


def check_token(token: Secret) -> None:
    """Raise if a token cannot be used, without ever showing it."""
    if not isinstance(token.reveal(), str) or not token.reveal():
        raise InvalidArgumentError(
            "token", None, "a non-empty text; pass it or set INTERCOM_ACCESS_TOKEN"
        )
    printable = token.reveal().isascii() and token.reveal().isprintable()
    if not printable or " " in token.reveal():
        raise InvalidArgumentError(
            "token",
            None,
            "printable ASCII without spaces or line breaks (was it copied with a newline, "
            'a quote or the word "Bearer"?)',
        )


def check_base_url(region: object, base_url: object) -> str:
    """Return where requests go, without a trailing slash.

    Only https is allowed, because every request carries the token, except to a loopback host.
    """
    if base_url is None:
        if not isinstance(region, str) or region not in REGIONS:
            raise InvalidArgumentError("region", region, 'one of "us", "eu", "au"')
        return REGIONS[region]
    expected = 'a URL such as "https://api.intercom.io"'
    # A URL with user information may hold a secret, so no error shows the value from here on.
    if not isinstance(base_url, str) or not base_url.isprintable() or " " in base_url:
        raise InvalidArgumentError("base_url", None, expected)
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidArgumentError("base_url", None, expected) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidArgumentError("base_url", None, expected)
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidArgumentError("base_url", None, f"{expected}, without user, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidArgumentError(
            "base_url",
            base_url,
            "https: over plain http anyone on the way could read the token "
            "(http is allowed to loopback hosts only)",
        )
    return base_url.rstrip("/")


def region_of(base_url: str) -> str | None:
    """Return the region that has this base URL, None for another address."""
    return next((region for region, url in REGIONS.items() if url == base_url), None)


def is_loopback(host: str) -> bool:
    """Whether requests to a host stay on this machine."""
    return host in _LOOPBACK_HOSTS or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


# --- requests ----------------------------------------------------------------------------------


def check_text(name: str, value: object) -> str:
    """Return a text that can stand in a JSON body; raise if there is none."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(name, value, "a non-empty text")
    return value


def path_segment(name: str, value: object) -> str:
    """Return an id as one percent-encoded path segment; see `check_id` for what is refused."""
    if type(value) is str and is_plain(value):
        return value
    return quote(check_id(name, value), safe="")


@lru_cache  # jobs work in the name of one admin
def _admin_body(admin_id: str) -> bytes:
    return msgspec.json.encode({"admin_id": check_id("admin_id", admin_id)})


def detach(conversation_id: object, contact_id: object, admin_id: object) -> Request:
    """`DELETE /conversations/{conversation_id}/customers/{contact_id}`."""
    conversation = path_segment("conversation_id", conversation_id)
    contact = path_segment("contact_id", contact_id)
    body = _admin_body(admin_id if type(admin_id) is str else check_id("admin_id", admin_id))
    path = f"/conversations/{conversation}/customers/{contact}"
    return Request("DELETE", path, body, True, str(conversation_id), str(contact_id))


def attach(conversation_id: object, contact_id: object, admin_id: object) -> Request:
    """`POST /conversations/{conversation_id}/customers`, the contact named by its Intercom id."""
    conversation = path_segment("conversation_id", conversation_id)
    document = {
        "admin_id": check_id("admin_id", admin_id),
        "customer": {"intercom_user_id": check_id("contact_id", contact_id)},
    }
    body = msgspec.json.encode(document)
    path = f"/conversations/{conversation}/customers"
    return Request("POST", path, body, True, str(conversation_id), str(contact_id), True)


def get_conversation(conversation_id: object) -> Request:
    """`GET /conversations/{conversation_id}`."""
    path = f"/conversations/{path_segment('conversation_id', conversation_id)}"
    return Request("GET", path, conversation_id=str(conversation_id))


def search_conversations(
    *contact_ids: object, per_page: int, starting_after: str | None
) -> Request:
    """`POST /conversations/search` for those of a contact, or of any of several contacts."""
    values = [check_id("contact_id", one) for one in contact_ids]
    return _search("conversations", "contact_ids", values, per_page, starting_after)


def search_contacts(
    field: str, *values: object, per_page: int, starting_after: str | None
) -> Request:
    """`POST /contacts/search` by `id`, `email` or `external_id`; at most `FILTERS` values."""
    texts = [check_text(field, value) for value in values]
    return _search("contacts", field, texts, per_page, starting_after)


def _search(
    what: str, field: str, values: Sequence[str], per_page: int, starting_after: str | None
) -> Request:
    pagination: dict[str, object] = {"per_page": per_page}
    if starting_after is not None:
        pagination["starting_after"] = starting_after
    operator, value = ("IN", values) if len(values) > 1 else ("=", values[0])
    query = {"field": field, "operator": operator, "value": value}
    body = msgspec.json.encode({"query": query, "pagination": pagination})
    return Request("POST", f"/{what}/search", body)


def get_contact(contact_id: object) -> Request:
    """`GET /contacts/{contact_id}`."""
    return Request("GET", f"/contacts/{path_segment('contact_id', contact_id)}")


def get_admin(admin_id: object) -> Request:
    """`GET /admins/{admin_id}`."""
    return Request("GET", f"/admins/{path_segment('admin_id', admin_id)}")


def me() -> Request:
    """`GET /me`: the admin and the workspace the token belongs to."""
    return Request("GET", "/me")


# --- replies -----------------------------------------------------------------------------------


_LIMIT: Final = istr("X-RateLimit-Limit")
_REMAINING: Final = istr("X-RateLimit-Remaining")
_RESET: Final = istr("X-RateLimit-Reset")
_DATE: Final = istr("Date")
_RETRY_AFTER: Final = istr("Retry-After")

_NUMBER: Final = r"[ \t]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t]*"
_MOST_REQUESTS: Final = 1e9
_LAST_SECOND: Final = 1e11
"""As Unix seconds the year 5138: more than that are milliseconds, or nonsense."""


@lru_cache(maxsize=1024)  # the numbers of one window come again and again
def _number(text: str, low: float, high: float) -> float | None:
    """Return the number that a header says, if it is one within the bounds."""
    # `float` alone would also take "1_0" and digits of every script. Most texts are plain digits.
    if not (text.isascii() and text.isdigit()) and not re.fullmatch(_NUMBER, text, re.ASCII):
        return None
    number = float(text)
    return number if low <= number <= high else None


@lru_cache  # the Date header changes once a second, replies come by the hundred
def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError):
        return None
    # HTTP knows no other zone. Without one, Python would take this machine's.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _retry_after(text: str, date: float | None, wall: float) -> float | None:
    """Seconds to wait: a number (fractions too) or an HTTP date, read against the reply's Date."""
    number = _number(text, -sys.float_info.max, sys.float_info.max)
    if number is None:
        moment = _http_date(text)
        if moment is None:
            return None
        number = moment - (wall if date is None else date)
    return max(0.0, number)


def quota_headers(headers: Mapping[str, str], *, wall: float) -> RateLimitHeaders | None:
    """Read what a reply says about the quota; nonsense counts as missing.

    Args:
        wall: this machine's Unix seconds, for a Retry-After date in a reply without Date.
    """
    limit = _number(headers.get(_LIMIT, ""), 1, _MOST_REQUESTS)
    remaining = _number(headers.get(_REMAINING, ""), -_MOST_REQUESTS, _MOST_REQUESTS)
    reset = _number(headers.get(_RESET, ""), 0, _LAST_SECOND)
    date = _http_date(headers.get(_DATE, ""))
    asked = headers.get(_RETRY_AFTER)
    retry_after = None if asked is None else _retry_after(asked, date, wall)
    if limit is None and remaining is None and reset is None and retry_after is None:
        return None
    return RateLimitHeaders(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset=reset,
        date=date,
        retry_after=retry_after,
    )


_LAST_CONTACT: Final = r"removing the last (customer|contact|participant)"


_DEEPEST: Final = 64
"""Levels of an error's entry. An exception with deeper ones could not be pickled."""


def _is_deep(value: object, levels: int = _DEEPEST) -> bool:
    inner = value.values() if is_object(value) else value if is_list(value) else ()
    return levels == 0 or any(_is_deep(each, levels - 1) for each in inner)


class ErrorBody(msgspec.Struct, frozen=True):
    """What the body of an error says; only Intercom's own form has `errors`."""

    type: object = None
    code: str | None = None
    message: str | None = None
    errors: tuple[Mapping[str, Any], ...] = ()
    request_id: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether it is an error of Intercom's form; test servers often leave out the type."""
        return self.type in (None, "error.list") and bool(self.errors) and self.code is not None

    @property
    def is_foreign(self) -> bool:
        """Whether someone other than Intercom wrote it."""
        return self.type not in ("error.list", "error") and self.code is None


def error_body(reply: Reply) -> ErrorBody:
    """Read the body of an error.

    Intercom's own form is the `error.list`. Other forms that are read: texts in a list, texts by
    field (the field is the code), and objects with `code` or `error_key` and `message`.
    """
    try:
        document = decode_json(reply.body)
    except IntercomError:
        document = None
    if not is_object(document):
        return ErrorBody()
    listed = document.get("errors")
    entries: Sequence[Any] = listed if is_list(listed) else ()
    errors = tuple(entry for entry in entries if is_object(entry) and not _is_deep(entry))
    if errors:
        code, message = errors[0].get("code"), errors[0].get("message")
    elif entries:
        code, message = None, entries[0]
    elif is_object(listed) and listed:
        code, message = next(iter(listed.items()))
        message = message[0] if is_list(message) and message else message
    else:
        code, message = document.get("code", document.get("error_key")), document.get("message")
    request_id = document.get("request_id")
    return ErrorBody(
        type=document.get("type"),
        code=code if isinstance(code, str) else None,
        message=message if isinstance(message, str) else None,
        errors=errors,
        request_id=readable(request_id) if isinstance(request_id, str) else None,
    )


def _kind_of_error(reply: Reply, body: ErrorBody) -> type[APIError]:  # noqa: PLR0911  a table
    status, message = reply.status, (body.message or "").strip().lower()
    if status in IN_DOUBT or status >= 500 or status < 300:
        return ServerError
    if status < 400:
        return RedirectError
    if status == 429:
        return RateLimitedError
    if body.is_foreign:
        return GatewayError
    if status == 404:
        if body.code == "admin_not_found" or message.startswith("admin"):
            return AdminNotFoundError
        if reply.raw or not body.is_list:
            return NotFoundError
        # Both of these carry the code "not_found"; only the message separates them.
        if message.startswith("resource not found"):
            return ConversationNotFoundError
        return ContactNotFoundError if message.startswith("user not found") else NotFoundError
    if status == 422 and re.search(_LAST_CONTACT, message, re.IGNORECASE):
        return LastContactError
    return _KINDS.get(status, InvalidRequestError)


IN_DOUBT: Final = frozenset({408, 425, 499})
"""4xx statuses that leave open whether the request was applied."""

_KINDS: Final[Mapping[int, type[APIError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
}

_ADVICE: Final[Mapping[type[APIError], str]] = {
    AuthenticationError: "check the access token and the region",
    AdminNotFoundError: "check admin_id: it must be the id of an admin, not of a team",
    PermissionDeniedError: "check the workspace's plan and the token's permissions",
    RedirectError: "redirects are never followed; check base_url",
}


def error_for(reply: Reply) -> APIError:
    """Return the exception for a reply whose status is no success."""
    body = error_body(reply)
    kind = _kind_of_error(reply, body)
    advice = reply.advice or _ADVICE.get(kind)
    if kind is GatewayError or (reply.server is not None and body.is_foreign):
        gateway = f"answered by a gateway, server: {reply.server or 'unnamed'}"
        advice = gateway if advice is None else f"{gateway}; {advice}"
    error = kind(
        status=reply.status,
        code=body.code,
        message=body.message,
        errors=body.errors,
        request_id=request_id_of(reply),
        rate_limit=reply.rate_limit,
        attempts=reply.attempts,
        retry_after=reply.retry_after,
        advice=advice,
    )
    error.reply = head_of(reply)
    return error


def head_of(reply: Reply) -> ReplyHead:
    """Return status, request id and headers of a reply."""
    return ReplyHead(reply.status, request_id_of(reply), reply.all_headers)


def request_id_of(reply: Reply) -> str | None:
    """Return Intercom's id of the request: the header's, else the one in an error's body."""
    if reply.request_id is not None or reply.status == SUCCESS:
        return reply.request_id
    return error_body(reply).request_id
