"""Clients for many workspaces in one process, opened on demand.

All clients share one session, and so its connections, but no cookies. Each workspace has its own
quota, retry budget and token. A client costs a few kilobytes, so it stays until the pool is closed.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self, TypedDict, Unpack, cast

import aiohttp
import attrs

from intercom_async.bulk.options import COUNT, BulkOptions, RunOptions
from intercom_async.client import DRY_RUN, IntercomClient, as_journal, connection_of
from intercom_async.detaching import ATTACH, DETACH
from intercom_async.errors import (
    ClientStateError,
    InvalidArgumentError,
    WorkspaceAccessError,
)
from intercom_async.journal import Journal
from intercom_async.observing import Observer
from intercom_async.pacing.shared_budget import SharedBudget
from intercom_async.pacing.window import RateLimitPolicy
from intercom_async.pool_run import AllPairs, PoolRun
from intercom_async.runtime import SYSTEM, Runtime
from intercom_async.transport.http import Http, open_session
from intercom_async.transport.retrying import RetryPolicy
from intercom_async.transport.wire import Region

_CONNECTIONS: Final = 512
"""Connections of a pool by default: about half of what a process may usually have open."""

_AT_ONCE: Final = 256
"""Workspaces that a bulk run works on at the same time, by default."""


@attrs.frozen
class WorkspaceAccess:
    """How to reach one workspace.

    Attributes:
        region, base_url: see `IntercomClient`.
        admin_id: the admin of pairs that name none; used in place of the run's.
    """

    token: str = attrs.field(repr=False)
    region: Region = "us"
    base_url: str | None = None
    admin_id: str | None = None


Access = str | WorkspaceAccess
"""A token alone, or a token with the region and the rest."""

Directory = Mapping[str, Access] | Callable[[str], Access | Awaitable[Access]]
"""Where a pool looks up the access to a workspace: a mapping, or a function or coroutine function
that is called with the key each time a client is opened."""


@attrs.define(eq=False)
class _Entry:
    """A workspace in use; `client` is None until the directory gave the access."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    access: WorkspaceAccess | None = None
    client: IntercomClient | None = None


@attrs.frozen
class _Bounds:
    connections: int = attrs.field(default=_CONNECTIONS, validator=COUNT)
    at_once: int = attrs.field(default=_AT_ONCE, validator=COUNT)


class ClientOptions(TypedDict, total=False):
    """What all clients of a pool have in common; see `IntercomClient`."""

    version: str
    timeout: float
    retry: RetryPolicy
    max_retries: int | None
    proxy: str | None
    default_headers: Mapping[str, str] | None
    user_agent_suffix: str | None
    rate_limit: RateLimitPolicy
    shared_budget: SharedBudget | None
    observer: Observer | None
    runtime: Runtime


