"""The head of a reply."""

from collections.abc import Mapping

import msgspec
from multidict import CIMultiDict


class ReplyHead(msgspec.Struct, frozen=True):
    """Status and headers of a reply; decoded objects, errors and results have it as `reply`.

    Attributes:
        request_id: Intercom's id of the request, for its support; None if it gave none.
    """

    status: int
    request_id: str | None
    _lines: str  # parsed on demand, which is rare

    @property
    def headers(self) -> Mapping[str, str]:
        """Values by name, in any case, without the token if the server repeats it."""
        lines = self._lines.split("\n")
        return CIMultiDict(zip(lines[::2], lines[1::2], strict=False))

    def __repr__(self) -> str:
        return f"ReplyHead(status={self.status}, request_id={self.request_id!r})"
