"""Counting what arrived: numbers that tests compare with a client's own account."""

import collections
import contextlib
from collections.abc import Generator, Mapping
from urllib.parse import unquote

import attrs


@attrs.define(kw_only=True)
class Request:
    """One request that arrived.

    Attributes:
        path: as it came, still encoded, without the query.
        segments: of the path, decoded.
        headers: as they came, the token included.
        status: of the reply, None while there is none or if there never was.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = b""
    status: int | None = None
    segments: tuple[str, ...] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.segments = _segments(self.path)

    @property
    def conversation_id(self) -> str | None:
        """The conversation its path names, or None."""
        match self.segments:
            case "conversations", conversation_id, *_ if conversation_id != "search":
                return conversation_id
            case _:
                return None


def _segments(path: str) -> tuple[str, ...]:
    """Split a path, decoding each segment on its own, so that `%2F` stays inside an id.

    Dot segments are resolved and empty ones dropped, as web servers in front of an application
    do: an id of `..` that was not refused earlier reaches another resource.
    """
    segments: list[str] = []
    for raw in path.split("/"):
        segment = unquote(raw)
        if segment == "..":
            del segments[-1:]
        elif segment not in {"", "."}:
            segments.append(segment)
    return tuple(segments)


class Requests:
    """Counts of the requests that arrived; `log` lists them all if it is kept.

    Attributes:
        total, by_method: refused requests included.
        by_status: replies by HTTP status.
        unanswered: requests that ended without a reply.
        overlaps: requests to change a conversation while another of these was in flight.
    """

    def __init__(self, *, keep_log: bool = False) -> None:
        self.total = 0
        self.by_method: collections.Counter[str] = collections.Counter()
        self.by_status: collections.Counter[int] = collections.Counter()
        self.unanswered = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.overlaps = 0
        self.log: list[Request] | None = [] if keep_log else None
        self._changing: collections.Counter[str] = collections.Counter()

    @property
    def refused(self) -> int:
        """Requests answered with 429."""
        return self.by_status[429]

    @contextlib.contextmanager
    def counting(self, request: Request) -> Generator[None]:
        """Count a request that arrived, and at the end of the block its status, if it has one."""
        self.total += 1
        self.by_method[request.method] += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        changed = None if request.method == "GET" else request.conversation_id
        if changed is not None:
            self.overlaps += self._changing[changed] > 0
            self._changing[changed] += 1
        if self.log is not None:
            self.log.append(request)
        try:
            yield
        finally:
            self.in_flight -= 1
            if changed is not None:
                self._changing[changed] -= 1
            if request.status is None:
                self.unanswered += 1
            else:
                self.by_status[request.status] += 1
