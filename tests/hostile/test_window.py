"""The quota's arithmetic under servers that talk nonsense: no long stop, no hail, no exception."""

import math
import random

import pytest

from intercom_async.pacing.window import (
    RATE_LIMIT_EXCEEDED,
    Lane,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)
from intercom_async.transport import wire

ROUND_TRIP = 0.01


class Patient:
    """One caller, one request after another, on a clock of its own."""

    def __init__(self) -> None:
        self.quota = QuotaWindow(RateLimitPolicy(), random.Random(0).random)
        self.now = 1000.0

    def wait(self) -> float:
        """Wait for a permit and return how long that took."""
        began = self.now
        for _ in range(100_000):
            wait = self.quota.wait(Lane.INTERACTIVE, self.now, backlog=None)
            assert math.isfinite(wait)
            assert wait >= 0.0
            if wait == 0.0:
                break
            self.now += wait
        else:
            pytest.fail("it is looked at again and again and never may leave")
        return self.now - began

    def ask(self, headers: RateLimitHeaders | None) -> float:
        """Wait, send, be refused; return how long the permit took."""
        waited = self.wait()
        permit = self.quota.take(Lane.INTERACTIVE, self.now)
        self.now += ROUND_TRIP
        self.quota.answered(permit, headers, status=429, code=RATE_LIMIT_EXCEEDED, now=self.now)
        return waited


@pytest.mark.parametrize(
    "reset", [990.0, 1000.0, 1000.5, 1003.0, 1010.0, 1e15, 1e300], ids=lambda reset: f"{reset:g}"
)
@pytest.mark.parametrize("retry_after", [None, 0.0])
def test_a_server_that_only_refuses_gets_few_requests(
    reset: float, retry_after: float | None
) -> None:
    caller = Patient()
    lines = {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(reset),
    }
    if retry_after is not None:
        lines["Retry-After"] = str(retry_after)
    requests = 0
    while caller.now < 1100.0:
        caller.ask(wire.quota_headers(lines, wall=0.0))
        requests += 1
        assert requests <= 20


def test_a_reset_that_runs_along_with_the_clock_does_not_help_the_server_either() -> None:
    caller = Patient()
    requests = 0
    while caller.now < 1060.0:
        caller.wait()
        caller.ask(RateLimitHeaders(limit=100, remaining=0, reset=caller.now))
        requests += 1
        assert requests <= 20


def test_nor_does_a_reset_that_names_the_present_second() -> None:
    caller = Patient()
    requests = 0
    while caller.now < 1060.0:
        caller.wait()
        second = float(int(caller.now))
        caller.ask(RateLimitHeaders(limit=100, remaining=0, reset=second, date=second))
        requests += 1
        assert requests <= 30


def test_refusals_by_the_thousand_can_be_counted() -> None:
    caller = Patient()
    for _ in range(1100):
        assert caller.ask(None) <= 60.0


def test_an_absurd_limit_neither_stops_nor_speeds_up() -> None:
    for text in ("-5", "0", "1e300", "nan", "9" * 5000):
        headers = wire.quota_headers(
            {
                "X-RateLimit-Limit": text,
                "X-RateLimit-Remaining": "50",
                "X-RateLimit-Reset": "1790000000",
            },
            wall=0.0,
        )
        assert headers is not None
        assert headers.limit is None


@pytest.mark.parametrize("text", ["1790000000000", "1790000000000000", "1e300", "-5"])
def test_a_reset_that_cannot_be_seconds_is_not_said(text: str) -> None:
    headers = wire.quota_headers({"X-RateLimit-Reset": text, "X-RateLimit-Limit": "5"}, wall=0.0)
    assert headers is not None
    assert headers.reset is None
