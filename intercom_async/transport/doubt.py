"""Whether a reply is believed: a pure rule for one reply to one request.

An answer is believed only if it is Intercom's, answers this very question and contradicts nothing:
a 200 with a JSON object about what the request asked, or a 4xx with an `error.list`. Anything else
leaves open what happened: gateways answer in Intercom's place, their pages come with status 200,
and a connection that got one reply twice answers each question with the reply to the one before.

A detach is answered with the contacts that are left, `{"customers": [...]}`, or by older versions
with the conversation. An empty list contradicts nothing.

`detaching.settle` decides what became of a write in doubt, also when a 404 follows a lost reply.
"""

from typing import Any, Final

import msgspec

from intercom_async.documents import decode_json, is_list, is_object
from intercom_async.errors import (
    ContradictoryReplyError,
    IntercomError,
    ResponseDecodeError,
    readable,
)
from intercom_async.transport.retrying import Failure
from intercom_async.transport.wire import (
    IN_DOUBT,
    SUCCESS,
    Doubt,
    ErrorBody,
    Reply,
    Request,
    error_body,
    error_for,
    head_of,
)

IN_A_ROW: Final = 3
"""A habit is believed after this many checks in a row showed that a listed contact was gone."""


class Habit:
    """Whether a workspace's replies list the contact that was just removed.

    An old page of Intercom's documentation says that replies do. Only checks can show it.
    """

    __slots__ = ("_in_a_row", "believed")

    def __init__(self) -> None:
        self.believed = False
        self._in_a_row = 0

    def note(self, *, gone: bool) -> bool:
        """Count what a check showed; return whether the habit is believed from now on."""
        self._in_a_row = self._in_a_row + 1 if gone else 0
        if self.believed or self._in_a_row < IN_A_ROW:
            return False
        self.believed = True
        return True


def doubt_about(
    request: Request, reply: Reply, *, removed_are_listed: bool = False
) -> Doubt | None:
    """Return why a reply is not to be believed, None if it is; see `Habit`."""
    status = reply.status
    if status == SUCCESS or (request.raw and 200 <= status < 300):
        if reply.flaw is not None:
            return Doubt(Failure.UNREADABLE, str(reply.flaw), again=False)
        raw, listed = request.raw, removed_are_listed
        return _doubt_raw(reply) if raw else _doubt_success(request, reply, listed)
    body = error_body(reply)
    if status in IN_DOUBT or status >= 500:
        return Doubt(Failure.TRANSIENT_STATUS, _said(status, body), again=True)
    if status < 400:
        # After an undocumented success, a read may get a better answer; a redirect comes again.
        again = status < 300 and not request.writes
        return Doubt(Failure.FOREIGN, _said(status, body), again=again)
    if body.is_list or (status == 429 and _names_quota(reply)):
        return None
    return Doubt(Failure.FOREIGN, _said(status, body), again=body.is_foreign)


def error_of(reply: Reply) -> IntercomError:
    """Return the exception for a reply that is no believed success."""
    error = _error_of(reply)
    error.reply = head_of(reply)
    return error


def _error_of(reply: Reply) -> IntercomError:
    if reply.flaw is not None and (reply.status == SUCCESS or reply.raw):
        return reply.flaw
    if reply.status != SUCCESS:
        return error_for(reply)
    facts: Any = {"status": reply.status, "request_id": reply.request_id}
    try:
        content = _content_of(reply.body)
    except ResponseDecodeError as error:
        return ResponseDecodeError(error.reason, body=reply.body, **facts)
    if content.errors or content.type in _ERRORS:
        return error_for(reply)
    reason = "nothing" if reply.doubt is None else reply.doubt.reason
    return ContradictoryReplyError(reason, **facts)


def _names_quota(reply: Reply) -> bool:
    quota = reply.headers
    return quota is not None and not (quota.limit is quota.remaining is quota.reset is None)


def _said(status: int, body: ErrorBody) -> str:
    return readable(f"HTTP {status}, {body.code or 'no code'}: {body.message or 'no message'}")


class _Content(msgspec.Struct):
    """The members of a reply that can contradict the question."""

    type: Any = None
    id: Any = None
    errors: Any = None
    customers: Any = None
    contacts: Any = None


_ERRORS: Final = ("error", "error.list")
_decoder: Final = msgspec.json.Decoder(_Content)


def _doubt_success(request: Request, reply: Reply, removed_are_listed: bool) -> Doubt | None:  # noqa: FBT001  from `doubt_about` alone
    try:
        content = _content_of(reply.body)
    except ResponseDecodeError as error:
        return _contradiction(f"it is no JSON object: {error.reason}")
    if content.errors or content.type in _ERRORS:
        return _contradiction(f"it is an error, {_said(reply.status, error_body(reply))}")
    wanted = request.conversation_id
    if wanted is not None and content.id is not None and str(content.id) != wanted:
        return _contradiction(f"it is about conversation {content.id!r:.80}, not {wanted!r:.80}")
    return None if request.contact_id is None else _doubt_list(request, content, removed_are_listed)


def _doubt_raw(reply: Reply) -> Doubt | None:
    """Look at the success of a call whose reply this library does not model.

    It may be empty, a list or a file. A web page is not Intercom's, and an error is no success.
    """
    if "html" in head_of(reply).headers.get("Content-Type", "").lower():
        return Doubt(Failure.FOREIGN, f"HTTP {reply.status} with a web page", again=True)
    try:
        content = _content_of(reply.body)
    except ResponseDecodeError:
        return None
    if content.type == "error.list" and content.errors:
        return _contradiction(f"it is an error, {_said(reply.status, error_body(reply))}")
    return None


def _doubt_list(request: Request, content: "_Content", removed_are_listed: bool) -> Doubt | None:  # noqa: FBT001  from `doubt_about` alone
    """Compare the effect that a write should have with the contacts that its reply lists."""
    listed = _listed(content)
    if listed is None:
        return None if content.id is not None else _contradiction("it is about no conversation")
    if (request.contact_id in listed) is request.attaches:
        return None
    if request.attaches:
        return _contradiction("it does not list the contact that was attached", again=False)
    if removed_are_listed:
        return None
    return _contradiction("it still lists the contact", again=False, listed=True)


def _contradiction(reason: str, *, again: bool = True, listed: bool = False) -> Doubt:
    return Doubt(Failure.CONTRADICTORY, reason, again, contradiction=True, listed=listed)


def _content_of(body: bytes) -> _Content:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass  # the error below says where in the whole body it is
    document = decode_json(body)
    if not is_object(document):
        raise ResponseDecodeError(f"a {type(document).__name__}")
    return _Content(**{name: document.get(name) for name in _Content.__struct_fields__})


def _listed(content: _Content) -> set[str] | None:
    """The ids of the contacts that a reply lists, None if it has no list."""
    for member in (content.customers, content.contacts):
        listed = member
        if not is_list(listed) and is_object(member):
            listed = member.get("contacts", member.get("customers"))
        if is_list(listed):
            return {str(entry.get("id")) for entry in listed if is_object(entry)}
    return None
