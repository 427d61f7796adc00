"""What calls do while Intercom is away: who waits, who looks, who fails, and what comes after."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import cast

import attrs
import msgspec
import pytest

from benchmarks.quota_world import Server
from benchmarks.quota_world import World as Conditions
from intercom_async.errors import (
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    UnknownOutcomeError,
)
from intercom_async.observing import Event, OutageBegan, OutageEnded
from intercom_async.pacing.limiter import Backlog, Limiter
from intercom_async.pacing.slots import UNBOUNDED
from intercom_async.pacing.window import Lane, RateLimitPolicy
from intercom_async.runtime import SYSTEM
from intercom_async.transport import wire
from intercom_async.transport.doubt import doubt_about
from intercom_async.transport.http import AttemptFailedError, Http
from intercom_async.transport.retrying import Failure, RetryPolicy
from intercom_async.transport.sending import CallOptions, Transport
from intercom_async.transport.wire import Reply, Request

pytestmark = pytest.mark.asyncio(loop_factories=["socketless"])

LIMIT = 500
LATENCY = 0.1
TIMEOUT = 30.0
WORKERS = 64
CALLERS = 60
BULK = CallOptions(
    lane=Lane.BULK, timeout=TIMEOUT, retry=RetryPolicy(), max_wait=None, patient=True
)
INTERACTIVE = CallOptions(
    lane=Lane.INTERACTIVE, timeout=TIMEOUT, retry=RetryPolicy(), max_wait=30.0
)
DETACH = wire.detach("1", "2", "3")

REFUSED, RESET, TIMED_OUT = Failure.NOT_SENT, Failure.DISCONNECTED, Failure.TIMED_OUT
CERTIFICATE = Failure.CERTIFICATE
UNAVAILABLE = Failure.TRANSIENT_STATUS
KINDS = [REFUSED, RESET, TIMED_OUT, UNAVAILABLE]


def _doubted(request: Request, reply: Reply) -> Reply:
    """The reply as `Http` hands it over."""
    return msgspec.structs.replace(reply, doubt=doubt_about(request, reply))


class Network:
    """In the place of `Http`: a server's arithmetic, without sockets, that can be away."""

    base_url = "http://test"
    slots = UNBOUNDED
    instrumented = False

    def __init__(self) -> None:
        self.server = Server(Conditions(name="outage", limit=LIMIT), "seed")
        self.away: Failure | None = None
        self.status = 503
        self.broken: set[str] = set()
        self.sent: list[float] = []
        self.answered: list[float] = []
        self.present = asyncio.Event()

    def ready(self) -> None:
        """Be ready."""

    async def attempt(self, request: Request, *, seconds: float) -> Reply:
        loop = asyncio.get_running_loop()
        self.sent.append(loop.time())
        away = self.away
        if away is TIMED_OUT:
            await asyncio.sleep(seconds)
        elif away is not REFUSED:
            await asyncio.sleep(LATENCY)
        if away is UNAVAILABLE:
            return _doubted(request, Reply(status=self.status, body=b""))
        if away is not None:
            raise AttemptFailedError(away, "it is away")
        told = self.server.answer(0, loop.time())
        status, headers = told.status or 0, told.headers
        if status == 200 and request.path in self.broken:
            status = 500
        self.answered.append(loop.time())
        self.present.set()
        body = b'{"customers": []}' if status == 200 else b""
        return _doubted(request, Reply(status=status, body=body, headers=headers))

    def sent_between(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.sent)


@attrs.define
class World:
    """One client's transport, its network, and what its bulk calls came to."""

    network: Network
    limiter: Limiter
    transport: Transport
    events: list[Event]
    tasks: list[asyncio.Task[None]] = attrs.Factory(list[asyncio.Task[None]])
    done: int = 0
    options: CallOptions = BULK

    def work(self, workers: int = WORKERS) -> None:
        """Let workers send one bulk call after the other, none of which may fail."""

        async def endless() -> None:
            while True:
                reply = await self.transport.send(DETACH, self.options)
                assert reply.status == 200
                self.done += 1

        self.limiter.expect(Backlog(unread=None))
        self.tasks += [asyncio.create_task(endless()) for _ in range(workers)]

    def check_workers(self) -> None:
        for task in self.tasks:
            if task.done():
                task.result()
        assert not any(task.done() for task in self.tasks)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def begin_outage(self, kind: Failure = UNAVAILABLE) -> None:
        """Be away, and return when the client knows."""
        self.network.away = kind
        while self.transport.outage is None:  # noqa: ASYNC110  the client has no event for it
            await asyncio.sleep(0.01)

    @property
    def idle(self) -> bool:
        outage, status = self.transport.absence, self.limiter.status()
        return outage.looker is None and (
            status is None or status.in_flight + status.waiting_bulk == 0
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    events: list[Event] = []
    network, limiter = Network(), Limiter(RateLimitPolicy())
    transport = Transport(
        http=cast("Http", network),
        limiter=lambda: limiter,
        retry_budget=100.0,
        observer=events.append,
        runtime=SYSTEM,
    )
    made = World(network, limiter, transport, events)
    yield made
    await made.stop()


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [*((kind, 60) for kind in KINDS), (RESET, 5), (UNAVAILABLE, 600), (TIMED_OUT, 3600)],
)
async def test_an_outage_costs_a_trickle_and_the_full_quota_follows_its_end(
    kind: Failure, seconds: int, world: World
) -> None:
    network = world.network
    world.work()
    await asyncio.sleep(25.0)
    began = now()
    network.away = kind
    await asyncio.sleep(seconds)
    network.away = None
    ended = now()
    network.present.clear()
    await network.present.wait()
    first = next(at for at in network.answered if at >= ended)
    await asyncio.sleep(first + 20.0 - now())
    world.check_workers()  # no call was used up

    # Until it is known: at the pace of before, or as much as may be in flight.
    known = min(ended, began + (TIMEOUT + 1.5 if kind is TIMED_OUT else 1.5))
    assert network.sent_between(began, known) <= 2 * LIMIT / 10 + WORKERS
    assert network.sent_between(known, ended) <= ended - known + 1
    assert first - ended <= 2 * TIMEOUT + 1.0
    in_window = sum(first <= at < first + 10.0 for at in network.answered)
    assert in_window >= 0.95 * LIMIT


