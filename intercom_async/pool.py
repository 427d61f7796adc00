"""Clients for many workspaces in one process, opened on demand.

All of them share one session and so one connection pool, which keeps no cookies; everything
else is strictly apart. Each workspace has its own quota, its own retry budget, its own token. A
client costs a few kilobytes, so it stays until the pool is closed.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import attrs

from intercom_async.bulk.options import RunOptions
from intercom_async.client import DRY_RUN, IntercomClient, as_journal
from intercom_async.detaching import ATTACH, DETACH
from intercom_async.errors import (
    ClientStateError,
    InvalidArgumentError,
    WorkspaceAccessError,
)
from intercom_async.journal import Journal
from intercom_async.observing import Observer
from intercom_async.pool_run import Pairs, PoolRun, Routed
from intercom_async.transport.http import open_session
from intercom_async.transport.retrying import RetryPolicy
from intercom_async.transport.runtime import SYSTEM, Runtime
from intercom_async.transport.sharing import SharedBudget
from intercom_async.transport.window import RateLimitPolicy
from intercom_async.transport.wire import Region

if TYPE_CHECKING:
    import aiohttp

CONNECTIONS: Final = 512
"""Connections of a pool by default: about half of what a process may usually have open."""

AT_ONCE: Final = 256
"""Workspaces that a bulk run works on at the same time, by default."""


@attrs.frozen
class WorkspaceAccess:
    """How to reach one workspace.

    Attributes:
        token: access token; never shown.
        region: where the workspace is hosted: "us", "eu" or "au".
        base_url: goes before `region`; see `IntercomClient`.
        admin_id: the admin in whose name bulk runs act, for pairs that name none; None for the
            run's.
    """

    token: str = attrs.field(repr=False)
    region: Region = "us"
    base_url: str | None = None
    admin_id: str | None = None


Access = str | WorkspaceAccess
"""A token, or a token with what else is needed."""

Directory = Mapping[str, Access] | Callable[[str], Access | Awaitable[Access]]
"""Where a pool finds the access to a workspace: a mapping, or a function, perhaps a coroutine
function, that is called with the key each time a client is opened."""


@attrs.define(eq=False)
class _Entry:
    """A workspace that was asked for; `client` is None until its access was found."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    access: WorkspaceAccess | None = None
    client: IntercomClient | None = None


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(name, value, "a whole number of at least 1")


