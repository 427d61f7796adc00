"""What counts as an outage, and when somebody looks whether it is over."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.runtime import Runtime
from intercom_async.transport.outage import CALLS, FAILURES, LONGEST_PAUSE, SPAN, STORM, Outage


class Clock(Runtime):
    """Shows what the test sets; its dice always fall on the longest pause."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def random(self) -> float:
        return 1.0


clock = Clock()


def fail(outage: Outage, now: float, call: int, *, sent: float | None = None) -> bool:
    clock.now = now
    sent = now if sent is None else sent
    return outage.failed(call=call, sent=sent, reason=f"failure {call}") is not None


def succeed(outage: Outage, now: float) -> bool:
    clock.now = now
    return outage.succeeded() is not None


def look(outage: Outage, now: float) -> bool:
    clock.now = now
    return outage.try_look(1)


def opened() -> tuple[Outage, float]:
    """An outage that has just begun, and the moment."""
    outage = Outage(clock)
    for n in range(FAILURES):
        fail(outage, 100.0 + n * SPAN, n)
    assert outage.is_open
    return outage, 100.0 + (FAILURES - 1) * SPAN


def test_failures_in_a_row_of_different_calls_over_a_while_are_an_outage() -> None:
    outage = Outage(clock)
    step = SPAN / (FAILURES - 1)
    told = [fail(outage, n * step, n) for n in range(FAILURES)]
    assert told == [False] * (FAILURES - 1) + [True]
    clock.now = SPAN + 2.0
    status = outage.status()
    assert status is not None
    assert status.since == pytest.approx(SPAN + 2.0)
    assert status.reason == f"failure {FAILURES - 1}"


def test_many_failures_in_one_moment_are_none() -> None:
    outage = Outage(clock)
    for n in range(STORM - 1):
        fail(outage, 7.0, n)
    assert not outage.is_open


def test_a_storm_is_one_however_short() -> None:
    outage = Outage(clock)
    assert [fail(outage, 7.0, n) for n in range(STORM)].count(True) == 1
    assert outage.is_open


def test_failures_of_few_calls_are_none_however_many() -> None:
    outage = Outage(clock)
    for n in range(1000):
        fail(outage, float(n), n % (CALLS - 1))
    assert not outage.is_open


def test_a_success_between_begins_the_row_anew() -> None:
    outage = Outage(clock)
    for n in range(FAILURES - 1):
        fail(outage, float(n), n)
    assert not succeed(outage, 20.0)
    for n in range(FAILURES - 1):
        fail(outage, 21.0 + n, n)
    assert not outage.is_open
    assert fail(outage, 40.0, 99)


def test_a_failure_of_a_request_that_left_before_a_success_does_not_count() -> None:
    outage, now = opened()
    assert succeed(outage, now + 5.0)
    for n in range(STORM):
        fail(outage, now + 6.0 + n, n, sent=now + 4.0)
    assert not outage.is_open
    assert outage.failures == 0


def test_looks_begin_further_and_further_apart_up_to_half_a_minute() -> None:
    outage, now = opened()
    began: list[float] = []
    for _ in range(12):
        now = outage.next_look
        assert look(outage, now)
        assert not look(outage, now + 1000.0)
        began.append(now)
        clock.now = now + 0.1
        outage.end_look(1)
    pauses = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert pauses == pytest.approx([2.0, 4.0, 8.0, 16.0] + [LONGEST_PAUSE] * 7)


def test_a_look_that_took_longer_than_the_pause_is_followed_at_once() -> None:
    outage, now = opened()
    outage.next_look = now
    assert look(outage, now)
    clock.now = now + 60.0
    outage.end_look(1)
    assert outage.next_look == now + 60.0


def test_a_wish_of_the_server_is_obeyed_up_to_half_a_minute() -> None:
    for asked, wait in ((20.0, 20.0), (3600.0, LONGEST_PAUSE)):
        outage, _ = opened()
        now = outage.next_look
        assert look(outage, now)
        outage.end_look(1, asked=asked)
        assert outage.next_look == now + wait


moves = st.lists(st.tuples(st.sampled_from(["fail", "succeed", "look"]), st.floats(0.0, 40.0)))


@given(moves, st.randoms(use_true_random=False))
def test_whatever_happens_one_looks_at_a_time_and_none_waits_for_long(
    story: list[tuple[str, float]], dice: random.Random
) -> None:
    outage, now, looks = Outage(clock), 0.0, 0
    opened_at = None
    for n, (move, seconds) in enumerate(story * 5):
        now += seconds
        if move == "fail":
            if fail(outage, now, n):
                opened_at, looks = now, 0
        elif move == "succeed":
            assert succeed(outage, now) is (opened_at is not None)
            opened_at = None
        elif outage.is_open and look(outage, now):
            looks += 1
            now += dice.uniform(0.0, 60.0)
            clock.now = now
            outage.end_look(1)
            assert outage.next_look <= now + LONGEST_PAUSE
        assert outage.is_open is (opened_at is not None)
        if opened_at is not None:
            assert looks <= 1 + (now - opened_at)
