"""The token that a run works with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from intercom_async.detaching import Detach
from intercom_async.errors import (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    IntercomError,
    PermissionDeniedError,
    ServerError,
    UnknownOutcomeError,
)
from intercom_async.model import Identity
from intercom_async.pacing.limiter import Backlog, Limiter
from intercom_async.runtime import Runtime
from intercom_async.transport.retrying import RetryPolicy, backoff
from intercom_async.transport.sending import Transport

_ODD_ANSWERS: Final = 3
"""Answers to `GET /me` that may make no sense before the run stops."""

_PASSING: Final = (ServerError, ConnectionFailedError, UnknownOutcomeError)
_FINAL: Final = (AuthenticationError, PermissionDeniedError, CertificateError, ClientStateError)

WhoAmI = Callable[[], Awaitable[Identity]]
Renew = Callable[[], Awaitable[tuple[Transport, WhoAmI] | None]]
"""Looks a token up once more; None if it is still the same."""


class Access:
    """What a run sends with, whose token that is, and another token if it is refused.

    Args:
        admin_id: the run's, for pairs that name no admin; None for the token's own.
        retry: how long to wait before `GET /me` is sent again.

    Attributes:
        patient: whether to wait for Intercom to come back still.
        transport: sends the requests; another one after `renewed`.
        identity: who the token belongs to; None before `who` was asked.
    """

    def __init__(
        self,
        transport: Transport,
        whoami: WhoAmI,
        renew: Renew | None,
        *,
        admin_id: str | None,
        retry: RetryPolicy,
        runtime: Runtime,
    ) -> None:
        self.transport = transport
        self.patient: Callable[[], bool] = lambda: True
        self._admin_id = admin_id
        self._retry = retry
        self._runtime = runtime
        self.identity: Identity | None = None
        self._whoami = whoami
        self._renew = renew
        self._refused: Transport | None = None
        self._asking = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._limiter: Limiter | None = None
        self._backlog: Backlog | None = None

    def expect(self, backlog: Backlog) -> None:
        """Tell the limiter how much there is to do.

        Raises:
            ClientStateError: the client cannot be used.
        """
        self._limiter, self._backlog = self.transport.limiter, backlog
        self._limiter.expect(backlog)

    def forget(self) -> None:
        """Tell the limiter that nothing is left."""
        if self._limiter is not None and self._backlog is not None:
            self._limiter.forget(self._backlog)
            self._limiter = None

    def wake(self) -> None:
        """Let those that wait for a permit look at the backlog again."""
        if self._limiter is not None and self._backlog is not None:
            self.forget()
            self.expect(self._backlog)

    def admin_of(self, pair: Detach) -> str | None:
        """Return a pair's admin: its own, the run's, or the token's; None while nobody asked."""
        own = None if self.identity is None else self.identity.id
        return pair.admin_id or self._admin_id or own

    async def who(self) -> Identity:
        """Return who the token belongs to, asked once; again after a failure that may pass.

        Raises:
            IntercomError: nobody can say, or the run is not patient any more.
        """
        async with self._asking:
            tries = 0
            while self.identity is None:
                tries += 1
                try:
                    self.identity = await self._ask()
                except IntercomError as error:
                    again = self.patient() if may_pass(error) else tries < _ODD_ANSWERS
                    if isinstance(error, _FINAL) or not again:
                        raise
                    random = self._runtime.random()
                    await self._runtime.sleep(backoff(self._retry, attempts=tries, random=random))
        return self.identity

    async def _ask(self) -> Identity:
        transport = self.transport
        try:
            return await self._whoami()
        except AuthenticationError:
            if not await self.renewed(transport):
                raise
            return await self._whoami()

    async def renewed(self, refused: Transport) -> bool:
        """Look a refused token up once more; whether there is another now."""
        if self._renew is None:
            return False
        async with self._renewing:
            if self._refused is refused:
                return False
            if self.transport is refused:
                found = await self._renew()
                if found is None:
                    self._refused = refused
                    return False
                self.transport, self._whoami = found
                self.wake()
        return True


def may_pass(error: BaseException | None) -> bool:
    """Whether another try, some time later, may go better."""
    return isinstance(error, _PASSING) and not isinstance(error, CertificateError)
