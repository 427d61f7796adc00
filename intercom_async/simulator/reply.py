"""A reply before it is written: what faults may alter. Pure."""

import enum

import attrs
import msgspec
from multidict import CIMultiDict

from intercom_async.simulator import documents
from intercom_async.simulator.documents import Document
from intercom_async.simulator.refusals import Refusal

REQUEST_ID = "X-Request-Id"
RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class Ending(enum.Enum):
    """What happens to the connection."""

    COMPLETE = "complete"
    """The whole reply is sent and the connection kept."""

    TRUNCATED = "truncated"
    """Half of the body is sent, then the connection is closed."""

    CLOSED = "closed"
    """Nothing is sent; the connection is closed in order."""

    RESET = "reset"
    """Nothing is sent; the connection is reset."""


@attrs.define(kw_only=True)
class Reply:
    """A reply; `delay` (seconds) and `held` (until the simulator releases it) keep it back."""

    headers: CIMultiDict[str]
    status: int = 200
    body: bytes = b""
    delay: float = 0.0
    held: bool = False
    ending: Ending = Ending.COMPLETE

    def show(self, document: Document) -> None:
        """Make the body this JSON object."""
        self.body = msgspec.json.encode(document)

    def fail(self, status: int, code: str, message: str) -> None:
        """Make this an error reply in Intercom's form."""
        self.status = status
        self.show(documents.error_list(code, message, self.headers[REQUEST_ID]))

    def refuse(self, refusal: Refusal) -> None:
        """Make this the reply of a documented error."""
        self.fail(refusal.status, refusal.code, refusal.message)
