"""Predicts the outcome of a detach without changing anything."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from intercom_async.detaching import (
    Detach,
    DetachResult,
    Outcome,
    participants,
    with_fatal,
)
from intercom_async.errors import (
    AdminNotFoundError,
    ConnectionFailedError,
    ConversationNotFoundError,
    RateLimitWaitError,
)
from intercom_async.transport import wire
from intercom_async.transport.doubt import error_of
from intercom_async.transport.sending import CallOptions, Transport
from intercom_async.transport.wire import Reply, Request


class DryRun:
    """Takes the place of `settle`: looks at pairs, and remembers what it would have removed.

    Each admin is looked up once; a pair fails if its admin does not exist. A contact is the last of
    its conversation if the run would have removed all others before.
    """

    def __init__(self) -> None:
        self._removed: Counter[str] = Counter()
        self._admins: dict[str, DetachResult | None] = {}
        self._turn = asyncio.Lock()

    async def __call__(
        self,
        transport: Transport,
        pair: Detach,
        admin_id: str | None,
        options: CallOptions,
        *,
        ambiguous: bool,
        on_send: Callable[[], Awaitable[None] | None],
    ) -> DetachResult:
        """See `settle`; nothing is ambiguous, because nothing changes."""
        del ambiguous
        wire.detach(
            pair.conversation_id, pair.contact_id, admin_id
        )  # raises if an id cannot be sent
        problem = await self._admin_problem(transport, pair, str(admin_id), options)
        if problem is not None:
            return replace(problem, detach=pair)
        request = wire.get_conversation(pair.conversation_id)
        reply = await _ask(transport, pair, request, options, on_send)
        if isinstance(reply, DetachResult):
            return reply
        return await self._foresee(reply, pair)

    async def _admin_problem(
        self, transport: Transport, pair: Detach, admin_id: str, options: CallOptions
    ) -> DetachResult | None:
        async with self._turn:
            if admin_id not in self._admins:
                asked = await _ask(transport, pair, wire.get_admin(admin_id), options, None)
                problem = asked if isinstance(asked, DetachResult) else None
                if problem is not None and not isinstance(problem.error, AdminNotFoundError):
                    return problem  # it may pass: the next pair asks again
                self._admins[admin_id] = problem
        return self._admins[admin_id]

    async def _foresee(self, reply: Reply, pair: Detach) -> DetachResult:
        contacts = await participants(reply, pair.conversation_id)
        if contacts is None:
            outcome = Outcome.UNKNOWN
        elif pair.contact_id not in contacts:
            outcome = Outcome.ALREADY_ABSENT
        elif len(contacts) - self._removed[pair.conversation_id] <= 1:
            outcome = Outcome.REFUSED_LAST_CONTACT
        else:
            self._removed[pair.conversation_id] += 1
            outcome = Outcome.DETACHED
        return DetachResult(
            detach=pair,
            outcome=outcome,
            answer=reply,
            attempts=reply.attempts,
            refusals=reply.refusals,
            request_id=reply.request_id,
        )


async def _ask(
    transport: Transport,
    pair: Detach,
    request: Request,
    options: CallOptions,
    on_send: Callable[[], Awaitable[None] | None] | None,
) -> Reply | DetachResult:
    """Return the reply to a question, or the pair's outcome if it fails."""
    try:
        reply = await transport.send(request, options, on_send=on_send)
    except ConnectionFailedError as error:
        return DetachResult(
            detach=pair, outcome=Outcome.FAILED, error=error, attempts=error.attempts
        )
    except RateLimitWaitError as error:
        return DetachResult(
            detach=pair, outcome=Outcome.FAILED, error=error, refusals=error.refusals
        )
    if reply.succeeded:
        return reply
    answered = error_of(reply)
    missing = isinstance(answered, ConversationNotFoundError)
    result = DetachResult(
        detach=pair,
        outcome=Outcome.CONVERSATION_MISSING if missing else Outcome.FAILED,
        error=answered,
        attempts=reply.attempts,
        refusals=reply.refusals,
        request_id=wire.request_id_of(reply),
    )
    return await with_fatal(transport, result, answered, options)
