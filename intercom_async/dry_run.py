"""Foretells the outcome of a detach without changing anything."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from intercom_async.detaching import Detach, Outcome, Settled, participants, with_fatal
from intercom_async.errors import (
    AdminNotFoundError,
    ConnectionFailedError,
    ConversationNotFoundError,
    RateLimitWaitError,
)
from intercom_async.transport import wire
from intercom_async.transport.answers import error_of
from intercom_async.transport.sending import CallOptions, Transport
from intercom_async.transport.wire import Reply, Request


class DryRun:
    """Looks at pairs in place of `settle`; remembers what it would have removed.

    An admin is looked up once; a pair in the name of one who does not exist fails. Who is the last
    contact of a conversation is reckoned without those that the run would remove before.
    """

    def __init__(self) -> None:
        self._removed: Counter[str] = Counter()
        self._admins: dict[str, Settled | None] = {}
        self._turn = asyncio.Lock()

    async def __call__(
        self,
        transport: Transport,
        pair: Detach,
        admin_id: str | None,
        options: CallOptions,
        *,
        ambiguous: bool,
        on_send: Callable[[], Awaitable[None]],
    ) -> Settled:
        """See `settle`; nothing is ambiguous, because nothing changes."""
        del ambiguous
        wire.detach(
            pair.conversation_id, pair.contact_id, admin_id
        )  # raises if an id cannot be sent
        problem = await self._admin_problem(transport, str(admin_id), options)
        if problem is not None:
            return problem
        request = wire.get_conversation(pair.conversation_id)
        reply = await _ask(transport, request, options, on_send)
        if isinstance(reply, Settled):
            return reply
        return await self._foresee(reply, pair)

    async def _admin_problem(
        self, transport: Transport, admin_id: str, options: CallOptions
    ) -> Settled | None:
        async with self._turn:
            if admin_id not in self._admins:
                asked = await _ask(transport, wire.get_admin(admin_id), options, None)
                problem = asked if isinstance(asked, Settled) else None
                if problem is not None and not isinstance(problem.error, AdminNotFoundError):
                    return problem  # the next pair may have more luck
                self._admins[admin_id] = problem
        return self._admins[admin_id]

    async def _foresee(self, reply: Reply, pair: Detach) -> Settled:
        found = await participants(reply, pair.conversation_id)
        if found is None:
            outcome = Outcome.UNKNOWN
        elif pair.contact_id not in found:
            outcome = Outcome.ALREADY_ABSENT
        elif len(found) - self._removed[pair.conversation_id] <= 1:
            outcome = Outcome.REFUSED_LAST_CONTACT
        else:
            self._removed[pair.conversation_id] += 1
            outcome = Outcome.DETACHED
        return Settled(
            outcome,
            reply=reply,
            attempts=reply.attempts,
            refusals=reply.refusals,
            request_id=reply.request_id,
        )


async def _ask(
    transport: Transport,
    request: Request,
    options: CallOptions,
    on_send: Callable[[], Awaitable[None]] | None,
) -> Reply | Settled:
    """Return the reply to a question, or the pair's outcome if it fails."""
    try:
        reply = await transport.send(request, options, on_send=on_send)
    except ConnectionFailedError as error:
        return Settled(Outcome.FAILED, error=error, attempts=error.attempts)
    except RateLimitWaitError as error:
        return Settled(Outcome.FAILED, error=error, refusals=error.refusals)
    if reply.succeeded:
        return reply
    answered = error_of(reply)
    missing = isinstance(answered, ConversationNotFoundError)
    settled = Settled(
        Outcome.CONVERSATION_MISSING if missing else Outcome.FAILED,
        error=answered,
        attempts=reply.attempts,
        refusals=reply.refusals,
        request_id=wire.request_id_of(reply),
    )
    return await with_fatal(transport, settled, answered, options)
