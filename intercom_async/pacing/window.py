"""How many requests may leave, and when, after a 429 too: arithmetic on replies' quota headers.

Intercom counts requests in ten-second windows and answers with Limit, Remaining and the window's
end (Reset). Other processes may spend from the same budget, unseen. Three ideas use a window up
without a refusal and without any coordination:

**Pace by what is left.** If every process sends at (Remaining / time left), Remaining falls towards
zero and reaches it at the window's edge, not before. A process that only takes its *share* of
that rate (its part of the consumption that the headers show, pulled a little towards the
middle: multiplicative shrink, constant gain) leaves the others theirs; unequal peers drift
together and need not know how many they are.

**Charge before the server does.** A request in flight counts as spent, also across the edge of
a window. Remaining never rises within a window, so a reply that was overtaken cannot give
budget back. The probable spending of peers since the last reply counts as well.

**Use the server's clock.** See `server_clock`: the window is over when it certainly is over
there, or when a reply says so.

Interactive requests skip the pacing and go as long as anything remains; for them bulk leaves a
small reserve, which melts towards the edge so that it is not lost. Small bulk jobs go at once:
spreading fifty deletes over ten seconds would gain nothing.

A 429 has one of three reasons. The window is used up: wait for its end. Remaining was above zero or
the code is another one: some other budget (the workspace's, one resource's) or overload, so
pause until Reset or Retry-After and come back slowly. It names no quota, or a window that was
over when the request left: pause with exponential backoff, and until its Reset if it has one.

A slow start comes first: one request, then two, and one more for each answer that is no refusal.
Without answers one more leaves after two seconds; an interactive one, unless the last answer was a
refusal, after a quarter of a second, so that it never waits for slow answers to bulk. Until a reply
carries headers, a plain bucket of `fallback_limit` per window takes their place.

Everything here is pure: the time (`now`, in monotonic seconds) and the randomness are arguments.
"""

import enum
import functools
import math
from collections.abc import Callable, Hashable
from typing import Any, Final

import attrs
import msgspec

from intercom_async.errors import InvalidArgumentError
from intercom_async.observing import RateLimitStatus
from intercom_async.pacing.server_clock import WINDOW, ServerClock
from intercom_async.pacing.slots import UNBOUNDED, Slots
from intercom_async.validators import number, optional

RATE_LIMIT_EXCEEDED: Final = "rate_limit_exceeded"
"""The code of a 429 that means the app's own window is used up."""

_EDGE: Final = 0.5
"""Seconds before a window's end by which pacing aims to have used it up, besides the time that
requests need to arrive."""

_PRIOR_WEIGHT: Final = 0.1
"""Weight of the last window's share in this one, as a part of the limit."""

_CREDIT_SECONDS: Final = 0.02
"""Seconds of the paced rate that may be saved up and sent at once."""

_LAG_WINDOWS: Final = 30
"""Windows after which a lag of the server's counter is forgotten unless it was seen again."""

_SMALL_JOB: Final = 0.5
"""A job may take this part of the process's share at once while others use the budget."""

_ALONE: Final = 0.99
"""Measured share above which no other process seems to use the budget."""

_RECHECK: Final = 0.25
"""The longest wait before the next look at a waiting request, in seconds: estimates age."""

_PATIENCE: Final = 2.0
"""Seconds without an answer after which the slow start lets one more request out."""

_FRESH: Final = 0.005
"""Seconds for which a computed pace holds: much shorter than anything it depends on changes."""

_TICK: Final = 0.001
"""Seconds below which no wait is worth a timer."""

_LONGEST_BACKOFF: Final = 60.0
"""The longest pause after 429s without headers, in seconds."""

LONGEST_PAUSE: Final = 120.0
"""The longest pause that a server may ask for, in seconds: one absurd Retry-After must not stop a
client for years."""


class Lane(enum.StrEnum):
    """Who goes first.

    Attributes:
        INTERACTIVE: someone waits for this call: it goes ahead of bulk and is never paced.
        BULK: goes when it fits best.
    """

    INTERACTIVE = "interactive"
    BULK = "bulk"


_number: Final = functools.partial(number, of="RateLimitPolicy.")


