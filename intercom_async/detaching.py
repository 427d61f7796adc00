"""One detach, or its undo, carried through until it is certain what happened.

The single call and the bulk run both use `settle`. A write may have been applied if it gets no
answer, or one that `doubt_about` does not believe. If its retry then gets a 404, or retries run
out, a GET checks whether the contact is still there. If no answer to the GET is believed, either,
the outcome is unknown. Attaching goes the same way, with the opposite goal.
"""

import enum
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

import intercom_async  # noqa: TC001  for `get_type_hints`
from intercom_async.errors import (
    AdminNotFoundError,
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    ContactNotFoundError,
    ConversationNotFoundError,
    IntercomError,
    LastContactError,
    PermissionDeniedError,
    RateLimitWaitError,
    UnknownOutcomeError,
)
from intercom_async.observing import logger
from intercom_async.replies import ReplyHead
from intercom_async.transport import wire
from intercom_async.transport.doubt import IN_A_ROW, error_of
from intercom_async.transport.sending import CallOptions, Transport
from intercom_async.transport.wire import Reply, head_of, request_id_of


class Outcome(enum.StrEnum):
    """What became of one pair, named by what the caller should do next.

    Attributes:
        DETACHED: the contact was removed; nothing to do.
        ALREADY_ABSENT: the contact was not part of the conversation; nothing to do.
        CONVERSATION_MISSING: there is no such conversation; nothing to do.
        REFUSED_LAST_CONTACT: the last contact cannot be removed; decide about the conversation.
        FAILED: nothing was applied, as far as a check could see; look at the error, then try
            again.
        UNKNOWN: it may have been applied, and no check could find out; trying again is safe.
        NOT_ATTEMPTED: the run stopped first; run it again.
        ATTACHED: the contact takes part; only in runs of `attach_contacts`, the undo.
    """

    DETACHED = "detached"
    ALREADY_ABSENT = "already_absent"
    CONVERSATION_MISSING = "conversation_missing"
    REFUSED_LAST_CONTACT = "refused_last_contact"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not_attempted"
    ATTACHED = "attached"

    __hash__ = str.__hash__  # that of `Enum` is slower, and runs many times for each pair

    @property
    def settled(self) -> bool:
        """Whether repeating the pair would be pointless."""
        return self in _SETTLED


GONE: Final = frozenset({Outcome.ALREADY_ABSENT, Outcome.CONVERSATION_MISSING})
"""Outcomes of pairs with nothing to detach."""

NEEDS_DECISION: Final = frozenset({Outcome.REFUSED_LAST_CONTACT})
"""Outcomes that no further try can change: a person has to decide what to do."""

_SETTLED: Final = frozenset({Outcome.DETACHED, Outcome.ATTACHED, *GONE, *NEEDS_DECISION})


class Detach(msgspec.Struct, frozen=True):
    """One pair: remove this contact from this conversation, or put it back.

    Attributes:
        contact_id: Intercom's id of the contact (not an external id or an e-mail address).
        admin_id: the admin who acts; None for the run's.
    """

    conversation_id: str
    contact_id: str
    admin_id: str | None = None


