"""Rows of the journal, a page at a time."""

from collections import deque

from intercom_async.journal import Row, Session, Wanted


class Pages:
    """A workspace's rows of one state, in the order of their ids."""

    def __init__(
        self, session: Session, wanted: Wanted, workspace: str, *, limit: int = 1000
    ) -> None:
        self._session = session
        self._wanted = wanted
        self._workspace = workspace
        self._limit = limit
        self._last: Row | None = None
        self._page: deque[Row] = deque()
        self._ended = False

    async def more(self) -> bool:
        """Whether there is a row to `take`."""
        if not self._page and not self._ended:
            self._page.extend(await self.read())
            self._ended = not self._page
        return bool(self._page)

    def take(self) -> Row:
        """Return the next row; behind `more`, so that a cancelled caller loses none."""
        return self._page.popleft()

    async def read(self) -> list[Row]:
        """Return the next page whole. An empty one is the end; the first page comes after it."""
        rows = await self._session.rows(
            self._wanted, after=self._last, limit=self._limit, workspace=self._workspace
        )
        self._last = rows[-1] if rows else None
        return rows