def _hashable(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    try:
        hash(value)
    except TypeError:
        name = f"RateLimitPolicy.{attribute.name}"
        raise InvalidArgumentError(name, value, "a hashable value or None") from None


@attrs.frozen(kw_only=True)
class RateLimitPolicy:
    """How a client treats its quota.

    Attributes:
        reserve: part of the limit (0 to 1) that bulk leaves to interactive calls; it melts
            towards the end of each window, so it is not lost.
        quota_fraction: part of the limit (above 0, to 1) that this client may use, to leave
            the rest to other integrations that do not pace themselves.
        max_wait: seconds an interactive call may wait for the quota before it fails with
            `RateLimitWaitError`, which names both durations; None for no bound. Bulk calls wait
            as long as it takes.
        fallback_limit: requests per ten seconds while Intercom sends no rate-limit headers.
        key: clients with the same key share one budget. By default that is the token (and base
            URL), so two clients of one process with the same token count together. Only
            clients with equal reserve, quota fraction and fallback limit share.

    Raises:
        InvalidArgumentError: a value is out of its range.
    """

    reserve: float = attrs.field(
        default=0.03, validator=_number("a number from 0 to 1", lambda value: 0 <= value <= 1)
    )
    quota_fraction: float = attrs.field(
        default=1.0, validator=_number("a number from 0 to 1, not 0", lambda value: 0 < value <= 1)
    )
    max_wait: float | None = attrs.field(
        default=30.0,
        validator=optional(
            _number("a number of seconds, 0 or more, or None", lambda value: value >= 0)
        ),
    )
    fallback_limit: int = attrs.field(
        default=160,
        validator=_number(
            "a whole number of requests, 1 or more",
            lambda value: isinstance(value, int) and value >= 1,
        ),
    )
    key: Hashable = attrs.field(default=None, validator=_hashable, repr=False)


class RateLimitHeaders(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The quota headers of one reply; None for each that is missing.

    Attributes:
        limit: requests allowed per window, 1 or more.
        remaining: requests left in the window; an upper bound.
        reset: Unix second at which the window ends.
        date: Unix second of the Date header.
        retry_after: seconds the server asks to wait.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    date: float | None = None
    retry_after: float | None = None

    @property
    def quota(self) -> tuple[int, int, float] | None:
        """Limit, Remaining and Reset; None unless the reply has all three."""
        if self.limit is None or self.remaining is None or self.reset is None:
            return None
        return self.limit, self.remaining, self.reset


class Permit(msgspec.Struct, eq=False):
    """The right to send one request, and the state of the quota when it was given.

    Attributes:
        reset: the window it was given in, None when unknown.
        seen: how many of our requests had replies that named that window before.
        bounded: whether it counts against the bound on concurrency.
    """

    lane: Lane
    sent: float
    reset: float | None
    seen: int
    open: bool = True
    bounded: bool = False
    slots: Slots = UNBOUNDED


class QuotaWindow:
    """The quota of one budget, as one process sees it."""

    def __init__(self, policy: RateLimitPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self.clock = ServerClock()
        self.in_flight = 0
        self._penalty = 1.0
        self._credit = 1.0
        self._credit_at = 0.0
        self._interactive_at = -math.inf
        self._answers = 0
        self._refused = False
        self._answered_ever = False
        self._sent_at = -math.inf
        self._paused_until = 0.0
        self._pauses = 0
        self._limit = 0
        self._allowance = 0  # how many requests of a window are ours
        self.reset = 0.0
        self.remaining = 0
        self._remaining_at = 0.0
        self._own = 0
        self._seen = 0
        self._prior = 1.0
        self._prior_known = False
        self._lag = 0
        self._lag_age = 0
        self._usable = 0.0
        self._fresh_until = 0.0
        self._round_trip = 0.0
        self._round_trip_variation = 0.0

    @property
    def limit(self) -> int | None:
        """Requests that the server allows per window, None before it said so."""
        return self._limit or None

    # --- asking --------------------------------------------------------------------------------

    def wait(self, lane: Lane, now: float, *, backlog: int | None) -> float:
        """Return 0.0 if a request may leave now, else the seconds after which to ask again.

        Args:
            backlog: requests of the bulk lane that wait, None if more will follow them.
        """
        if now < self._paused_until:
            return self._paused_until - now
        if self.in_flight >= (2 + self._answers if self._answers else 1):
            # Slow start; an answer ends the wait sooner.
            hurry = lane is Lane.INTERACTIVE and not self._refused
            until = self._sent_at + (_RECHECK if hurry else _PATIENCE)
            if now < until:
                return min(_RECHECK, max(_TICK, until - now))
        if not self._limit:
            return self._wait_without_headers(lane, now)
        self._roll_over(now)
        if lane is Lane.INTERACTIVE:
            return 0.0 if self._budget() > self.in_flight else self._until_reset(now)
        return self._wait_paced(now, backlog)

    def take(self, lane: Lane, now: float) -> Permit:
        """Give a permit; call it only when `wait` has just returned 0.0."""
        self.in_flight += 1
        if lane is Lane.INTERACTIVE:
            self._interactive_at = now
        self._sent_at = now
        if not self._limit:
            self._credit -= 1.0  # interactive requests may borrow from the bucket
            return Permit(lane, now, None, 0)
        self._usable -= 1.0
        if lane is Lane.BULK:
            self._credit = max(0.0, self._credit - 1.0)
        return Permit(lane, now, self.reset, self._seen)

    def least_wait(self, ahead: int, now: float) -> float:
        """Return the seconds that an interactive request behind `ahead` others must wait."""
        pause = max(0.0, self._paused_until - now)
        if not self._limit:
            return pause
        self._roll_over(now)
        short = ahead + 1 - self._budget()
        if short <= 0:
            return pause
        further = (short - 1) // self._allowance
        return max(pause, self.clock.until(self.reset, now) + further * WINDOW)

    def status(
        self, now: float, *, waiting_interactive: int, waiting_bulk: int
    ) -> RateLimitStatus | None:
        """Return a snapshot for people; None before the first answer."""
        if not self._answered_ever:
            return None
        if not self._limit:
            remaining, resets_in, share = None, 0.0, 1.0
        else:
            self._roll_over(now)
            remaining = max(0, self.remaining - self.in_flight)
            resets_in = min(WINDOW, max(0.0, self.reset - self.clock.now(now)))
            share = self._measured_share()
        return RateLimitStatus(
            limit=self.limit,
            remaining=remaining,
            resets_in=resets_in,
            share=share,
            in_flight=self.in_flight,
            waiting_interactive=waiting_interactive,
            waiting_bulk=waiting_bulk,
        )

    # --- learning -------------------------------------------------------------------------------

    def give_back(self, permit: Permit, *, tried: bool = False) -> None:
        """Take back the permit of a request that was never sent, and so never counted.

        Args:
            tried: whether a connection was tried; then the credit stays spent, so that requests
                do not leave faster where connections are refused at once.
        """
        self.in_flight -= 1
        if not tried and (permit.lane is Lane.BULK or permit.reset is None):
            self._credit += 1.0

    def lost(self, permit: Permit, now: float) -> None:
        """Charge a request that got no answer: the server may have counted it."""
        self.in_flight -= 1
        self._answers += 1
        self._count_unseen(permit, now)

    def answered(
        self,
        permit: Permit,
        headers: RateLimitHeaders | None,
        *,
        status: int,
        code: str | None,
        now: float,
    ) -> None:
        """Learn from one reply; `code` is Intercom's error code of a 429."""
        self.in_flight -= 1
        self._learn_round_trip(now - permit.sent)
        self._refused = status == 429
        if self._refused:
            self._learn_refusal(permit, headers, code, now)
            return
        self._answers += 1
        self._pauses = 0
        quota = None if headers is None else headers.quota
        if headers is None or quota is None:
            self._count_unseen(permit, now)
            return
        limit, remaining, reset = quota
        if self._enter(permit, limit, reset, headers.date, now):
            self._count(permit, remaining, now)

    def _learn_refusal(
        self, permit: Permit, headers: RateLimitHeaders | None, code: str | None, now: float
    ) -> None:
        if headers is None or headers.quota is None:
            self._pause(now, until=now + self._wait_for_reset(permit, headers, now))
        else:
            limit, remaining, reset = headers.quota
            current = self._enter(permit, limit, reset, headers.date, now)
            if remaining > self._lag or code not in {None, RATE_LIMIT_EXCEEDED}:
                self._penalty /= 2.0
                self._pause(now, until=now + self.clock.until(reset, now))
            else:
                if current:
                    self.remaining = 0
                    self._fresh_until = 0.0
                if permit.reset is not None and reset < permit.reset:
                    # That window was certainly over when the request left: waiting for its end
                    # would not save the next request from a refusal.
                    self._pause(now)
        if headers is not None and headers.retry_after is not None:
            asked = min(LONGEST_PAUSE, headers.retry_after)
            self._paused_until = max(self._paused_until, now + asked)

    def _wait_for_reset(
        self, permit: Permit, headers: RateLimitHeaders | None, now: float
    ) -> float:
        """Return the seconds until the Reset of a refusal that says no more of the quota.

        It may be nonsense, so our clock learns nothing from it.
        """
        if headers is None or headers.reset is None:
            return 0.0
        alone = ServerClock()
        alone.observe(reset=headers.reset, date=headers.date, sent=permit.sent, received=now)
        clocks = [alone, self.clock] if self._limit else [alone]
        return min(clock.until(headers.reset, now) for clock in clocks)

    # --- the arithmetic ------------------------------------------------------------------------

    def _wait_without_headers(self, lane: Lane, now: float) -> float:
        rate = self._policy.fallback_limit * self._policy.quota_fraction / WINDOW
        self._earn(rate, now)
        borrowed = 0.0
        if lane is Lane.INTERACTIVE:
            borrowed = self._policy.reserve * self._policy.fallback_limit
        if self._credit + borrowed >= 1.0:
            return 0.0
        return max(_TICK, (1.0 - self._credit - borrowed) / rate)

    def _until_reset(self, now: float) -> float:
        return max(_TICK, self.clock.until(self.reset, now))

    def _budget(self) -> int:
        """Return how many of our requests fit into this window, those in flight included."""
        return min(self.remaining, self._allowance - self._own)

    def _wait_paced(self, now: float, backlog: int | None) -> float:
        if now < self._fresh_until and self._credit >= 1.0 and self._usable >= 1.0:
            return 0.0
        left = self.reset - self.clock.now(now)
        pacing = left - _EDGE - self._round_trip - 2.0 * self._round_trip_variation
        period = max(pacing, self._round_trip, _TICK)  # a coarse clock measures no round trip
        measured = self._measured_share()
        # Peers that pace themselves, too, send at (left / time left): what is left then shrinks
        # exponentially and never falls below zero. A straight line at their average rate would make
        # many peers give up the window's last requests: all would believe that others took them.
        # Half a round trip from now, when this request arrives, is the time that counts.
        stale = max(0.0, now - self._remaining_at) + 0.5 * self._round_trip
        melted = math.exp((measured - 1.0) * stale / period)
        others = self.remaining * (1.0 - melted)
        reserved = self._policy.reserve * self._limit * max(0.0, pacing) / WINDOW
        usable = self._usable = self._budget() - self.in_flight - others - reserved
        share = (0.9 * measured + 0.05) * self._penalty
        if backlog is not None:
            # What is in flight belongs to the job: many callers, one after the other, are one
            # large job.
            if backlog + self.in_flight <= max(_SMALL_JOB, measured) * share * usable:
                return 0.0
            if self._is_alone() and backlog <= self._left_alone(reserved, now):
                return 0.0
        if usable < 1.0:
            return min(_RECHECK, self._until_reset(now))
        rate = share * usable / period
        self._earn(rate, now)
        if self._credit >= 1.0:
            self._fresh_until = now + _FRESH
            return 0.0
        return min(_RECHECK, max(_TICK, (1.0 - self._credit) / rate))

    def _is_alone(self) -> bool:
        """Whether no other process used the budget lately: then a job may send its rest at once."""
        by_others = self._limit - self.remaining - self._own - self.in_flight
        so_far = self._prior_known and self._prior >= _ALONE and self._penalty >= 1.0
        return so_far and by_others <= (1.0 - _ALONE) * self._limit

    def _left_alone(self, reserved: float, now: float) -> float:
        """Return how many requests may leave at once if no other process uses the budget.

        What is in flight is charged once: the server's Remaining has most of it counted already.
        Nothing is reserved if no interactive call was made for a window: that would only make a
        job's last requests wait for the edge.
        """
        left = min(self._limit - self._own - self.in_flight, self._budget())
        return left - reserved if now - self._interactive_at <= WINDOW else left

    def _earn(self, rate: float, now: float) -> None:
        earned = self._credit + rate * (now - self._credit_at)
        self._credit = min(earned, 1.0 + rate * _CREDIT_SECONDS)
        self._credit_at = now

    def _measured_share(self) -> float:
        """Return our part of what this window's budget lost, by the headers alone."""
        weight = _PRIOR_WEIGHT * self._limit
        spent = max(self._own, self._limit - self.remaining)
        return (self._own + weight * self._prior) / (spent + weight)

    def _enter(
        self, permit: Permit, limit: int, reset: float, date: float | None, now: float
    ) -> bool:
        """Bring clock and window up to date; return whether the reply is of the current window."""
        agreed = self.clock.observe(reset=reset, date=date, sent=permit.sent, received=now)
        same = agreed and self._limit > 0
        if same and reset < self.reset:
            return False
        if limit != self._limit:
            self._limit = limit
            # One at least, or no request would ever leave.
            self._allowance = max(1, math.floor(self._policy.quota_fraction * limit))
        if not same or reset > self.reset:
            self._begin_window(reset, now, idle=False)
        return True

    def _count(self, permit: Permit, remaining: int, now: float) -> None:
        self._own += 1
        self._seen += 1
        # The first reply of a window usually says Remaining = Limit although one request was
        # counted. Requests of ours that were answered before this one left must be in the
        # server's count too; the Remaining it reports lags behind by as many as are missing.
        missing = remaining - self._limit + 1
        if permit.reset == self.reset:
            missing += permit.seen
        if missing >= self._lag:
            self._lag, self._lag_age = min(missing, 1 + self._limit // 10), 0
        left = min(remaining - self._lag, self._limit - self._own)
        if left < self.remaining:
            self.remaining = max(0, left)
            self._remaining_at = (permit.sent + now) / 2.0

    def _count_unseen(self, permit: Permit, now: float) -> None:
        """Charge a request whose reply said nothing, unless it left windows ago."""
        if not self._limit:
            return
        self._roll_over(now)
        age = WINDOW - self.clock.until(self.reset, now)
        if now - permit.sent > age + WINDOW:
            return
        self._own += 1
        self.remaining = max(0, self.remaining - 1)

    def _roll_over(self, now: float) -> None:
        """Begin the next window when the server's clock has certainly passed this one's end."""
        if not self.clock.has_passed(self.reset, now):
            return
        windows = int((now + self.clock.low - self.reset) // WINDOW) + 1
        self._begin_window(self.reset + windows * WINDOW, now, idle=windows > 1)

    def _begin_window(self, reset: float, now: float, *, idle: bool) -> None:
        self._prior_known = not idle and self._own > 0
        self._prior = self._measured_share() if self._prior_known else 1.0
        self.reset = reset
        self.remaining = self._limit
        self._remaining_at = now
        self._own = self._seen = 0
        self._lag_age += 1
        if self._lag_age > _LAG_WINDOWS:
            self._lag = self._lag_age = 0
        self._penalty = min(1.0, self._penalty * 1.5)
        # Processes that wait for the same edge must not leave it together.
        self._credit = max(0.0, self._credit) * self._random()
        self._usable = self._fresh_until = 0.0

    def _pause(self, now: float, *, until: float = 0.0) -> None:
        """Send nothing for a while, and come back as slowly as at the start."""
        backoff = min(_LONGEST_BACKOFF, 2.0 ** min(self._pauses, 10)) * (0.5 + 0.5 * self._random())
        if now >= self._paused_until:  # refusals of one burst count once
            self._pauses += 1
        self._paused_until = max(self._paused_until, until, now + backoff)
        self._answers = 0

    def _learn_round_trip(self, seconds: float) -> None:
        if not self._answered_ever:
            self._answered_ever = True
            self._round_trip, self._round_trip_variation = seconds, seconds / 2.0
            return
        error = seconds - self._round_trip
        self._round_trip += error / 8.0
        self._round_trip_variation += (abs(error) - self._round_trip_variation) / 4.0
