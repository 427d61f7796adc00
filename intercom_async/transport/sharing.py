"""The seam for a budget that several processes share: a second opinion beside the headers.

A limiter asks its own window first, and then, if it was given one, a gate. A permit is granted
when both agree, so a gate can only slow down, never speed up.
"""

from collections.abc import Callable
from typing import Protocol

from intercom_async.transport.runtime import Runtime


class Gate(Protocol):
    """What one limiter knows of a shared budget. Every call is quick and none blocks."""

    def wait(self, *, limit: int, reset: float, left: float, now: float) -> float:
        """Return 0.0 if a permit may be taken now, else the seconds after which to ask again.

        Args:
            limit: requests the server allows per window.
            reset: Unix second, on the server's clock, at which its current window ends.
            left: seconds until then.
            now: monotonic seconds.
        """
        ...

    def known_wait(self, *, reset: float, left: float) -> float:
        """Return the seconds that certainly have to be waited, as far as is known.

        Args:
            reset: as for `wait`.
            left: as for `wait`.
        """
        ...

    def take(self) -> None:
        """A permit is taken: `wait` has just returned 0.0, or no window is known yet."""
        ...

    def told(self, *, limit: int, remaining: int, reset: float, elapsed: float) -> None:
        """A reply told what is left of a window.

        Args:
            limit: requests allowed per window.
            remaining: requests left in it.
            reset: Unix second at which it ends.
            elapsed: seconds from the request's permit to the reply.
        """
        ...


class SharedBudget(Protocol):
    """Makes the gates of one process."""

    def gate(self, name: str, *, wake: Callable[[], None], runtime: Runtime) -> Gate:
        """Return a gate, inside the running loop.

        Args:
            name: of the budget, the same in every process; holds no secret.
            wake: to be called when what `wait` would return may have changed.
            runtime: the clock.
        """
        ...
