"""The connections of one pool, shared by limiters. Pure.

A request without a connection has not been sent. So a limiter takes a slot before it grants a
permit, and gives it back with the permit. A limiter that finds none stands in line: first those
with interactive calls, then those with bulk requests, each line in turns. A slot that is given
back is offered at once; so no limiter stands in line while a slot is free.
"""

import math
from collections.abc import Callable
from typing import Final

_RESERVE: Final = 16
"""One slot in this many is kept free of bulk requests, so that interactive calls find one."""


class Slots:
    """The slots of one connection pool: `limit` of them, 0 for any number."""

    __slots__ = ("__weakref__", "_bulk", "_bulk_limit", "_interactive", "_limit", "used")

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit or math.inf
        self._bulk_limit = limit - limit // _RESERVE or math.inf
        self._interactive: dict[Callable[[], None], None] = {}
        self._bulk: dict[Callable[[], None], None] = {}
        self.used = 0

    def free(self, *, bulk: bool) -> bool:
        """Whether a request of the lane may have a connection now."""
        return self.used < (self._bulk_limit if bulk else self._limit)

    def take(self) -> None:
        """Take a slot that is free."""
        self.used += 1

    def stand_in_line(self, offer: Callable[[], None], *, bulk: bool) -> None:
        """Call `offer` once when a slot is free; who stands in line already keeps its place."""
        (self._bulk if bulk else self._interactive)[offer] = None

    def give_back(self) -> None:
        """A request has left its connection: offer that to the next in line."""
        self.used -= 1
        if not (self._interactive or self._bulk):
            return
        for line, limit in ((self._interactive, self._limit), (self._bulk, self._bulk_limit)):
            while line and self.used < limit:
                offer = next(iter(line))
                del line[offer]
                offer()


UNBOUNDED: Final = Slots()
"""For requests that need no connection of a pool."""
