"""Whatever replies say about the quota: it is sane or not said, and no client stops or storms.

An input is a talk with a server, written as people would: per exchange a line with what the
request was and how it was answered, then the reply's headers, then a blank line.

    bulk 429 rate_limit_exceeded 0.05 overlapping
    X-RateLimit-Limit: 160
    X-RateLimit-Remaining: 0
    Retry-After: 7

Words may come in any order and be left out: a lane, a status, seconds until the reply is there,
whether the next request does not wait for it, "half" (in the first line: the client may use half
of the quota), anything else is an error's code.
"""

import calendar
import math
import re
from collections.abc import Iterator, Sequence
from email.utils import parsedate_tz
from random import Random
from typing import Final

import attrs
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

WORDS: Final[Sequence[bytes]] = [
    b"bulk", b"interactive", b"200", b"404", b"429", b"500", b"rate_limit_exceeded", b"other",
    b"overlapping", b"half", b"0.01", b"3.0", b"X-RateLimit-Limit: ", b"X-RateLimit-Remaining: ",
    b"X-RateLimit-Reset: ", b"Retry-After: ", b"Date: ", b"Wed, 01 Jan 2025 00:00:05 GMT",
    b"Wed, 01 Jan 2025 00:00:05 -0000", b"Wednesday, 01-Jan-25 00:00:05 GMT", b"1735689610",
    b"1735689620", b"1735689610000", b"1e300", b"-1", b"0", b"1", b"2", b"160", b"1667", b"nan",
    b"inf", b"1_000", b"\xef\xbc\x91", b"+0100", b"99999999999999999999", b"\n\n", b"1e11",
]  # fmt: skip

WALL: Final = 1_735_689_605.0
"""This machine's Unix seconds, as good as any."""

LONGEST_WAIT: Final = LONGEST_PAUSE + 2 * WINDOW + 5.0
"""Seconds until a permit comes, whatever the server said: a pause, the edges of two windows, and
what was said by replies that came while it waited."""

MOST_REFUSED: Final = 40
"""Requests in a minute to a server that refuses all of them."""

MOST_EXCHANGES: Final = 16
"""Exchanges of an input that are looked at."""

MOST_LOOKS: Final = 10_000
"""Times that a request's turn is looked for."""

SLOWEST: Final = 5.0
"""Seconds after which every reply has come, or its request is given up."""

_NUMBER: Final = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


@attrs.frozen
class Exchange:
    """One request and its reply.

    Attributes:
        lane: who asks.
        status: of the reply; 0 if none comes.
        code: of the error.
        took: seconds from the request to its reply.
        overlapping: whether the next request does not wait for the reply.
        headers: what the reply tells, None for nothing.
    """

    lane: Lane
    status: int
    code: str | None
    took: float
    overlapping: bool
    headers: RateLimitHeaders | None


@attrs.frozen
class Told:
    """What a talk came to.

    Attributes:
        longest: seconds that any request waited at most.
        refused: requests in a minute if all are refused as the talk's were; 0 unless all were.
    """

    longest: float
    refused: int


def check(data: bytes) -> None:
    """Have the talk, and again and again for a minute if it is all refusals.

    Args:
        data: see the module.
    """
    held = talk(data)
    assert held.longest <= LONGEST_WAIT, f"a request waited for {held.longest} seconds"
    assert held.refused <= MOST_REFUSED, f"{held.refused} requests in a minute, all refused"


def talk(data: bytes) -> Told:
    """Have the talk and tell what it came to."""
    exchanges = list(_exchanges(data))[:MOST_EXCHANGES]
    half = b"half" in data.partition(b"\n")[0].split()
    client = Client(half=half)
    for exchange in exchanges:
        client.ask(exchange)
    for lane in Lane:
        client.wait(lane)
    refused = 0
    if exchanges and all(exchange.status == 429 for exchange in exchanges):
        patient = Client(half=half)
        began = patient.now
        while patient.now < began + 60.0 and refused <= MOST_REFUSED:
            patient.ask(exchanges[refused % len(exchanges)])
            refused += 1
    return Told(client.longest, refused)


