"""One detach, or its undo, brought to a certain end: what happened, and how we know.

The single call and the bulk run both stand on `settle`. A DELETE whose connection died may have
been applied; when the retry is then told 404, or retries run out, one GET looks whether the
contact is still there. Only what cannot be found out is called unknown. Attaching goes the same
way, with the opposite goal.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import attrs

from intercom_async.errors import (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    ContactNotFoundError,
    ConversationNotFoundError,
    IntercomError,
    LastContactError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitWaitError,
    ResponseDecodeError,
    UnknownOutcomeError,
)
from intercom_async.model import Conversation
from intercom_async.structuring import STEP, decode_conversation, decode_in_steps
from intercom_async.transport import wire
from intercom_async.transport.transport import CallOptions, Transport
from intercom_async.transport.wire import Reply


class Outcome(enum.StrEnum):
    """What became of one pair, named by what the caller should do next.

    Attributes:
        DETACHED: the contact was removed; nothing to do.
        ALREADY_ABSENT: the contact was not part of the conversation; nothing to do.
        CONVERSATION_MISSING: there is no such conversation; nothing to do.
        REFUSED_LAST_CONTACT: the last contact cannot be removed; decide about the conversation.
        FAILED: nothing was applied, as far as a check could see; look at the error, then try
            again.
        UNKNOWN: it may have been applied and nobody could find out; try again, it is safe.
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

    @property
    def settled(self) -> bool:
        """Whether repeating the pair would be pointless."""
        return self in _SETTLED


_SETTLED: Final = frozenset(
    {
        Outcome.DETACHED,
        Outcome.ALREADY_ABSENT,
        Outcome.CONVERSATION_MISSING,
        Outcome.REFUSED_LAST_CONTACT,
        Outcome.ATTACHED,
    }
)


@attrs.frozen
class Detach:
    """One pair: remove this contact from this conversation, or put it back.

    Attributes:
        conversation_id: Intercom's id of the conversation.
        contact_id: Intercom's id of the contact (not an external id or an e-mail address).
        admin_id: the admin in whose name it happens; None for the run's.
    """

    conversation_id: str
    contact_id: str
    admin_id: str | None = None


@attrs.define(eq=False)
class Settled:
    """What became of one detach, and what it cost.

    Attributes:
        outcome: see `Outcome`.
        inferred: whether "detached" was concluded from a check rather than told by a reply.
        in_doubt: whether "failed" was concluded so. A request without an answer may be on its
            way still and be applied after the check, so a later 404 decides nothing.
        reply: the reply that holds the conversation of a detached pair.
        error: the exception that a single call raises for it, None when detached.
        fatal: the error after which no other call of this client can succeed either: 401, 403
            or a refused certificate.
        attempts: requests sent, a check's included.
        refusals: further requests that were refused with 429.
        request_id: Intercom's id of the deciding request.
    """

    outcome: Outcome
    inferred: bool = False
    in_doubt: bool = False
    reply: Reply | None = None
    error: IntercomError | None = None
    fatal: IntercomError | None = None
    attempts: int = 0
    refusals: int = 0
    request_id: str | None = None


LARGE: Final = 64 * 1024
"""Bytes of a page from which decoding is left to a thread: below, it takes a few milliseconds
at most, whatever is odd about it. Conversations are decoded in steps instead."""

_Decoded = TypeVar("_Decoded")


async def off_loop(reply: Reply, decode: Callable[[], _Decoded]) -> _Decoded:
    """Decode a reply; a large one in a thread, so that nobody else waits for it.

    A cancelled call leaves the thread to its end, which comes by itself.

    Raises:
        ResponseDecodeError: the body is no JSON object, or was lost on the way.
        ResponseTooLargeError: the body was beyond the bound.
    """
    if len(reply.body) < LARGE:
        return _decode_body(reply, decode)
    return await asyncio.to_thread(_decode_body, reply, decode)


def _decode_body(reply: Reply, decode: Callable[[], _Decoded]) -> _Decoded:
    if reply.flaw is not None:
        raise reply.flaw
    try:
        return decode()
    except ResponseDecodeError as error:
        raise _of(reply, error) from None


def _of(reply: Reply, error: ResponseDecodeError) -> ResponseDecodeError:
    """The error about a body, with what names the reply in a log and to Intercom's support."""
    return ResponseDecodeError(
        error.reason, body=error.body, status=reply.status, request_id=reply.request_id
    )


def conversation_from(reply: Reply, conversation_id: str) -> Conversation:
    """Decode the conversation a reply carries.

    Raises:
        ResponseDecodeError: the body is no JSON object, or was lost on the way.
        ResponseTooLargeError: the body was beyond the bound.
    """
    return _decode_body(reply, lambda: decode_conversation(reply.body, default_id=conversation_id))


async def read_conversation(reply: Reply, conversation_id: str) -> Conversation:
    """Decode like `conversation_from`; a long one in steps, so that it does not hold the loop.

    Raises:
        IntercomError: see `conversation_from`.
    """
    if reply.flaw is not None or len(reply.body) <= 2 * STEP:
        return conversation_from(reply, conversation_id)
    steps = decode_in_steps(reply.body, default_id=conversation_id)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            conversation: Conversation = done.value
            return conversation
        except ResponseDecodeError as error:
            raise _of(reply, error) from None
        await asyncio.sleep(0)


@attrs.frozen(kw_only=True)
class Change:
    """What is done to a pair.

    Attributes:
        name: for journals and messages.
        request: builds the request from conversation, contact and admin.
        done: the outcome of a success.
        attached_after: whether the contact takes part then.
        outcomes: what other errors of Intercom's than these mean is "failed".
    """

    name: str
    request: Callable[[object, object, object], wire.Request]
    done: Outcome
    attached_after: bool
    outcomes: Mapping[type[IntercomError], Outcome]


