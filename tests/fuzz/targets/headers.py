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
    """One request and its reply, which comes after some seconds; status 0 if it never comes."""

    lane: Lane
    status: int
    code: str | None
    took: float
    overlapping: bool
    headers: RateLimitHeaders | None


@attrs.frozen
class Record:
    """The longest wait of any request, in seconds, and the requests of a minute.

    The latter are 0 unless all were refused; they are then refused as the talk's were.
    """

    longest: float
    refused: int


def check(data: bytes) -> None:
    """Have the talk, and again and again for a minute if it is all refusals."""
    held = talk(data)
    assert held.longest <= LONGEST_WAIT, f"a request waited for {held.longest} seconds"
    assert held.refused <= MOST_REFUSED, f"{held.refused} requests in a minute, all refused"


def talk(data: bytes) -> Record:
    """Have the talk and return its record."""
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
    return Record(client.longest, refused)


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
    said = quota_headers(headers, wall=WALL)
    if said is None:
        return None
    assert said.limit is None or 1 <= said.limit <= 1e9
    assert said.remaining is None or abs(said.remaining) <= 1e9
    assert said.reset is None or 0 <= said.reset <= 1e11
    assert said.date is None or math.isfinite(said.date)
    assert said.retry_after is None or 0 <= said.retry_after < math.inf
    for name, value in (
        ("X-RateLimit-Limit", said.limit),
        ("X-RateLimit-Remaining", said.remaining),
        ("X-RateLimit-Reset", said.reset),
    ):
        assert value is None or _NUMBER.fullmatch(headers[name]), f"{headers[name]!r} is no number"
    if said.date is not None:
        assert said.date == _moment(headers["Date"]), "a date means the same everywhere"
    return said


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
    """Callers of both lanes on a clock of their own, which may use all or half of the quota."""

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
        said = self.quota.least_wait(0, self.now)
        assert 0.0 <= said <= LONGEST_WAIT
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
