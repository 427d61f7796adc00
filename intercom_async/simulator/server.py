"""The server: sockets, time and the order in which a request is treated.

A request goes through these gates, as at Intercom: token, quota, faults on order, version and
Accept header, endpoint. Half of the latency passes before the first gate, half after the last.
"""

import asyncio
import email.utils
import random
import ssl
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDict

from intercom_async.errors import ClientStateError, InvalidArgumentError
from intercom_async.runtime import SYSTEM
from intercom_async.simulator import wire
from intercom_async.simulator.endpoints import (
    VERSIONS,
    Call,
    Endpoints,
    ReplyForm,
    segments_of,
)
from intercom_async.simulator.faults import FaultPlan, Outage, When
from intercom_async.simulator.loop_thread import LoopThread
from intercom_async.simulator.quota import Quota
from intercom_async.simulator.refusals import Refusal, RefusedError
from intercom_async.simulator.reply import REQUEST_ID, Ending, Reply
from intercom_async.simulator.requests import Request, Requests
from intercom_async.simulator.workspace import Workspace

Latency = float | tuple[float, float] | Callable[[], float]
"""Seconds, or a range of seconds to draw from, or a function that returns seconds."""

KEEP_ALIVE = 75.0
"""Seconds an idle connection is kept, as web servers commonly do."""

SHUTDOWN = 1.0
"""Seconds aiohttp may take to wind up connections that nothing runs on any more."""