class IntercomPool:
    """Lends clients by workspace.

    ::

        async with IntercomPool(token_of_workspace) as pool:
            async with pool.client("acme") as client:
                await client.detach_contact("1295", "5ba682d2", admin_id="5017690")

    Args:
        directory: where the access to a workspace is found; see `Directory`.
        connections: connections at most, all workspaces together.
        session: an `aiohttp.ClientSession` of the application's, used and never closed; see
            `IntercomClient`.
        version, timeout, retry, proxy, rate_limit, shared_budget, observer: of every client; see
            `IntercomClient`. `rate_limit.key` must be None, because each workspace has a quota
            of its own.
        runtime: clock, sleep and randomness, for tests.

    Raises:
        InvalidArgumentError: a value that cannot be used, named.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        connections: int = CONNECTIONS,
        session: "aiohttp.ClientSession | None" = None,
        version: str = "Preview",
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
        proxy: str | None = None,
        rate_limit: RateLimitPolicy = RateLimitPolicy(),  # noqa: B008  frozen
        shared_budget: SharedBudget | None = None,
        observer: Observer | None = None,
        runtime: Runtime = SYSTEM,
    ) -> None:
        self._find: Callable[[str], object] = (
            cast("Mapping[str, object]", directory).__getitem__
            if isinstance(directory, Mapping)
            else directory
        )
        del directory  # a mapping's `repr` shows the tokens; see `Secret`
        if not callable(self._find):
            raise InvalidArgumentError("directory", None, "a mapping or a callable")
        _check_count("connections", connections)
        options: dict[str, Any] = {
            "version": version,
            "timeout": timeout,
            "retry": retry,
            "proxy": proxy,
            "rate_limit": rate_limit,
            "shared_budget": shared_budget,
            "observer": observer,
            "runtime": runtime,
        }
        IntercomClient("checks-the-options", **options)
        if rate_limit.key is not None:
            raise InvalidArgumentError(
                "rate_limit", rate_limit, "a policy without key: each workspace has its own quota"
            )
        self._connections = connections
        self._injected = session
        self._session = session
        self._options = options
        self._runtime = runtime
        self._entries: dict[str, _Entry] = {}
        self._look_ups: set[asyncio.Timeout] = set()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._entries)} workspaces"
        return f"<IntercomPool ({state})>"

    async def __aenter__(self) -> Self:
        _ = self._ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all clients and connections; harmless when done twice.

        Calls under way end as by `IntercomClient.aclose`, and whoever waits for a look-up gets
        `ClientStateError`. An injected session stays open.
        """
        self._closed = True
        while self._look_ups:
            self._look_ups.pop().reschedule(0.0)  # long past on the loop's clock
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            if entry.client is not None:
                await entry.client.aclose()
        session, self._session = self._session, None
        if session is not None and session is not self._injected:
            await session.close()

    @asynccontextmanager
    async def client(self, workspace: str) -> AsyncGenerator[IntercomClient]:
        """Lend the client of a workspace.

        Args:
            workspace: its key in the directory.

        Raises:
            WorkspaceAccessError: the directory does not know it, or failed.
            ClientStateError: the pool is closed.
        """
        client, _ = await self.open(workspace)
        yield client

    def forget(self, workspace: str) -> None:
        """Look the access up again when the workspace is asked for next, for its token changed.

        Calls under way end with the old one.
        """
        self._entries.pop(workspace, None)

    def detach_contacts(
        self,
        pairs: Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed] | None = None,
        *,
        admin_id: str | int | None = None,
        concurrency: int | None = None,
        at_once: int = AT_ONCE,
        journal: str | os.PathLike[str] | Journal | None = None,
        dry_run: bool = False,
        stop_after_missing: int | None = 100,
        outage_patience: float = 900.0,
    ) -> PoolRun:
        """Detach many contacts in many workspaces, each at its own quota; see `PoolRun`.

        Args:
            pairs: a mapping from workspaces to their pairs, or pairs with their workspaces (see
                `Routed`) in any order. They are read ahead, into the journal. None works off what
                the journal has and is not settled.
            admin_id: for pairs that name no admin, in workspaces whose access names none.
            concurrency: requests in flight at most in each workspace; None to compute it.
            at_once: workspaces in work at the same time.
            journal: one file for all workspaces, each bound to the one its token belongs to; see
                `IntercomClient.detach_contacts`.
            dry_run: see there.
            stop_after_missing: of each workspace; see there.
            outage_patience: likewise.

        Raises:
            InvalidArgumentError: an argument that cannot be used.
        """
        if dry_run and journal is not None:
            raise InvalidArgumentError("journal", journal, "None in a dry run: nothing is done")
        options = RunOptions(
            operation=DRY_RUN if dry_run else DETACH.name,
            base_url="",
            admin_id=admin_id,
            concurrency=concurrency,
            stop_after_missing=stop_after_missing,
            outage_patience=outage_patience,
        )
        return self._run(pairs, options, journal, at_once)

    def attach_contacts(
        self,
        pairs: Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed] | None = None,
        *,
        admin_id: str | int | None = None,
        concurrency: int | None = None,
        at_once: int = AT_ONCE,
        journal: str | os.PathLike[str] | Journal | None = None,
        stop_after_missing: int | None = 100,
        outage_patience: float = 900.0,
    ) -> PoolRun:
        """Add many contacts to conversations: the undo of `detach_contacts`.

        Raises:
            InvalidArgumentError: an argument that cannot be used.
        """
        options = RunOptions(
            operation=ATTACH.name,
            base_url="",
            admin_id=admin_id,
            concurrency=concurrency,
            stop_after_missing=stop_after_missing,
            outage_patience=outage_patience,
        )
        return self._run(pairs, options, journal, at_once)

    def _run(
        self,
        pairs: Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed] | None,
        options: RunOptions,
        journal: str | os.PathLike[str] | Journal | None,
        at_once: int,
    ) -> PoolRun:
        _check_count("at_once", at_once)
        return PoolRun(
            pairs,
            clients=self,
            journal=as_journal(journal),
            options=options,
            at_once=at_once,
            runtime=self._runtime,
        )

    # --- clients -------------------------------------------------------------------------------

    def _ready(self) -> "aiohttp.ClientSession":
        if self._closed:
            raise ClientStateError("the pool is closed; open a new one")
        if self._session is None:
            self._session = open_session(self._connections)
        return self._session

    async def open(
        self, workspace: str, *, refused: IntercomClient | None = None
    ) -> tuple[IntercomClient, str | None]:
        """Return the client of a workspace as `client` does, and its admin, if it has one.

        Args:
            workspace: its key in the directory.
            refused: a client whose token was refused: look the token up once more. If it is still
                the same, so is the client.

        Raises:
            WorkspaceAccessError: the directory does not know it, or failed.
            ClientStateError: the pool is closed.
        """
        session = self._ready()
        entry = self._entries.setdefault(workspace, _Entry())
        scope = asyncio.timeout(None)
        self._look_ups.add(scope)
        try:
            async with scope, entry.lock:
                if entry.client is None or entry.client is refused:
                    access = await self._look_up(workspace)
                    if entry.access is None or entry.access.token != access.token:
                        entry.client = IntercomClient(
                            access.token,
                            region=access.region,
                            base_url=access.base_url,
                            session=session,
                            **self._options,
                        )
                    entry.access = access
        except TimeoutError:
            _ = self._ready()
            raise
        finally:
            self._look_ups.discard(scope)
            if entry.client is None and self._entries.get(workspace) is entry:
                del self._entries[workspace]
        assert entry.client is not None  # noqa: S101  set just above
        assert entry.access is not None  # noqa: S101  likewise
        return entry.client, entry.access.admin_id

    async def _look_up(self, workspace: str) -> WorkspaceAccess:
        try:
            found = self._find(workspace)
            if inspect.isawaitable(found):
                found = await found
        except Exception as error:
            raise WorkspaceAccessError(workspace, f"{type(error).__name__}") from error
        if isinstance(found, str):
            return WorkspaceAccess(found)
        if isinstance(found, WorkspaceAccess):
            return found
        del found  # whatever it is, a token may be in it
        raise WorkspaceAccessError(workspace, "the directory gave no token")
