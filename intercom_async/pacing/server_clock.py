"""The server's clock, from its replies alone. Pure.

Windows end by the server's clock, and a machine's own wall clock may be seconds off (that alone
costs 4 to 5 % refused requests in simulation). Every reply bounds the difference instead. Its Reset
names the end of the ten-second window in which it was handled, between sending and receiving:

    reset - 10 - received  <=  server time - our monotonic time  <=  reset - sent

and its Date header, whole seconds, bounds the same difference to one second. Intersecting these
intervals over many replies leaves an uncertainty of about one round trip.
"""

from typing import Final

WINDOW: Final = 10.0
"""Seconds of one rate-limit window; Intercom divides its per-minute budget by six."""

_DRIFT: Final = 1e-4
"""Seconds per second by which two clocks may move apart."""


class ServerClock:
    """Bounds of the difference between the server's Unix time and our monotonic time."""

    __slots__ = ("_at", "high", "low")

    def __init__(self) -> None:
        self._at: float | None = None
        self.low: float  # both mean something from the first reply on
        self.high: float

    def observe(self, *, reset: float, date: float | None, sent: float, received: float) -> bool:
        """Learn from one reply.

        Args:
            reset: Unix second at which its window ends.
            date: Unix second of its Date header.
            sent: our monotonic time when the request left.
            received: our monotonic time when the reply was there.

        Returns:
            Whether it agrees with the replies before. If not, one of the two clocks has jumped,
            and from now on only this reply counts.
        """
        low, high = reset - WINDOW - received, reset - sent
        if date is not None and date - received <= high and low <= date + 1.0 - sent:
            # Reset decides about the quota; a Date that contradicts it is not believed.
            low = max(low, date - received)
            high = min(high, date + 1.0 - sent)
        if self._at is not None:
            if low <= self.low and self.high <= high:
                return True  # nothing new, as with most replies
            drift = abs(received - self._at) * _DRIFT
            known_low, known_high = max(low, self.low - drift), min(high, self.high + drift)
            if known_low <= known_high:
                self.low, self.high, self._at = known_low, known_high, received
                return True
        agreed = self._at is None
        self.low, self.high, self._at = low, high, received
        return agreed

    def now(self, monotonic: float) -> float:
        """Return the server's most likely Unix time at `monotonic`."""
        return monotonic + (self.low + self.high) / 2.0

    def has_passed(self, server_time: float, monotonic: float) -> bool:
        """Whether the server's clock certainly shows `server_time` or later at `monotonic`."""
        return server_time - self.low - monotonic <= 0.0

    def until(self, server_time: float, monotonic: float) -> float:
        """Return the seconds until `has_passed`, 0.0 when it has."""
        return max(0.0, server_time - self.low - monotonic)