# --- reading -------------------------------------------------------------------------------------


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
            elif _NUMBER.fullmatch(word):
                took = min(SLOWEST, max(0.001, float(word)))
            elif word not in {"overlapping", "half"}:
                code = word
        headers = CIMultiDict[str]()
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                headers.add(name, value.strip(" \t"))
        yield Exchange(lane, status, code, took, "overlapping" in first.split(), _told(headers))


def _told(headers: CIMultiDict[str]) -> RateLimitHeaders | None:
    """Read the headers, and hold the result against what they say."""
    told = quota_headers(headers, wall=WALL)
    if told is None:
        return None
    assert told.limit is None or 1 <= told.limit <= 1e9
    assert told.remaining is None or abs(told.remaining) <= 1e9
    assert told.reset is None or 0 <= told.reset <= 1e11
    assert told.date is None or math.isfinite(told.date)
    assert told.retry_after is None or 0 <= told.retry_after < math.inf
    for name, value in (
        ("X-RateLimit-Limit", told.limit),
        ("X-RateLimit-Remaining", told.remaining),
        ("X-RateLimit-Reset", told.reset),
    ):
        assert value is None or _NUMBER.fullmatch(headers[name]), f"{headers[name]!r} is no number"
    if told.date is not None:
        assert told.date == _moment(headers["Date"]), "a date means the same everywhere"
    return told


def _moment(date: str) -> float | None:
    """Unix seconds of a date, for which no zone means Greenwich, as for all of HTTP."""
    parsed = parsedate_tz(date)
    return None if parsed is None else float(calendar.timegm(parsed[:6]) - (parsed[9] or 0))


# --- talking -------------------------------------------------------------------------------------


@attrs.define
class _Outstanding:
    exchange: Exchange
    permit: Permit
    due: float


class Client:
    """Callers of both lanes on a clock of their own.

    Args:
        half: whether only half of the quota may be used.

    Attributes:
        now: monotonic seconds.
        longest: seconds that a request waited at most.
    """

    def __init__(self, *, half: bool) -> None:
        policy = RateLimitPolicy(quota_fraction=0.5 if half else 1.0)
        self.quota = QuotaWindow(policy, Random(0).random)
        self.now = 1000.0
        self.longest = 0.0
        self._outstanding: list[_Outstanding] = []
        self._not_before = 0.0
        self._left: tuple[float | None, int] = (None, 0)

    def ask(self, exchange: Exchange) -> None:
        """Wait for a permit, send, and be answered now or later."""
        self.wait(exchange.lane)
        assert self.now >= self._not_before, "Retry-After is kept, up to a bound"
        quota = self.quota
        reset, left = self._left
        if reset == quota.reset and not quota.clock.has_passed(quota.reset, self.now):
            assert left > 0, "more requests leave than the window has left"
            self._left = (reset, left - 1)
        permit = quota.take(exchange.lane, self.now)
        due = self.now + exchange.took
        self._outstanding.append(_Outstanding(exchange, permit, due))
        if not exchange.overlapping:
            self._pass_to(due)

    def wait(self, lane: Lane) -> None:
        """Let time pass until a request may leave."""
        began = self.now
        told = self.quota.known_wait(0, self.now)
        assert 0.0 <= told <= LONGEST_WAIT
        for _ in range(MOST_LOOKS):
            wait = self.quota.wait(lane, self.now, backlog=None)
            assert 0.0 <= wait <= LONGEST_WAIT
            if wait == 0.0:
                break
            self._pass_to(self.now + wait)
        else:
            raise AssertionError("it is looked at again and again and never may leave")
        self.longest = max(self.longest, self.now - began)

    def _pass_to(self, moment: float) -> None:
        self._outstanding.sort(key=lambda one: one.due)
        while self._outstanding and self._outstanding[0].due <= moment:
            one = self._outstanding.pop(0)
            self.now = max(self.now, one.due)
            self._answer(one.exchange, one.permit)
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
        if headers is not None and None not in {headers.limit, headers.remaining, headers.reset}:
            remaining = 0 if exchange.status == 429 else max(0, headers.remaining or 0)
            self._left = (headers.reset, remaining)
        elif exchange.status == 429:  # a refused request is not counted
            self._left = (self._left[0], self._left[1] + 1)