async def test_looks_of_few_calls_with_few_attempts_use_none_of_them_up(world: World) -> None:
    world.options = msgspec.structs.replace(BULK, retry=RetryPolicy(attempts=2, total_time=5.0))
    world.work(6)
    await asyncio.sleep(5.0)
    world.network.away = RESET
    await asyncio.sleep(1800.0)
    world.network.away = None
    done = world.done
    await asyncio.sleep(60.0)
    world.check_workers()
    assert world.done > done


async def test_an_outage_before_the_first_answer_is_waited_out_too(world: World) -> None:
    world.network.away = REFUSED
    world.work()
    await asyncio.sleep(60.0)
    world.network.away = None
    await asyncio.sleep(60.0)
    world.check_workers()
    assert world.done > 2 * LIMIT
    assert world.network.sent_between(0.0, now()) < world.done + 200


@pytest.mark.parametrize("kind", KINDS)
async def test_any_number_of_interactive_callers_makes_no_storm(
    kind: Failure, world: World
) -> None:
    calls = 0

    async def impatient() -> None:
        nonlocal calls
        while True:
            calls += 1
            with contextlib.suppress(ConnectionFailedError, UnknownOutcomeError):
                await world.transport.send(DETACH, INTERACTIVE)
            await asyncio.sleep(1.0)

    world.tasks += [asyncio.create_task(impatient()) for _ in range(CALLERS)]
    await asyncio.sleep(5.0)
    await world.begin_outage(kind)
    began = now()
    calls = 0
    await asyncio.sleep(100.0)
    assert calls > 25 * CALLERS
    assert world.network.sent_between(began + 1.0, now()) <= CALLERS  # in flight then
    assert world.network.sent_between(began + 70.0, now()) <= 10


async def test_callers_that_never_wait_between_calls_do_not_hold_the_loop(world: World) -> None:
    world.work()
    await world.begin_outage()

    async def hasty() -> None:
        while True:
            with contextlib.suppress(ConnectionFailedError, UnknownOutcomeError):
                await world.transport.send(DETACH, INTERACTIVE)

    world.tasks.append(asyncio.create_task(hasty()))
    for _ in range(1000):
        await asyncio.sleep(0)


async def test_a_refused_certificate_is_no_outage(world: World) -> None:
    world.network.away = CERTIFICATE
    for _ in range(200):
        with pytest.raises(CertificateError):
            await world.transport.send(DETACH, BULK)
        await asyncio.sleep(0.1)
    assert world.transport.outage is None


async def test_a_refused_certificate_ends_a_look_and_its_call(world: World) -> None:
    world.work(8)
    await world.begin_outage(REFUSED)
    world.network.away = CERTIFICATE
    await asyncio.sleep(40.0)
    ended = [task for task in world.tasks if task.done()]
    assert ended
    assert all(isinstance(task.exception(), CertificateError) for task in ended)


async def test_pairs_that_are_always_answered_with_500_end_although_nothing_else_is_left(
    world: World,
) -> None:
    requests = [wire.detach(str(n), "2", "3") for n in range(20)]
    world.network.broken = {request.path for request in requests}
    replies = await asyncio.gather(*(world.transport.send(each, BULK) for each in requests))
    assert {reply.status for reply in replies} == {500}
    assert {reply.attempts for reply in replies} == {5}
    assert world.idle


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_calls_leave_no_look_and_no_permit(kind: Failure, world: World) -> None:
    world.work()
    await world.begin_outage(kind)
    await asyncio.sleep(7.3)
    status = world.limiter.status()
    assert status is None or status.in_flight <= 1
    await world.stop()
    assert world.idle


async def test_closing_ends_all_waiting_at_once(world: World) -> None:
    world.work()
    await world.begin_outage()
    await asyncio.sleep(0.3)
    began = now()
    world.transport.close()
    ended = await asyncio.wait_for(asyncio.gather(*world.tasks, return_exceptions=True), 5.0)
    assert now() - began < 1.0
    assert {type(error) for error in ended} <= {ClientStateError, UnknownOutcomeError}
    assert world.idle


async def test_an_outage_is_told_when_it_begins_and_when_it_ends(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.work()
    with caplog.at_level(logging.WARNING, "intercom_async"):
        await world.begin_outage()
        await asyncio.sleep(20.0)
        status = world.transport.outage
        assert status is not None
        assert 20.0 < status.since < 23.0
        assert "HTTP 503" in status.reason
        assert 0.0 <= status.next_look <= 30.0
        world.network.away = None
        await asyncio.sleep(60.0)
    told = [event for event in world.events if isinstance(event, OutageBegan | OutageEnded)]
    assert [type(event) for event in told] == [OutageBegan, OutageEnded]
    assert world.transport.outage is None
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0].split(" after")[0] for line in lines] == [
        "Intercom is away",
        "Intercom is back",
    ]