class DetachResult(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """What became of one pair, how we know, and what that cost.

    Attributes:
        inferred: whether "detached" comes from a check, because an attempt had no answer; the
            contact may have been absent before, so an undo leaves such a pair out.
        in_doubt: whether "failed" comes from a check. A request without an answer may still be
            on its way and be applied after the check, so a later 404 proves nothing.
        duplicate: whether the pair occurred before in this run; the outcome is the same, and
            nothing was sent.
        second_try: whether the outcome is that of a second try, at the end of the run.
        error: what a single call would have raised, None when detached. From a journal it has
            only its class, text, `status`, `code` and `request_id`.
        fatal: the error after which no other call can succeed either: 401, a 403 of the whole
            token, a refused certificate, an admin whom Intercom does not know.
        attempts: requests sent for the pair in all sessions of the run, checks included,
            but not those refused with 429.
        refusals: requests that were refused with 429 and sent again.
        request_id: Intercom's id of the deciding request.
        elapsed: seconds from taking the pair up to knowing its outcome, waiting for the quota
            included.
        answer: the reply that holds the conversation of a detached pair; see `conversation`.
    """

    detach: Detach
    outcome: Outcome
    inferred: bool = False
    in_doubt: bool = False
    duplicate: bool = False
    second_try: bool = False
    error: IntercomError | None = None
    fatal: IntercomError | None = None
    attempts: int = 0
    refusals: int = 0
    request_id: str | None = None
    elapsed: float = 0.0
    answer: Reply | None = None

    @functools.cached_property
    def conversation(self) -> "intercom_async.Conversation | None":
        """The conversation after the detach, decoded on first access; None unless detached.

        None for a duplicate, too: its conversation came with the first result.

        Raises:
            ResponseDecodeError: the detach happened, but its reply is no JSON object.
        """
        if self.answer is None:
            return None
        from intercom_async.structuring.replies import conversation_from  # noqa: PLC0415  loads the model

        return conversation_from(self.answer, self.detach.conversation_id)

    @property
    def reply(self) -> ReplyHead | None:
        """Status, headers and request id of the deciding reply.

        None if there was none, and in a result from the journal.
        """
        if self.error is not None:
            return self.error.reply
        return None if self.answer is None else head_of(self.answer)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object, without the conversation."""
        return {
            "conversation_id": self.detach.conversation_id,
            "contact_id": self.detach.contact_id,
            "outcome": self.outcome.value,
            "inferred": self.inferred,
            "duplicate": self.duplicate,
            "second_try": self.second_try,
            "attempts": self.attempts,
            "request_id": self.request_id,
            "error": None if self.error is None else str(self.error),
        }

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"DetachResult({facts})"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An operation on a pair.

    Attributes:
        request: builds the request from conversation, contact and admin.
        done: the outcome of a success.
        attached_after: whether the contact takes part after a success.
        outcomes: the outcomes of some of Intercom's errors; any other error means "failed".
    """

    name: str
    request: Callable[[object, object, object], wire.Request]
    done: Outcome
    attached_after: bool
    outcomes: Mapping[type[IntercomError], Outcome]


MISSING: Final[Mapping[type[IntercomError], Outcome]] = {
    ConversationNotFoundError: Outcome.CONVERSATION_MISSING
}
"""The outcomes of the errors that may answer a GET of a conversation."""

DETACH: Final = Change(
    name="detach",
    request=wire.detach,
    done=Outcome.DETACHED,
    attached_after=False,
    outcomes={
        ContactNotFoundError: Outcome.ALREADY_ABSENT,
        **MISSING,
        LastContactError: Outcome.REFUSED_LAST_CONTACT,
    },
)
ATTACH: Final = Change(
    name="attach",
    request=wire.attach,
    done=Outcome.ATTACHED,
    attached_after=True,
    outcomes=MISSING,
)


async def settle(
    transport: Transport,
    pair: Detach,
    admin_id: str | int | None,
    options: CallOptions,
    *,
    change: Change = DETACH,
    ambiguous: bool = False,
    on_send: Callable[[], Awaitable[None] | None] | None = None,
) -> DetachResult:
    """Detach or attach one contact and find out what happened.

    Args:
        ambiguous: whether a run that was killed may have done it before this call.

    Raises:
        InvalidArgumentError: an id that cannot be sent; nothing was sent.
        ClientStateError: the client cannot be used; nothing was sent.
    """
    request = change.request(pair.conversation_id, pair.contact_id, admin_id)
    settled, reply = await ask(
        transport,
        pair,
        request,
        options,
        done=change.done,
        outcomes=change.outcomes,
        on_send=on_send,
    )
    in_doubt = isinstance(settled.error, UnknownOutcomeError) if reply is None else reply.in_doubt
    # A conversation that does not exist holds no contact, whatever came before.
    certain = settled.outcome in {change.done, Outcome.CONVERSATION_MISSING}
    if certain or not (ambiguous or in_doubt):
        return settled
    if isinstance(settled.fatal, AuthenticationError | PermissionDeniedError):
        return _unknown(settled)  # a check would be refused just the same
    settled = await _check(transport, pair, options, settled, change)
    listed = reply is not None and reply.doubt is not None and reply.doubt.listed
    if listed and transport.habit.note(gone=settled.outcome is change.done):
        logger.warning(
            "this workspace's replies list the contact that was just removed, as %d checks in a "
            "row have shown; from now on they are believed without a check",
            IN_A_ROW,
        )
    return settled


async def ask(
    transport: Transport,
    pair: Detach,
    request: wire.Request,
    options: CallOptions,
    *,
    done: Outcome = Outcome.DETACHED,
    outcomes: Mapping[type[IntercomError], Outcome] = MISSING,
    on_send: Callable[[], Awaitable[None] | None] | None = None,
) -> tuple[DetachResult, Reply | None]:
    """Send a request about a pair; return what its reply alone says, and the reply, if any came."""
    try:
        reply = await transport.send(request, options, on_send=on_send)
    except (ConnectionFailedError, RateLimitWaitError, UnknownOutcomeError) as error:
        asked = DetachResult(
            detach=pair,
            outcome=Outcome.FAILED,
            error=error,
            attempts=error.attempts,
            refusals=error.refusals,
        )
        return await _with_fatal(transport, asked, options), None
    answered = None if reply.succeeded else error_of(reply)
    if answered is not None:
        done = Outcome.FAILED if reply.doubt else outcomes.get(type(answered), Outcome.FAILED)
    asked = DetachResult(
        detach=pair,
        outcome=done,
        answer=reply if answered is None else None,
        error=answered,
        attempts=reply.attempts,
        refusals=reply.refusals,
        request_id=request_id_of(reply),
    )
    return await _with_fatal(transport, asked, options), reply


async def _with_fatal(
    transport: Transport, asked: DetachResult, options: CallOptions
) -> DetachResult:
    """Set `fatal` if the error ends a whole run.

    A 403 may be about one conversation: a look at `/me` shows whether the token is still good.
    """
    error = asked.error
    fatal = isinstance(error, AuthenticationError | AdminNotFoundError | CertificateError)
    if isinstance(error, PermissionDeniedError):
        fatal = not await transport.token_is_good(options)
    return replace(asked, fatal=error) if fatal else asked


LOOKS: Final = (0.0, 1.0, 2.0)
"""Seconds before each look of a check: the first may read a replica that lags behind."""


async def _check(
    transport: Transport, pair: Detach, options: CallOptions, settled: DetachResult, change: Change
) -> DetachResult:
    """Check whether the contact takes part, after an attempt in doubt."""
    look = wire.get_conversation(pair.conversation_id)
    for wait in LOOKS:
        try:
            if wait:
                await transport.sleep(wait)
            seen, reply = await ask(transport, pair, look, options)
        except ClientStateError:
            return _unknown(settled)
        settled = replace(
            settled,
            attempts=settled.attempts + seen.attempts,
            refusals=settled.refusals + seen.refusals,
            request_id=seen.request_id or settled.request_id,
            fatal=seen.fatal or settled.fatal,
        )
        if seen.outcome is Outcome.CONVERSATION_MISSING:
            return replace(settled, outcome=seen.outcome, error=seen.error)
        contacts = await participants(reply, pair.conversation_id)
        if contacts is None:
            return _unknown(settled)
        if (pair.contact_id in contacts) is change.attached_after:
            return replace(settled, outcome=change.done, inferred=True, error=None, answer=reply)
        if settled.outcome in NEEDS_DECISION:
            return settled
    return _failed(settled, attached=not change.attached_after)


def _failed(settled: DetachResult, *, attached: bool) -> DetachResult:
    """Return the result of a pair for which every look showed that nothing was done."""
    error = settled.error
    if isinstance(error, UnknownOutcomeError):
        error = ConnectionFailedError(
            f"{error}; a check found the contact {'still' if attached else 'not'} attached"
        )
        error.attempts = settled.attempts
    return replace(settled, outcome=Outcome.FAILED, in_doubt=True, error=error)


def _unknown(settled: DetachResult) -> DetachResult:
    error = settled.error
    if not isinstance(error, UnknownOutcomeError):
        unknown = UnknownOutcomeError(
            f"an attempt may have been applied, and no check could find out; last answer: {error}"
        )
        unknown.__cause__ = error
        error = unknown
    return replace(settled, outcome=Outcome.UNKNOWN, error=error)


async def participants(reply: Reply | None, conversation_id: str) -> frozenset[str] | None:
    """Return the contacts that take part, None unless the reply proves it.

    A reply that does names the conversation, and lists as many contacts as it says there are.
    """
    from intercom_async.structuring.replies import read_conversation  # noqa: PLC0415  loads the model

    if reply is None or not reply.succeeded:
        return None
    try:
        conversation = await read_conversation(reply, None)
    except IntercomError:
        return None
    if conversation.id != conversation_id or not conversation.participants_known:
        return None
    ids = frozenset(str(contact.id) for contact in conversation.participants)
    total = conversation.contacts and conversation.contacts.extra.get("total_count")
    return None if type(total) is int and total > len(ids) else ids
