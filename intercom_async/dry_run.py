"""Predicts the outcome of a detach without changing anything."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from intercom_async.detaching import Detach, DetachResult, Outcome, ask, participants
from intercom_async.errors import AdminNotFoundError
from intercom_async.transport import wire
from intercom_async.transport.sending import CallOptions, Transport


class DryRun:
    """Takes the place of `settle`: looks at pairs, and remembers what it would have removed.

    Each admin is looked up once; a pair fails if its admin does not exist. A contact is the last of
    its conversation if the run would have removed all others before.
    """

    def __init__(self) -> None:
        self._removed: Counter[str] = Counter()
        self._admins: dict[str, DetachResult] = {}
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
        # Raises if an id cannot be sent.
        wire.detach(pair.conversation_id, pair.contact_id, admin_id)
        admin = await self._look_at_admin(transport, pair, str(admin_id), options)
        if admin.error is not None:
            return replace(admin, detach=pair)
        look = wire.get_conversation(pair.conversation_id)
        result, reply = await ask(transport, pair, look, options, on_send=on_send)
        if result.error is not None:
            return result
        contacts = await participants(reply, pair.conversation_id)
        return replace(result, outcome=self._foresee(pair, contacts))

    async def _look_at_admin(
        self, transport: Transport, pair: Detach, admin_id: str, options: CallOptions
    ) -> DetachResult:
        async with self._turn:
            found = self._admins.get(admin_id)
            if found is None:
                look = wire.get_admin(admin_id)
                found, _ = await ask(transport, pair, look, options, outcomes={})
                # Other errors may pass, so the next pair asks again.
                if found.error is None or isinstance(found.error, AdminNotFoundError):
                    self._admins[admin_id] = found
        return found

    def _foresee(self, pair: Detach, contacts: frozenset[str] | None) -> Outcome:
        if contacts is None:
            return Outcome.UNKNOWN
        if pair.contact_id not in contacts:
            return Outcome.ALREADY_ABSENT
        if len(contacts) - self._removed[pair.conversation_id] <= 1:
            return Outcome.REFUSED_LAST_CONTACT
        self._removed[pair.conversation_id] += 1
        return Outcome.DETACHED
