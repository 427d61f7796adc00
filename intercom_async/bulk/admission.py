"""Which pairs may be sent: never two requests at once on one conversation."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from intercom_async.bulk.item import Item, Key
from intercom_async.detaching import Detach

if TYPE_CHECKING:
    from collections.abc import Callable

_READY: Final = 128
"""Pairs that may wait for a worker, apart from the parked ones."""

_PARKED: Final = 20_000
"""Pairs that may wait for another pair of their conversation."""


class Admission:
    """The pairs of a run that have no outcome yet.

    Attributes:
        added: called after each pair that gets ready.
        open: all of them, by their ids.
        ready: those that wait for a worker; None makes one worker leave.
    """

    def __init__(self) -> None:
        self.added: Callable[[], None] = lambda: None
        self.open: dict[Key, Item] = {}
        self.ready: asyncio.Queue[Item | None] = asyncio.Queue()
        self._busy: dict[str, deque[Item]] = {}
        self._parked = 0

    def __len__(self) -> int:
        """Pairs that no worker has taken up."""
        return self.ready.qsize() + self._parked

    def has_room(self) -> bool:
        """Whether another pair may be admitted."""
        return self.ready.qsize() < _READY and self._parked < _PARKED

    def repeats(self, pair: Detach) -> bool:
        """Whether a pair is under way already; its result will be given again then."""
        item = self.open.get((pair.conversation_id, pair.contact_id))
        if item is None:
            return False
        item.again += 1
        return True

    def admit(self, item: Item) -> None:
        """Make a pair ready, or park it while its conversation is busy."""
        self.open[item.key] = item
        waiting = self._busy.get(item.pair.conversation_id)
        if waiting is None:
            self._busy[item.pair.conversation_id] = deque()
            self.ready.put_nowait(item)
            self.added()
        else:
            waiting.append(item)
            self._parked += 1

    def free(self, conversation_id: str) -> None:
        """Let the next pair of a conversation go: the one under way has its answer."""
        waiting = self._busy[conversation_id]
        if waiting:
            self._parked -= 1
            self.ready.put_nowait(waiting.popleft())
            self.added()
        else:
            del self._busy[conversation_id]