class IntercomSimulator:
    """A workspace of Intercom on loopback, for tests of code that talks to Intercom.

        async with IntercomSimulator(limit=50) as sim:
            (pair, *_) = sim.workspace.populate(conversations=1)
            async with IntercomClient(sim.token, base_url=sim.url) as client:
                await client.detach_contact(*pair, admin_id=sim.admin_id)
            assert sim.applied[pair] == 1

    `with IntercomSimulator() as sim:` runs it in a thread of its own, for code without asyncio or
    with event loops that change.

    Args:
        token: the access token it accepts.
        limit: requests per window.
        window: seconds of a window.
        counter_lag: requests by which X-RateLimit-Remaining is too high, see `Quota`.
        latency: from a request to its reply, see `Latency`.
        reply_form: how attach and detach are answered.
        unknown_admin: the answer when a request's `admin_id` names nobody. What Intercom says is
            not documented.
        version: the API version of requests without an Intercom-Version header.
        region, app_id: the workspace's, for `GET /me`.
        in_refused: fields that cannot be searched by IN.
        keep_log: whether `requests.log` keeps every request.
        port: 0 for a free one.
        ssl_context: makes it serve https.
        seed: of all ids and random numbers.
        clock: Unix seconds by the server. By default this machine's time at the start, advanced
            by the running loop's clock; a loop that tests drive so drives the quota too.
        skew: seconds the server's clock is ahead of that; may be changed at any time.

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
        counter_lag: int = 1,
        latency: Latency = 0.0,
        reply_form: ReplyForm = ReplyForm.PARTICIPANTS,
        unknown_admin: Refusal = Refusal.ACTING_ADMIN_NOT_FOUND,
        version: str = "Preview",
        region: str = "US",
        app_id: str = "simulator",
        in_refused: Collection[str] = (),
        keep_log: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        seed: int = 0,
        clock: Callable[[], float] | None = None,
        skew: float = 0.0,
    ) -> None:
        if version not in VERSIONS:
            raise InvalidArgumentError("version", version, "a version of the API")
        _check_latency(latency)
        self.token = token
        self.workspace = Workspace(seed)
        self.admin_id = self.workspace.add_admin()
        self.quota = Quota(limit=limit, window=window, counter_lag=counter_lag)
        self.faults = FaultPlan(seed)
        self.requests = Requests(keep_log=keep_log)
        self.skew = skew
        self._endpoints = Endpoints(
            workspace=self.workspace,
            reply_form=reply_form,
            unknown_admin=unknown_admin,
            region=region,
            app_id=app_id,
            in_refused=frozenset(in_refused),
        )
        self._latency = latency
        self._version = version
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._clock = clock
        self._origin: float | None = None
        self._random = random.Random(seed)  # noqa: S311  reproducible, guards no secret
        self._runner: web.ServerRunner | None = None
        self._thread: LoopThread | None = None
        # Of each connection with a request in flight, the task that serves it.
        self._busy: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self._date = (0, "")
        self._outage: Outage | None = None
        self._back = asyncio.Event()

    # Life

    @property
    def url(self) -> str:
        """The base address to give to a client."""
        if not self._port:
            raise ClientStateError("the simulator has no address before it is started")
        scheme = "http" if self._ssl_context is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. A simulator that was closed comes back at the same address."""
        await self._at_home(self._start())

    async def _at_home(self, work: Coroutine[Any, Any, None]) -> None:
        """Await what must run on the server's own loop."""
        thread = self._thread
        if thread is None or asyncio.get_running_loop() is thread.loop:
            await work
        else:
            await thread.run_from_another_loop(work)

    async def _start(self) -> None:
        if self._runner is not None:
            raise ClientStateError("the simulator is running already")
        if self._origin is None:
            self._origin = SYSTEM.wall() - self._elapsed()
        server = web.Server(self._serve, access_log=None, keepalive_timeout=KEEP_ALIVE)
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN)
        await runner.setup()
        site = web.TCPSite(
            runner, self._host, self._port, ssl_context=self._ssl_context, backlog=1024
        )
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._port = site.port
        self._runner = runner

    async def aclose(self) -> None:
        """Stop listening and drop all connections, without answering what is in flight."""
        await self._at_home(self._close())

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        for task in self._busy:
            task.cancel()
        if runner.server is not None:
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
        if self._runner is not None:
            raise ClientStateError("the simulator is running already")
        self._thread = LoopThread()
        try:
            self._thread.run(self._start())
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.run(self._close())
            self._end_thread()

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    # For tests

    @property
    def applied(self) -> Counter[tuple[str, str]]:
        """For each (conversation id, contact id) how often a detach was applied."""
        return self.workspace.detached

    def now(self) -> float:
        """Unix seconds by the server's clock."""
        if self._clock is not None:
            return self._clock() + self.skew
        if self._origin is None:
            raise ClientStateError("the simulator has no clock before it is started")
        return self._origin + self._elapsed() + self.skew

    def _elapsed(self) -> float:
        return SYSTEM.monotonic() if self._thread is None else self._thread.loop.time()

    def spend(self, requests: int) -> None:
        """Use up quota of the current window, as another process with this token would."""
        self.quota.spend(requests, self.now())

    def release(self) -> None:
        """Let requests that hang (`Fault.HANG`) go on."""
        released, self._released = self._released, asyncio.Event()
        if self._thread is None:
            released.set()
        else:
            self._thread.loop.call_soon_threadsafe(released.set)

    async def outage(self, kind: Outage, seconds: float) -> None:
        """Fail every request in this way, and return after so many seconds.

        Run it as a task beside what it is to disturb.
        """
        await self._at_home(self._be_away(kind, seconds))

    async def _be_away(self, kind: Outage, seconds: float) -> None:
        if kind is Outage.REFUSED:
            await self._close()
            await SYSTEM.sleep(seconds)
            await self._start()
            return
        self._outage = kind
        try:
            await SYSTEM.sleep(seconds)
        finally:
            self._outage = None
            self._back.set()
            self._back = asyncio.Event()

    # A request's way

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        entry = Request(
            method=request.method,
            path=path,
            query=query,
            segments=segments_of(path),
            time=self.now(),
            headers=request.headers,
        )
        self._busy.add(request.task)
        self.requests.begin(entry)
        status: int | None = None
        try:
            latency = self._draw_latency()
            if latency > 0:
                await SYSTEM.sleep(latency / 2)
            if request.body_exists:
                entry.body = await request.read()
            if self._outage is None:
                reply = await self._reply(entry)
            else:
                reply = await self._fail(self._outage)
            if reply.held:
                await self._released.wait()
            if latency + reply.delay > 0:
                await SYSTEM.sleep(latency / 2 + reply.delay)
            sent = await wire.send(reply, request)
            if reply.ending in {Ending.COMPLETE, Ending.TRUNCATED}:
                status = reply.status
        except ConnectionError:  # the client went away
            sent = wire.Sent(keep_alive=False)
        finally:
            self.requests.end(entry, status)
            self._busy.discard(request.task)
        return sent

    async def _reply(self, entry: Request) -> Reply:
        now = self.now()
        reply = self._blank(now)
        if entry.headers.get("Authorization") != f"Bearer {self.token}":
            reply.refuse(Refusal.ACCESS_TOKEN_INVALID)
            return reply
        standing = self.quota.charge(now)
        reply.headers["X-RateLimit-Limit"] = str(standing.limit)
        reply.headers["X-RateLimit-Remaining"] = str(standing.remaining)
        reply.headers["X-RateLimit-Reset"] = str(standing.reset)
        if not standing.accepted:
            reply.fail(429, "rate_limit_exceeded", self.quota.refusal_message)
            return reply
        strikes = self.faults.draw(entry.method, entry.path, entry.conversation_id)
        if any(strike.when is When.HOLDING for strike in strikes):
            await self._released.wait()
        if not any(strike.when is When.INSTEAD for strike in strikes):
            self._handle(entry, reply)
        for strike in strikes:
            strike.alter(reply)
        return reply

    async def _fail(self, outage: Outage) -> Reply:
        reply = self._blank(self.now())
        if outage is Outage.UNAVAILABLE:
            reply.fail(503, "service_unavailable", "Service Unavailable")
        elif outage is Outage.RESET:
            reply.ending = Ending.RESET
        else:
            await self._back.wait()
            reply.ending = Ending.CLOSED
        return reply

    def _handle(self, entry: Request, reply: Reply) -> None:
        headers = entry.headers
        version = headers.get("Intercom-Version", self._version)
        try:
            _check_version(version)
            reply.headers["Intercom-Version"] = version
            _check_accept(headers.get("Accept"))
            call = Call(
                method=entry.method,
                segments=entry.segments,
                query=entry.query,
                version=version,
                content_type=headers.get("Content-Type", "").partition(";")[0].strip(),
                body=entry.body,
                now=self.now(),
            )
            reply.show(self._endpoints.answer(call))
        except RefusedError as refused:
            reply.refuse(refused.refusal)
            if refused.link is not None:
                reply.headers["Link"] = refused.link

    def _blank(self, now: float) -> Reply:
        second = int(now)
        if self._date[0] != second:
            self._date = (second, email.utils.formatdate(second, usegmt=True))
        request_id = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return Reply(
            headers=CIMultiDict(
                {
                    "Date": self._date[1],
                    "Content-Type": "application/json; charset=utf-8",
                    REQUEST_ID: str(request_id),
                }
            )
        )

    def _draw_latency(self) -> float:
        match self._latency:
            case (low, high):
                return self._random.uniform(low, high)
            case float() | int() as seconds:
                return seconds
            case draw:
                return draw()


def _check_latency(latency: Latency) -> None:
    match latency:
        case (low, high) if 0 <= low <= high:
            pass
        case float() | int() as seconds if seconds >= 0:
            pass
        case draw if callable(draw):
            pass
        case _:
            raise InvalidArgumentError("latency", latency, "seconds, (low, high) or a function")


def _check_version(version: str) -> None:
    if version not in VERSIONS:
        raise RefusedError(Refusal.VERSION_UNKNOWN)


def _check_accept(accept: str | None) -> None:
    if accept is None:
        raise RefusedError(Refusal.RESOURCE_NOT_FOUND)
    kinds = {kind.partition(";")[0].strip() for kind in accept.split(",")}
    if kinds.isdisjoint({"application/json", "application/*", "*/*"}):
        raise RefusedError(Refusal.NOT_ACCEPTABLE)
