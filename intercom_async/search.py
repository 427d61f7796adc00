"""Intercom's searches: every result once, over as many pages and passes as that takes."""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Protocol, TypeVar

import attrs
from msgspec.structs import replace

from intercom_async.errors import ConnectionFailedError, ContradictoryReplyError, ServerError
from intercom_async.model import ContactReference, Conversation
from intercom_async.model.base import mark
from intercom_async.structuring import decode_page
from intercom_async.structuring.replies import read
from intercom_async.transport import wire
from intercom_async.transport.sending import CallOptions

_LARGEST_PAGE: Final = 150
"""Results per page, the most that Intercom gives."""

_SMALLEST_PAGE: Final = 10
"""The same for a search whose larger pages make a gateway give up."""

_IDLE: Final = 3
"""A search is complete after this many passes in a row that bring nothing new."""

_MARGIN: Final = 10_000
"""A search may have twice the results that its first page announces, and this many more."""

_Entry = TypeVar("_Entry", Conversation, ContactReference)
_GIVEN_UP: Final = frozenset({502, 504})


class Requests(Protocol):
    """Counts the requests of a run."""

    requests: int


class Search:
    """Searches with the calls of one client.

    Attributes:
        call: sends a request; raises unless it succeeds.
        requests: how many it made; a repeated one counts once.
        run: counts them, too, while a run uses this search.
    """

    def __init__(
        self,
        call: Callable[[wire.Request, CallOptions], Awaitable[wire.Reply]],
        options: CallOptions,
    ) -> None:
        self.call = call
        self.options = options
        self.requests = 0
        self.run: Requests | None = None

    def count(self) -> None:
        """Count a request."""
        self.requests += 1
        if self.run is not None:
            self.run.requests += 1

    def conversations(self, *contact_ids: object) -> AsyncGenerator[Conversation]:
        """Iterate over the conversations that any of the contacts takes part in."""
        ask = functools.partial(wire.search_conversations, *contact_ids)
        return self._results(ask, Conversation)

    def contacts(self, field: str, *values: object) -> AsyncGenerator[ContactReference]:
        """Iterate over the contacts with one of the values in "id", "email" or "external_id"."""
        ask = functools.partial(wire.search_contacts, field, *values)
        return self._results(ask, ContactReference)

    async def _results(
        self, ask: Callable[..., wire.Request], kind: type[_Entry]
    ) -> AsyncGenerator[_Entry]:
        """Iterate over what a search finds, each result once.

        Pages shift while results leave the search. So one pass through the pages is enough only if
        it brings as many results as they announce. Otherwise further passes follow, until several
        in a row bring nothing new.

        Raises:
            ContradictoryReplyError: the search goes on, but brings nothing new, or has far more
                results than it announced.
        """
        decode = functools.partial(decode_page, kind=kind)
        seen: set[str] = set()
        most: int | None = None
        size = _LARGEST_PAGE
        idle = 0
        while idle < _IDLE:
            before, announced = len(seen), 0
            passed: set[str] = set()
            cursor: str | None = None
            while True:
                reply, size = await self._page(ask, size, cursor)
                page = await read(reply, decode)
                cursor, head = page.starting_after, wire.head_of(reply)
                ids = {entry.id for entry in page.entries if entry.id is not None}
                for entry in page.entries:
                    if entry.id is not None and entry.id not in seen:
                        seen.add(entry.id)
                        mark(entry, head)
                        yield entry
                if kind is Conversation:  # how searches of contacts count is not documented
                    announced = max(announced, page.total_count or 0)
                most = _MARGIN + 2 * announced if most is None else most
                if len(seen) > most:
                    raise _contradiction(
                        f"the search has {len(seen):,} results, far more than it announced", reply
                    )
                nothing_new = ids <= passed
                passed |= ids
                if cursor is None or not page.entries:
                    break
                if nothing_new:
                    raise _contradiction(
                        "the search leads back to results it had before, but says that more follow",
                        reply,
                    )
            if len(passed) >= announced:
                break
            idle = idle + 1 if len(seen) == before else 0

    async def _page(
        self, ask: Callable[..., wire.Request], size: int, cursor: str | None
    ) -> tuple[wire.Reply, int]:
        """Return a page and its size; after a gateway's timeout, ask for pages of half the size."""
        options = self.options
        retry = attrs.evolve(options.retry, attempts=min(2, options.retry.attempts))
        brief = replace(options, retry=retry)
        while True:
            asked = ask(per_page=size, starting_after=cursor)
            self.count()
            try:
                return await self.call(asked, options if size == _SMALLEST_PAGE else brief), size
            except (ServerError, ConnectionFailedError) as error:
                if size == _SMALLEST_PAGE:
                    raise
                if not isinstance(error, ServerError) or error.status not in _GIVEN_UP:
                    # A smaller page would not help.
                    return await self.call(asked, options), size
                size = max(_SMALLEST_PAGE, size // 2)


def _contradiction(reason: str, reply: wire.Reply) -> ContradictoryReplyError:
    return ContradictoryReplyError(
        reason, status=reply.status, request_id=wire.request_id_of(reply)
    )
