"""Whatever replies say about the quota, no client stops or storms.

An input is a talk with a server, written as people would: per exchange a line with what the
request was and how it was answered, then the reply's headers, then a blank line.

    bulk 429 rate_limit_exceeded 0.05 overlapping
    X-RateLimit-Limit: 160
    X-RateLimit-Remaining: 0
    Retry-After: 7

Words may come in any order and be left out: a lane, a status (0: it is lost), seconds until the
reply is there, whether the next request does not wait for it, "half" (in the first line: the client
may use half of the quota), anything else is an error's code.
"""

import itertools
import math
import re
from collections.abc import Iterator
from random import Random
from typing import Final

import attrs
import msgspec
from multidict import CIMultiDict

from intercom_async.pacing.server_clock import WINDOW
from intercom_async.pacing.window import (
    LONGEST_PAUSE,
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)
from intercom_async.transport.wire import quota_headers

WALL: Final = 1_735_689_605.0
"""This machine's Unix seconds, as good as any."""

LONGEST_WAIT: Final = LONGEST_PAUSE + 2 * WINDOW + 5.0
"""Seconds until a permit comes, whatever the server said: a pause, the edges of two windows, and
what was said by replies that came while it waited."""

MOST_REFUSED: Final = 40
"""Requests in a minute to a server that refuses all of them."""

MOST_EXCHANGES: Final = 16
MOST_LOOKS: Final = 10_000
"""Times that a request's turn is looked for."""

SLOWEST: Final = 5.0
"""Seconds after which every reply has come, or its request is given up."""

_SECONDS: Final = re.compile(r"\d+\.\d*(e[+-]?\d+)?", re.ASCII)


@attrs.frozen
class Exchange:
    """One request and its reply, which comes after some seconds."""

    lane: Lane
    status: int
    code: str | None
    took: float
    overlapping: bool
    headers: RateLimitHeaders | None


def check(data: bytes) -> None:
    """Have the talk, and again and again for a minute if it is all refusals."""
    exchanges = list(itertools.islice(_exchanges(data), MOST_EXCHANGES))
    half = b"half" in data.partition(b"\n")[0].split()
    client = _Client(half=half)
    for exchange in exchanges:
        client.ask(exchange)
    for lane in Lane:
        client.wait(lane)
    if {exchange.status for exchange in exchanges} == {429}:
        patient = _Client(half=half)
        until = patient.now + 60.0
        for refused, exchange in enumerate(itertools.cycle(exchanges)):
            if patient.now >= until:
                break
            assert refused < MOST_REFUSED, "a storm of requests, all refused"
            patient.ask(exchange)


def _exchanges(data: bytes) -> Iterator[Exchange]:
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    for block in text.split("\n\n"):
        first, *lines = block.split("\n")
        lane, status, code, took = Lane.INTERACTIVE, 200, None, 0.05
        for word in first.split():
            if word in set(Lane):
                lane = Lane(word)
            elif word.isascii() and word.isdigit():
                status = int(word[:3])
            elif _SECONDS.fullmatch(word):
                took = min(SLOWEST, max(0.001, float(word)))
            elif word not in {"overlapping", "half"}:
                code = word
        headers = CIMultiDict[str]()
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                headers.add(name, value.strip(" \t"))
        said = quota_headers(headers, wall=WALL)
        if said is not None:
            assert all(math.isfinite(each or 0) for each in msgspec.structs.astuple(said))
        yield Exchange(lane, status, code, took, "overlapping" in first.split(), said)


class _Client:
    """Callers of both lanes on a clock of their own, which may use all or half of the quota."""

    def __init__(self, *, half: bool) -> None:
        policy = RateLimitPolicy(quota_fraction=0.5 if half else 1.0)
        self.quota = QuotaWindow(policy, Random(0).random)
        self.now = 1000.0
        self._under_way: list[tuple[float, Exchange, Permit]] = []
        self._not_before = 0.0

    def ask(self, exchange: Exchange) -> None:
        """Wait for a permit, send, and be answered now or later."""
        self.wait(exchange.lane)
        assert self.now >= self._not_before, "Retry-After is kept, up to a bound"
        due = self.now + exchange.took
        self._under_way.append((due, exchange, self.quota.take(exchange.lane, self.now)))
        if not exchange.overlapping:
            self._pass_to(due)

    def wait(self, lane: Lane) -> None:
        """Let time pass until a request may leave."""
        began = self.now
        assert 0.0 <= self.quota.least_wait(0, began) <= LONGEST_WAIT
        for _ in range(MOST_LOOKS):
            wait = self.quota.wait(lane, self.now, backlog=None)
            assert 0.0 <= wait <= LONGEST_WAIT
            if wait == 0.0:
                assert self.now - began <= LONGEST_WAIT
                return
            self._pass_to(self.now + wait)
        raise AssertionError("it is looked at again and again and never may leave")

    def _pass_to(self, moment: float) -> None:
        self._under_way.sort(key=lambda each: each[0])
        while self._under_way and self._under_way[0][0] <= moment:
            due, exchange, permit = self._under_way.pop(0)
            self.now = max(self.now, due)
            self._answer(exchange, permit)
        self.now = max(self.now, moment)

    def _answer(self, exchange: Exchange, permit: Permit) -> None:
        quota, now, headers = self.quota, self.now, exchange.headers
        if exchange.status == 0:
            quota.lost(permit, now)
            return
        quota.answered(permit, headers, status=exchange.status, code=exchange.code, now=now)
        if exchange.status == 429 and headers is not None and headers.retry_after is not None:
            asked = min(LONGEST_PAUSE, headers.retry_after)
            self._not_before = max(self._not_before, now + asked)
        status = quota.status(now, waiting_interactive=0, waiting_bulk=0)
        assert status is not None
        assert 0.0 <= status.resets_in <= WINDOW
        assert (status.remaining or 0) >= 0
        assert 0.0 <= status.share <= 1.0
        assert status.in_flight >= 0