DETACH: Final = Change(
    name="detach",
    request=wire.detach,
    done=Outcome.DETACHED,
    attached_after=False,
    outcomes={
        ContactNotFoundError: Outcome.ALREADY_ABSENT,
        ConversationNotFoundError: Outcome.CONVERSATION_MISSING,
        LastContactError: Outcome.REFUSED_LAST_CONTACT,
    },
)
ATTACH: Final = Change(
    name="attach",
    request=wire.attach,
    done=Outcome.ATTACHED,
    attached_after=True,
    outcomes={ConversationNotFoundError: Outcome.CONVERSATION_MISSING},
)


async def settle(
    transport: Transport,
    pair: Detach,
    admin_id: str | None,
    options: CallOptions,
    *,
    change: Change = DETACH,
    ambiguous: bool = False,
    on_send: Callable[[], Awaitable[None]] | None = None,
) -> Settled:
    """Detach or attach one contact and find out what happened.

    Args:
        transport: sends the requests.
        pair: conversation and contact.
        admin_id: the admin in whose name it happens.
        options: lane, time and retries, for the check as well.
        change: what to do.
        ambiguous: whether it may have been done before this call, by a run that was killed.
        on_send: see `Transport.send`.

    Raises:
        InvalidArgumentError: an id that cannot be sent; nothing was.
        ClientStateError: the client cannot be used; nothing was sent.
    """
    request = change.request(pair.conversation_id, pair.contact_id, admin_id)
    doubt = ambiguous
    try:
        reply = await transport.send(request, options, on_send=on_send)
    except (UnknownOutcomeError, ConnectionFailedError) as error:
        settled = Settled(
            Outcome.FAILED, error=error, attempts=error.attempts, refusals=error.refusals
        )
        if isinstance(error, CertificateError):
            settled.fatal = error
        doubt = doubt or isinstance(error, UnknownOutcomeError)
    except RateLimitWaitError as error:
        settled = Settled(Outcome.FAILED, error=error)
    else:
        settled = _judge(reply, change)
        # A conversation that does not exist holds no contact, whatever came before.
        certain = settled.outcome in {change.done, Outcome.CONVERSATION_MISSING}
        doubt = (doubt or reply.ambiguous) and not certain
    return await _check(transport, pair, options, settled, change) if doubt else settled


def _judge(reply: Reply, change: Change) -> Settled:
    """Say what a final reply means, as long as nothing ambiguous came before it."""
    settled = Settled(
        change.done,
        reply=reply,
        attempts=reply.attempts,
        refusals=reply.refusals,
        request_id=reply.request_id,
    )
    if not reply.succeeded:
        error = wire.error_for(reply)
        settled.outcome = change.outcomes.get(type(error), Outcome.FAILED)
        settled.reply = None
        settled.error = error
        settled.request_id = error.request_id
        if isinstance(error, AuthenticationError | PermissionDeniedError):
            settled.fatal = error
    return settled


async def _check(
    transport: Transport, pair: Detach, options: CallOptions, settled: Settled, change: Change
) -> Settled:
    """Look whether the contact takes part, after an attempt of unknown fate."""
    if settled.fatal is not None:  # the check would be refused just the same
        return _unknown(settled)
    try:
        reply = await transport.send(wire.get_conversation(pair.conversation_id), options)
    except ConnectionFailedError as error:
        settled.attempts += error.attempts
        settled.refusals += error.refusals
        return _unknown(settled)
    except (RateLimitWaitError, ClientStateError):
        return _unknown(settled)
    settled.attempts += reply.attempts
    settled.refusals += reply.refusals
    settled.request_id = reply.request_id or settled.request_id
    return await _concluded(settled, reply, pair, change)


async def _concluded(settled: Settled, reply: Reply, pair: Detach, change: Change) -> Settled:
    """Conclude from the check's reply."""
    told = settled.error
    if not reply.succeeded:
        error = wire.error_for(reply)
        if isinstance(error, NotFoundError):
            settled.outcome = Outcome.CONVERSATION_MISSING
            settled.error = error
            return settled
        if isinstance(error, AuthenticationError | PermissionDeniedError):
            settled.fatal = error
        return _unknown(settled)
    attached = await _attached(reply, pair)
    if attached is None:
        return _unknown(settled)
    if attached is change.attached_after:
        settled.outcome = change.done
        settled.inferred = True
        settled.error = None
        settled.reply = reply
    elif settled.outcome is not Outcome.REFUSED_LAST_CONTACT:
        settled.outcome = Outcome.FAILED
        settled.in_doubt = True
        if isinstance(told, UnknownOutcomeError):
            settled.error = ConnectionFailedError(
                f"{told}; a check found the contact {'still' if attached else 'not'} attached"
            )
            settled.error.attempts = settled.attempts
    return settled


def _unknown(settled: Settled) -> Settled:
    told = settled.error
    settled.outcome = Outcome.UNKNOWN
    if not isinstance(told, UnknownOutcomeError):
        error = UnknownOutcomeError(
            f"an attempt may have been applied, and no check could find out; last answer: {told}"
        )
        error.__cause__ = told
        settled.error = error
    return settled


async def _attached(reply: Reply, pair: Detach) -> bool | None:
    """Whether the conversation lists the contact, None if the reply does not tell."""
    try:
        conversation = await read_conversation(reply, pair.conversation_id)
    except IntercomError:
        return None
    if any(contact.id == pair.contact_id for contact in conversation.participants):
        return True
    return False if conversation.participants_known else None
