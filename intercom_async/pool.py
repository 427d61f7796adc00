"""Clients for many workspaces in one process: opened on demand, bounded, closed when idle.

All of them share one session and so one connection pool, which keeps no cookies; everything
else is strictly apart. Each workspace has its own quota, its own retry budget, its own token.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import attrs

from intercom_async.client import IntercomClient
from intercom_async.errors import (
    ClientStateError,
    InvalidArgumentError,
    WorkspaceAccessError,
)
from intercom_async.events import Observer
from intercom_async.pool_run import Pairs, PoolRun, Routed
from intercom_async.transport.http import open_session
from intercom_async.transport.runtime import SYSTEM, Runtime, TimerHandle
from intercom_async.transport.sharing import SharedBudget
from intercom_async.transport.verdict import RetryPolicy
from intercom_async.transport.window import RateLimitPolicy

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
    region: str = "us"
    base_url: str | None = None
    admin_id: str | None = None


Access = str | WorkspaceAccess
"""A token, or a token with what else is needed."""

Directory = Mapping[str, Access] | Callable[[str], Access | Awaitable[Access]]
"""Where a pool finds the access to a workspace: a mapping, or a function, perhaps a coroutine
function, that is called with the key each time a client is opened."""


@attrs.define(eq=False)
class _Entry:
    """A workspace in use or used lately; `client` is None while its access is looked up."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    client: IntercomClient | None = None
    admin_id: str | None = None
    leases: int = 0
    idle_since: float = 0.0


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
        max_clients: clients open at most; beyond it the one unused for longest is closed, and
            when all are in use, whoever asks waits.
        idle: seconds after which an unused client is closed.
        connections: connections at most, all workspaces together.
        session: an `aiohttp.ClientSession` of the application's, used and never closed; see
            `IntercomClient`.
        version, timeout, retry, rate_limit, shared_budget, observer: of every client; see
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
        max_clients: int = 1000,
        idle: float = 60.0,
        connections: int = CONNECTIONS,
        session: "aiohttp.ClientSession | None" = None,
        version: str = "Preview",
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
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
        _check_count("max_clients", max_clients)
        _check_count("connections", connections)
        if not isinstance(idle, int | float) or isinstance(idle, bool) or not idle > 0:
            raise InvalidArgumentError("idle", idle, "a positive number of seconds")
        options: dict[str, Any] = {
            "version": version,
            "timeout": timeout,
            "retry": retry,
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
        self._max_clients = max_clients
        self._idle = float(idle)
        self._connections = connections
        self._injected = session
        self._session = session
        self._options = options
        self._runtime = runtime
        self._entries: dict[str, _Entry] = {}
        self._room = asyncio.Event()
        self._timer: TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._entries)} open"
        return f"<IntercomPool of {self._max_clients} clients ({state})>"

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

        Calls under way end as by `IntercomClient.aclose`. An injected session stays open.
        """
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            if entry.client is not None:
                await entry.client.aclose()
        self._room.set()
        session, self._session = self._session, None
        if session is not None and session is not self._injected:
            await session.close()

    @property
    def open_workspaces(self) -> list[str]:
        """Keys of the workspaces whose clients are open, the one unused for longest first."""
        return list(self._entries)

    @asynccontextmanager
    async def client(self, workspace: str) -> AsyncGenerator[IntercomClient]:
        """Lend the client of a workspace; it stays open at least until the block ends.

        Args:
            workspace: its key in the directory.

        Raises:
            WorkspaceAccessError: the directory does not know it, or failed.
            ClientStateError: the pool is closed.
        """
        async with self.lend(workspace) as (client, _):
            yield client

    @asynccontextmanager
    async def lend(self, workspace: str) -> AsyncGenerator[tuple[IntercomClient, str | None]]:
        """Lend a client as `client` does, with the workspace's admin (None if it names none)."""
        entry = await self._entry(workspace)
        entry.leases += 1
        try:
            async with entry.lock:
                client = entry.client
                if client is None:
                    client = entry.client = await self._open(workspace, entry)
            yield client, entry.admin_id
        finally:
            entry.leases -= 1
            if not entry.leases:
                self._lay_aside(workspace, entry)

    def detach_contacts(
        self,
        pairs: Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed],
        *,
        admin_id: str | None = None,
        concurrency: int | None = None,
        at_once: int | None = None,
    ) -> PoolRun:
        """Detach many contacts in many workspaces, each at its own quota; see `PoolRun`.

        Args:
            pairs: a mapping from workspaces to their pairs, or triples
                `(workspace, conversation_id, contact_id)` (or `(workspace, Detach)`) in any
                order; pulled lazily. Triples sorted by workspace are worked off one workspace
                after the other, except for 10,000 that are read ahead: shuffle them, or use a
                mapping.
            admin_id: for pairs that name no admin, in workspaces whose access names none.
            concurrency: requests in flight at most in each workspace; None to compute it.
            at_once: workspaces that run at the same time; None for 256, or `max_clients` if
                that is less.

        Raises:
            InvalidArgumentError: an argument that cannot be used.
        """
        if at_once is None:
            at_once = min(AT_ONCE, self._max_clients)
        _check_count("at_once", at_once)
        if at_once > self._max_clients:
            raise InvalidArgumentError("at_once", at_once, f"at most {self._max_clients} clients")
        return PoolRun(
            pairs,
            admin_id=admin_id,
            concurrency=concurrency,
            at_once=at_once,
            lease=self.lend,
            runtime=self._runtime,
        )

    # --- clients come and go -------------------------------------------------------------------

    def _ready(self) -> "aiohttp.ClientSession":
        if self._closed:
            raise ClientStateError("the pool is closed; open a new one")
        if self._session is None:
            self._session = open_session(self._connections)
        return self._session

    async def _entry(self, workspace: str) -> _Entry:
        """Return a workspace's entry, a new one as soon as there is room."""
        while True:
            _ = self._ready()
            entry = self._entries.get(workspace)
            if entry is not None:
                return entry
            if len(self._entries) < self._max_clients:
                entry = self._entries[workspace] = _Entry()
                return entry
            unused = next((key for key, old in self._entries.items() if not old.leases), None)
            if unused is not None:
                await self._forget(unused)
            else:
                self._room.clear()
                await self._room.wait()

    async def _open(self, workspace: str, entry: _Entry) -> IntercomClient:
        access = await self._look_up(workspace)
        # The pool may have been closed meanwhile; then this raises.
        session = self._ready()
        client = IntercomClient(
            access.token,
            region=access.region,
            base_url=access.base_url,
            session=session,
            **self._options,
        )
        entry.admin_id = access.admin_id
        return client

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

    def _lay_aside(self, workspace: str, entry: _Entry) -> None:
        """Nobody uses it any more: keep it for a while, if it ever was opened."""
        if self._entries.get(workspace) is not entry:
            return  # the pool was closed
        del self._entries[workspace]
        if entry.client is not None:
            entry.idle_since = self._runtime.monotonic()
            self._entries[workspace] = entry  # at the end: the others are unused for longer
            if self._timer is None:
                self._timer = self._runtime.call_later(self._idle, self._sweep)
        self._room.set()

    async def _forget(self, workspace: str) -> None:
        entry = self._entries.pop(workspace)
        if entry.client is not None:
            await entry.client.aclose()

    def _sweep(self) -> None:
        """Drop clients that were idle for long enough, and look again when the next one is.

        There is nothing to close about them: the connections are the pool's, and no call runs.
        """
        self._timer = None
        now = self._runtime.monotonic()
        idle = [(key, entry) for key, entry in self._entries.items() if not entry.leases]
        for workspace, entry in idle:
            left = entry.idle_since + self._idle - now
            if left > 0:
                self._timer = self._runtime.call_later(left, self._sweep)
                break
            del self._entries[workspace]
        self._room.set()
