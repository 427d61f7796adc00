"""Connections of a pool: a request without one has not been sent, and nobody is left out."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async import IntercomClient, Lane, RateLimitPolicy, RateLimitWaitError
from intercom_async.pacing.limiter import Limiter
from intercom_async.pacing.slots import Slots
from intercom_async.pacing.window import Permit
from intercom_async.simulator import IntercomSimulator


class Workspace:
    """Has some requests to send, each of which keeps its slot until it is answered."""

    def __init__(self, slots: Slots, wanted: int, *, bulk: bool) -> None:
        self.slots, self.wanted, self.bulk = slots, wanted, bulk
        self.in_flight = self.sent = 0

    def send(self) -> None:
        while self.wanted and self.slots.free(bulk=self.bulk):
            self.slots.take()
            self.wanted -= 1
            self.in_flight += 1
            self.sent += 1
        if self.wanted:
            self.slots.stand_in_line(self.send, bulk=self.bulk)

    def answered(self) -> None:
        self.in_flight -= 1
        self.slots.give_back()


@given(
    limit=st.integers(1, 70),
    wanted=st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=8),
    answers=st.lists(st.integers(0, 10_000), max_size=300),
)
def test_no_slot_is_given_twice_none_lies_idle_and_all_who_wait_get_equal_parts(
    limit: int, wanted: list[tuple[int, bool]], answers: list[int]
) -> None:
    slots = Slots(limit)
    places = [Workspace(slots, count, bulk=bulk) for count, bulk in wanted]
    for place in places:
        place.send()
    waiting = [place for place in places if place.wanted]
    before = Counter({place: place.sent for place in waiting})
    for answer in answers:
        busy = [place for place in places if place.in_flight]
        if not busy:
            break
        calls_wait = any(place.wanted and not place.bulk for place in places)
        bulk_sent = sum(place.sent for place in places if place.bulk)
        busy[answer % len(busy)].answered()
        assert slots.used == sum(place.in_flight for place in places) <= limit
        if calls_wait:
            assert bulk_sent == sum(place.sent for place in places if place.bulk)
        for bulk in (False, True):
            line = [place for place in waiting if place.bulk is bulk]
            assert not slots.free(bulk=bulk) or not any(place.wanted for place in line)
            given_out = [place.sent - before[place] for place in line if place.wanted]
            assert not given_out or max(given_out) - min(given_out) <= 1


@pytest.mark.parametrize(
    ("limit", "bulk", "calls"),
    [
        (64, 60, 4),  # bulk leaves one slot in sixteen to interactive calls
        (0, 10_000, 10_000),  # no limit
    ],
)
def test_a_pool_lets_go_as_many_as_it_has_slots(limit: int, bulk: int, calls: int) -> None:
    slots = Slots(limit)
    for is_bulk, in_flight in ((True, bulk), (False, calls)):
        place = Workspace(slots, 10_000, bulk=is_bulk)
        place.send()
        assert place.in_flight == in_flight


def _done(limiter: Limiter, permit: Permit) -> None:
    limiter.release(permit, headers=None, status=None, sent=False)


@pytest.mark.asyncio(loop_factories=["driven"])
async def test_a_waiter_that_is_cancelled_leaves_its_slot_to_the_next() -> None:
    slots = Slots(1)
    limiters = [Limiter(RateLimitPolicy()) for _ in range(3)]
    first, *others = [
        asyncio.create_task(limiter.acquire(Lane.BULK, slots=slots)) for limiter in limiters
    ]
    await asyncio.sleep(0)
    others[0].cancel()
    await asyncio.sleep(0)
    _done(limiters[0], await first)
    async with asyncio.timeout(1.0):
        _done(limiters[2], await others[1])
    assert slots.used == 0


@pytest.mark.asyncio(loop_factories=["driven"])
async def test_a_call_that_runs_out_of_patience_says_that_all_connections_are_in_use() -> None:
    slots, limiter = Slots(1), Limiter(RateLimitPolicy())
    permit = await limiter.acquire(Lane.INTERACTIVE, slots=slots)
    with pytest.raises(RateLimitWaitError, match=r"connections are in use, longer than the 2\.00"):
        await limiter.acquire(Lane.INTERACTIVE, slots=slots, max_wait=2.0)
    _done(limiter, permit)
    assert slots.used == 0


@pytest.mark.asyncio(loop_factories=["driven"])
async def test_clients_of_one_session_share_its_connections_and_lose_none_by_waiting() -> None:
    async with AsyncExitStack() as stack:
        sims = [
            await stack.enter_async_context(
                IntercomSimulator(token=f"token-{n}", latency=8.0, limit=1667)
            )
            for n in range(4)
        ]
        connector = aiohttp.TCPConnector(limit=6, limit_per_host=4)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        clients = [IntercomClient(sim.token, base_url=sim.url, session=session) for sim in sims]
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(client.whoami() for client in clients for _ in range(3)))
        # Four at a time: three turns. Waiting for a connection counts for no time limit.
        assert loop.time() - began > 23.0
        assert [client.stats().requests for client in clients] == [3, 3, 3, 3]
        assert [sim.requests.total for sim in sims] == [3, 3, 3, 3]
