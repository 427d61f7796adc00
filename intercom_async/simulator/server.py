"""The server: sockets, time and the order in which a request is treated.

A request goes through these gates, as at Intercom: token, quota, faults on order, endpoint. Half of
the latency passes before the first gate, half after the last.
"""

import asyncio
import contextlib
import email.utils
import functools
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Self

from aiohttp import web

from intercom_async.errors import ClientStateError, InvalidArgumentError
from intercom_async.simulator.endpoints import Endpoints, ReplyForm
from intercom_async.simulator.faults import Fault, FaultPlan
from intercom_async.simulator.quota import Quota
from intercom_async.simulator.reply import REQUEST_ID, TOKEN_INVALID, Reply
from intercom_async.simulator.requests import Request, Requests
from intercom_async.simulator.workspace import RefusedError, Workspace

_HOST = "127.0.0.1"
_TURNS_TO_ACCEPT = 3
"""Turns of the loop until a connection that asyncio accepts is in aiohttp's hands."""

_SHUTDOWN = 1.0
"""Seconds aiohttp may take to wind up connections that nothing runs on any more."""


class IntercomSimulator:
    """A workspace of Intercom on loopback, for tests of code that talks to Intercom.

        async with IntercomSimulator(limit=50) as sim:
            (pair, *_) = sim.workspace.populate(conversations=1)
            sim.faults.add(Fault.RESET_AFTER_APPLYING)
            async with IntercomClient(sim.token, base_url=sim.url) as client:
                await client.detach_contact(*pair, admin_id=sim.admin_id)
            assert sim.applied[pair] == 1

    `with IntercomSimulator() as sim:` runs it in a thread of its own, for code without asyncio or
    with event loops that change.

    Args:
        token: the access token it accepts.
        limit: requests per window.
        window: seconds of a window.
        latency: seconds from a request to its reply, or a range of seconds to draw from.
        reply_form: how attach and detach are answered.
        region, app_id: the workspace's, for `GET /me`.
        in_refused: fields that cannot be searched by IN.
        keep_log: whether `requests.log` keeps every request.
        port: 0 for a free one.
        ssl_context: makes it serve https.
        seed: of all ids and random numbers.
        clock: Unix seconds by the server. By default this machine's time at the start, advanced
            by the running loop's clock; so a loop that tests drive drives the quota, too.

    Attributes:
        workspace: admins, contacts and conversations, to fill and to inspect.
        admin_id: the owner of the token.
        quota: the windows and their use.
        faults: what goes wrong.
        requests: counters of what arrived.
    """

    def __init__(
        self,
        *,
        token: str = "token",  # noqa: S107  it opens nothing but the simulator
        limit: int = 167,
        window: float = 10.0,
        latency: float | tuple[float, float] = 0.0,
        reply_form: ReplyForm = ReplyForm.PARTICIPANTS,
        region: str = "US",
        app_id: str = "simulator",
        in_refused: Collection[str] = (),
        keep_log: bool = False,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        seed: int = 0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._latency = latency if isinstance(latency, tuple) else (latency, latency)
        if not 0 <= self._latency[0] <= self._latency[1]:
            raise InvalidArgumentError("latency", latency, "seconds or (low, high)")
        self.token = token
        self.workspace = Workspace(seed)
        self.admin_id = self.workspace.add_admin()
        self.quota = Quota(limit=limit, window=window)
        self.faults = FaultPlan(seed)
        self.requests = Requests(keep_log=keep_log)
        self._endpoints = Endpoints(
            workspace=self.workspace,
            reply_form=reply_form,
            region=region,
            app_id=app_id,
            in_refused=frozenset(in_refused),
        )
        self._port = port
        self._ssl_context = ssl_context
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311  reproducible, guards no secret
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.ServerRunner | None = None
        self._listener: socket.socket | None = None
        # Of each connection with a request in flight, the task that serves it.
        self._busy: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self._is_away = False

    # Life

    @property
    def url(self) -> str:
        """The base address to give to a client."""
        if not self._port:
            raise ClientStateError("the simulator has no address before it is started")
        return f"http{'' if self._ssl_context is None else 's'}://{_HOST}:{self._port}"

    async def start(self) -> None:
        """Listen. A simulator that was closed comes back at the same address."""
        await self._at_home(self._start())

    async def aclose(self) -> None:
        """Stop listening and drop all connections, without answering what is in flight."""
        await self._at_home(self._close())

    async def outage(self, seconds: float) -> None:
        """Answer 503 to every request for some seconds, as a gateway does, then return.

        Nothing is applied or counted meanwhile. Run it as a task beside the code that it is to
        disturb.
        """
        self._is_away = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._is_away = False

    async def _at_home(self, work: Coroutine[Any, Any, None]) -> None:
        """Await work that must run on the server's own loop."""
        if self._thread is None or self._loop is None:
            await work
        else:
            running = asyncio.run_coroutine_threadsafe(work, self._loop)
            await asyncio.wrap_future(running)

    async def _start(self) -> None:
        if self._runner is not None:
            raise ClientStateError("the simulator is running already")
        loop = asyncio.get_running_loop()
        if self._clock is None:
            origin = time.time() - loop.time()
            self._clock = lambda: origin + loop.time()
        listener = socket.create_server((_HOST, self._port), backlog=1024)
        self._port = listener.getsockname()[1]
        runner = web.ServerRunner(
            web.Server(self._serve, access_log=None), shutdown_timeout=_SHUTDOWN
        )
        await runner.setup()
        site = web.SockSite(runner, listener, ssl_context=self._ssl_context, backlog=1024)
        await site.start()
        self._loop, self._runner, self._listener = loop, runner, listener

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None or self._listener is None or runner.server is None:
            return
        # asyncio's server loses what it accepts in the turn of the loop in which it is closed.
        with contextlib.suppress(NotImplementedError):  # of Windows' own loop
            asyncio.get_running_loop().remove_reader(self._listener)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        for site in list(runner.sites):
            await site.stop()
        for task in self._busy:
            task.cancel()
        for connection in runner.server.connections:
            # An orderly end of TLS would wait for the client.
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="intercom-simulator", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), loop).result()
        except BaseException:
            _end(thread, loop)
            raise
        self._thread = thread
        return self

    def __exit__(self, *_: object) -> None:
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            _end(thread, self._loop)

    # For tests

    @property
    def applied(self) -> Counter[tuple[str, str]]:
        """For each (conversation id, contact id) how often a detach was applied."""
        return self.workspace.detached

    def now(self) -> float:
        """Unix seconds by the server's clock."""
        if self._clock is None:
            raise ClientStateError("the simulator has no clock before it is started")
        return self._clock()

    def spend(self, requests: int) -> None:
        """Use up quota of the current window, as another process with this token would."""
        self.quota.spend(requests, self.now())

    def release(self) -> None:
        """Let requests that hang (`Fault.HANG`) go on."""
        released, self._released = self._released, asyncio.Event()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(released.set)

    # A request's way

    async def _serve(self, arrived: web.BaseRequest) -> Reply:
        path = arrived.raw_path.partition("?")[0]
        request = Request(method=arrived.method, path=path, headers=arrived.headers)
        headers = {
            "Date": _http_date(int(self.now())),
            "Server": "nginx",
            "Content-Type": "application/json; charset=utf-8",
            REQUEST_ID: f"{self._random.getrandbits(80):020x}",
        }
        reply = Reply(body=b"", headers=headers)
        self._busy.add(arrived.task)
        try:
            with self.requests.counting(request), contextlib.suppress(ConnectionError):
                half = self._random.uniform(*self._latency) / 2
                if half > 0:
                    await asyncio.sleep(half)
                request.body = await arrived.read()
                await self._answer(request, reply)
                if half + reply.delay > 0:
                    await asyncio.sleep(half + reply.delay)
                await reply.send(arrived)
                request.status = reply.status
        finally:
            self._busy.discard(arrived.task)
        return reply

    async def _answer(self, request: Request, reply: Reply) -> None:
        if self._is_away:
            reply.fail(503, "service_unavailable", "Service Unavailable")
            return
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            reply.fail(*TOKEN_INVALID)
            return
        standing = self.quota.charge(self.now())
        reply.show_quota(standing)
        if not standing.accepted:
            message = f"Exceeded rate limit of {standing.limit} in {self.quota.window:g}_seconds"
            reply.fail(429, "rate_limit_exceeded", message)
            return
        order = self.faults.draw(request)
        fault = None if order is None else order.fault
        if fault is Fault.HANG:
            await self._released.wait()
        if fault is None or fault.is_applied:
            reply.headers["Intercom-Version"] = request.headers.get("Intercom-Version", "Preview")
            try:
                reply.show(self._endpoints.answer(request))
            except RefusedError as refused:
                reply.fail(refused.status, refused.code, refused.message)
                if refused.link is not None:
                    reply.headers["Link"] = refused.link
        if order is not None:
            order.alter(reply)
        if fault is Fault.HANG_AFTER_APPLYING:
            await self._released.wait()


def _end(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@functools.lru_cache(maxsize=16)
def _http_date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)
