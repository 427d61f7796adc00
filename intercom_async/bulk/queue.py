"""The pairs that wait to be sent: never two requests at once on one conversation."""

import asyncio
from collections import deque
from typing import Any, Final

import msgspec

from intercom_async.detaching import Detach
from intercom_async.journal import Row, State

PairKey = tuple[str, str]

_READY: Final = 128
"""Pairs that may wait for a worker, apart from the parked ones."""

_PARKED: Final = 20_000
"""Pairs that may wait for another pair of their conversation."""


class Item(msgspec.Struct, eq=False):
    """A pair that a run has taken up and that has no outcome yet.

    Attributes:
        row: what earlier tries left, None for a new pair.
        attempts: requests that left in this try.
        cut_off: why the run cancelled `task`, None if it did not.
    """

    key: PairKey
    pair: Detach
    row: Row | None = None
    second: bool = False
    attempts: int = 0
    task: asyncio.Task[Any] | None = None
    cut_off: str | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether a request of an earlier try may still be applied."""
        return self.row is not None and (self.row.in_doubt or self.row.state == State.SENDING)

    def row_in(self, state: State, admin_id: str | None, workspace: str) -> Row:
        """Return the pair's row without an outcome; `admin_id` is for a pair that names none."""
        before = self.row
        return Row(
            conversation_id=self.pair.conversation_id,
            contact_id=self.pair.contact_id,
            admin_id=self.pair.admin_id or admin_id,
            workspace=workspace,
            state=state.value,
            in_doubt=self.in_doubt,
            attempts=0 if before is None else before.attempts,
            refusals=0 if before is None else before.refusals,
            second_try=self.second,
        )


class PairQueue:
    """The pairs of a run that have no outcome yet.

    Attributes:
        open: all of them, by their ids.
        ready: those that wait for a worker.
    """

    def __init__(self) -> None:
        self.open: dict[PairKey, Item] = {}
        self.ready: deque[Item] = deque()
        self._busy = set[str]()
        self._waiting: dict[str, deque[Item]] = {}
        self._parked = 0

    def __len__(self) -> int:
        """Pairs that no worker has taken up."""
        return len(self.ready) + self._parked

    def has_room(self) -> bool:
        """Whether more pairs may come."""
        return len(self.ready) < _READY and self._parked < _PARKED

    def admit(self, item: Item) -> None:
        """Make an open pair ready, or park it while its conversation is busy."""
        conversation = item.pair.conversation_id
        if conversation in self._busy:
            self._waiting.setdefault(conversation, deque()).append(item)
            self._parked += 1
        else:
            self._busy.add(conversation)
            self.ready.append(item)

    def free(self, item: Item) -> None:
        """Make the next pair of the conversation ready: this one has its answer."""
        conversation = item.pair.conversation_id
        waiting = self._waiting.get(conversation)
        if waiting is None:
            self._busy.remove(conversation)
            return
        self.ready.append(waiting.popleft())
        self._parked -= 1
        if not waiting:
            del self._waiting[conversation]
