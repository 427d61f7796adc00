"""What counts as an outage, and when somebody looks whether it is over."""

import itertools

import pytest

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
    return outage.failed(call=call, sent=now if sent is None else sent, reason="") is not None


def succeed(outage: Outage, now: float) -> bool:
    clock.now = now
    return outage.succeeded() is not None


def look(outage: Outage, began: float, ended: float, *, asked: float | None = None) -> None:
    """Look in vain."""
    clock.now = began
    assert outage.try_look(1)
    assert not outage.try_look(2)
    clock.now = ended
    outage.end_look(2)
    assert outage.looker == 1
    outage.end_look(1, asked=asked)


def begin(outage: Outage, at: float) -> float:
    """Fail until it is an outage; return when it is known."""
    told = [fail(outage, at + n * SPAN, n) for n in range(FAILURES)]
    assert told == [False] * (FAILURES - 1) + [True]
    assert outage.is_open
    return clock.now


@pytest.mark.parametrize(
    ("failures", "seconds", "calls", "is_one"),
    [
        (FAILURES, SPAN, FAILURES, True),
        (STORM - 1, 0.0, STORM, False),  # many in one moment
        (STORM, 0.0, STORM, True),
        (1000, 1000.0, CALLS - 1, False),  # of few calls
    ],
)
def test_failures_in_a_row_of_different_calls_over_a_while_are_an_outage(
    failures: int, seconds: float, calls: int, is_one: bool
) -> None:
    outage = Outage(clock)
    step = seconds / (failures - 1)
    told = [fail(outage, n * step, n % calls) for n in range(failures)]
    assert told == [False] * (failures - 1) + [is_one]
    assert outage.is_open is is_one


def test_a_success_begins_the_row_anew_and_what_left_before_it_does_not_count() -> None:
    outage = Outage(clock)
    for n in range(FAILURES - 1):
        fail(outage, float(n), n)
    assert not succeed(outage, 20.0)
    for n in range(STORM):
        fail(outage, 21.0 + n, n, sent=19.0)
    assert outage.failures == 0
    for n in range(STORM):  # of one call
        assert not fail(outage, 150.0 + n, 1)
    assert not succeed(outage, 280.0)
    began = begin(outage, 300.0)
    assert succeed(outage, began + 1.0)
    assert not outage.is_open


def test_looks_begin_further_and_further_apart_up_to_half_a_minute_in_each_outage() -> None:
    outage, at = Outage(clock), 100.0
    for _ in range(2):
        looked = [begin(outage, at)]
        for _ in range(12):
            looked.append(outage.next_look)
            look(outage, looked[-1], looked[-1] + 0.1)
        pauses = [later - earlier for earlier, later in itertools.pairwise(looked)]
        assert pauses == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0] + [LONGEST_PAUSE] * 7)
        clock.now = outage.next_look
        assert outage.try_look(1)
        at = clock.now + 1.0
        assert succeed(outage, at)


@pytest.mark.parametrize(
    ("took", "asked", "next_after"),
    [
        (60.0, None, 60.0),
        (0.0, 20.0, 20.0),
        (0.0, 3600.0, LONGEST_PAUSE),
    ],
)
def test_a_long_look_is_followed_at_once_and_a_wish_of_the_server_obeyed_up_to_half_a_minute(
    took: float, asked: float | None, next_after: float
) -> None:
    outage = Outage(clock)
    begin(outage, 100.0)
    now = outage.next_look
    look(outage, now, now + took, asked=asked)
    assert outage.next_look == now + next_after