class IntercomPool:
    """Lends clients by workspace.

    ::

        async with IntercomPool(token_of_workspace) as pool:
            async with pool.client("acme") as client:
                await client.detach_contact("1295", "5ba682d2", admin_id="5017690")

    Args:
        connections: connections at most, all workspaces together.
        session: an `aiohttp.ClientSession` of the application's, used and never closed; see
            `IntercomClient`.
        **options: of every client. `rate_limit.key` must be None, because each workspace has a
            quota of its own.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        connections: int = _CONNECTIONS,
        session: aiohttp.ClientSession | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._find: Callable[[str], object] = (
            cast("Mapping[str, object]", directory).__getitem__
            if isinstance(directory, Mapping)
            else directory
        )
        del directory  # a mapping's `repr` shows the tokens; see `Secret`
        if not callable(self._find):
            raise InvalidArgumentError("directory", None, "a mapping or a callable")
        _Bounds(connections=connections)
        IntercomClient(
            "none", **options
        )  # it knows what is wrong with an option, and opens nothing
        policy = options.get("rate_limit")
        if policy is not None and policy.key is not None:
            raise InvalidArgumentError(
                "rate_limit", policy, "without a key, because each workspace has its own quota"
            )
        self._connections = connections
        self._injected = session
        self._session = session
        self._options = options
        self._runtime = options.get("runtime", SYSTEM)
        self._entries: dict[str, _Entry] = {}
        self._look_ups: set[asyncio.Timeout] = set()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._entries)} workspaces"
        return f"<IntercomPool ({state})>"

    async def __aenter__(self) -> Self:
        _ = self._ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all clients and connections; a second call does nothing.

        Calls under way end as `IntercomClient.aclose` ends them, and tasks that wait for the
        directory get a `ClientStateError`. A session of the application's stays open.
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
        """Lend the client of a workspace, by its key in the directory.

        Raises:
            WorkspaceAccessError: the directory does not know it, or failed.
            ClientStateError: the pool is closed.
        """
        yield await self._open(workspace)

    def forget(self, workspace: str) -> None:
        """Forget a workspace's access, such as a token that has changed.

        Its next use asks the directory again; calls under way keep the old access.
        """
        self._entries.pop(workspace, None)

    def detach_contacts(
        self,
        pairs: AllPairs | None = None,
        *,
        at_once: int = _AT_ONCE,
        journal: str | os.PathLike[str] | Journal | None = None,
        dry_run: bool = False,
        **options: Unpack[BulkOptions],
    ) -> PoolRun:
        """Detach many contacts in many workspaces, each at its own quota; see `PoolRun`.

        Args:
            pairs: a mapping from workspaces to their pairs, or pairs with their workspaces (see
                `Routed`) in any order; the run reads them ahead, into the journal. None for the
                pairs that the journal has left to do.
            at_once: workspaces that the run works on at the same time. While it reads pairs in any
                order, no workspace gives up its place.
            journal: one for all workspaces, a file or a run in PostgreSQL; each key is bound to
                the workspace that its token belongs to.
            dry_run: change nothing, and keep no journal.
        """
        if dry_run and journal is not None:
            raise InvalidArgumentError("journal", journal, "None in a dry run")
        operation = DRY_RUN if dry_run else DETACH.name
        return self._run(operation, pairs, journal, at_once, options)

    def attach_contacts(
        self,
        pairs: AllPairs | None = None,
        *,
        at_once: int = _AT_ONCE,
        journal: str | os.PathLike[str] | Journal | None = None,
        **options: Unpack[BulkOptions],
    ) -> PoolRun:
        """Add many contacts to conversations: the undo of `detach_contacts`."""
        return self._run(ATTACH.name, pairs, journal, at_once, options)

    def _run(
        self,
        operation: str,
        pairs: AllPairs | None,
        journal: str | os.PathLike[str] | Journal | None,
        at_once: int,
        options: BulkOptions,
    ) -> PoolRun:
        _Bounds(at_once=at_once)
        return PoolRun(
            pairs,
            clients=self._open,
            journal=as_journal(journal, pairs),
            options=RunOptions(operation=operation, base_url="", **options),
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

    async def _open(self, workspace: str, refused: Http | None = None) -> IntercomClient:
        """Return the client of a workspace; if its token was refused, after another look-up."""
        session = self._ready()
        entry = self._entries.setdefault(workspace, _Entry())
        scope = asyncio.timeout(None)
        self._look_ups.add(scope)
        try:
            async with scope, entry.lock:
                if entry.client is None or connection_of(entry.client) is refused:
                    access = await self._look_up(workspace)
                    if access != entry.access or entry.client is None:
                        entry.access = access
                        entry.client = IntercomClient(
                            access.token,
                            region=access.region,
                            base_url=access.base_url,
                            admin_id=access.admin_id,
                            session=session,
                            **self._options,
                        )
                return entry.client
        except TimeoutError:
            _ = self._ready()
            raise
        finally:
            self._look_ups.discard(scope)
            if entry.client is None and self._entries.get(workspace) is entry:
                del self._entries[workspace]

    async def _look_up(self, workspace: str) -> WorkspaceAccess:
        try:
            access = self._find(workspace)
            if inspect.isawaitable(access):
                access = await access
        except Exception as error:
            raise WorkspaceAccessError(workspace, f"{type(error).__name__}") from error
        if isinstance(access, str):
            return WorkspaceAccess(access)
        if isinstance(access, WorkspaceAccess):
            return access
        del access  # whatever it is, a token may be in it
        raise WorkspaceAccessError(workspace, "the directory gave no token")
