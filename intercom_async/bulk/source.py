"""The pairs of a run: any iterable as one async pull, numbered, and compared with the journal."""

import asyncio
import operator
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Final

import attrs

from intercom_async.journal.replay import Admitted
from intercom_async.journal.session import JournalSession
from intercom_async.pairs import Pair, as_detach
from intercom_async.transport.limiter import Backlog

BREATH: Final = 1000
"""Pairs that may be read without giving others the loop: a long input must not hold it."""


class Source:
    """Any iterable as one async pull.

    Args:
        pairs: pulled lazily, from one task at a time.
        journal: says of each pair whether it was settled before; None without a journal.

    Attributes:
        read: pairs read so far.
        backlog: how many are left, for the limiter.
    """

    def __init__(
        self, pairs: Iterable[Pair] | AsyncIterable[Pair], journal: JournalSession | None
    ) -> None:
        self._sync: Iterator[Pair] | None = None
        self._async: AsyncIterator[Pair] | None = None
        if isinstance(pairs, AsyncIterable):
            self._async = aiter(pairs)
        else:
            self._sync = iter(pairs)
        self._journal = journal
        self._turn = asyncio.Lock()
        self._admitted: deque[Admitted] = deque()
        self._exhausted = False
        self._breath_at = BREATH
        self.read = 0
        length = operator.length_hint(pairs, -1)
        self.backlog = Backlog(unread=None if length < 0 else length)

    async def pull(self) -> Admitted | None:
        """Return the next pair, settled before or not; None at the end.

        Raises:
            InvalidArgumentError: the input gave something that is no pair.
            JournalError: the journal belongs to another input, or cannot be written.
        """
        if self._sync is not None:
            while not self._admitted and not self._exhausted:
                if self.read >= self._breath_at:
                    self._breath_at = self.read + BREATH
                    await asyncio.sleep(0)  # a worker cancelled here takes no input with it
                else:
                    self._read_one(self._sync)
            return self._admitted.popleft() if self._admitted else None
        assert self._async is not None  # noqa: S101  one of the two is set
        # An async iterator must not be asked for a second item before it gave the first.
        async with self._turn:
            while not self._admitted and not self._exhausted:
                await self._wait_for_one(self._async)
            return self._admitted.popleft() if self._admitted else None

    def _read_one(self, pairs: Iterator[Pair]) -> None:
        try:
            self._take_in(next(pairs))
        except StopIteration:
            self._end()
        except BaseException:
            self._exhausted = True
            raise

    async def _wait_for_one(self, pairs: AsyncIterator[Pair]) -> None:
        try:
            self._take_in(await anext(pairs))
        except StopAsyncIteration:
            self._end()
        except BaseException:
            self._exhausted = True
            raise

    def _end(self) -> None:
        self._exhausted = True
        if self._journal is not None:
            self._journal.end_input()

    def _take_in(self, item: object) -> None:
        self.read += 1
        if self.backlog.unread is not None:
            # An input that gives more than it promised may give anything.
            self.backlog.unread = self.backlog.unread - 1 if self.backlog.unread else None
        pair, error = as_detach(item, self.read)
        if error is not None:
            # Refused by name when its turn comes, and the run goes on.
            pair = attrs.evolve(pair, **{error.name: ""})
        if self._journal is None:
            self._admitted.append(Admitted(self.read, pair))
        else:
            self._admitted.extend(self._journal.admit(pair))

    async def aclose(self) -> None:
        """Let a generator run its cleanup now rather than whenever it is collected."""
        self._exhausted = True
        close: Any = getattr(self._async, "aclose", None)
        if close is not None:
            await close()


class Again:
    """Pairs of a run that are tried a second time.

    Args:
        items: the pairs.
    """

    def __init__(self, items: Iterable[Admitted]) -> None:
        self._items = iter(items)

    async def pull(self) -> Admitted | None:
        """Return the next pair, None at the end."""
        return next(self._items, None)
