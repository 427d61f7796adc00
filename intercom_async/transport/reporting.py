"""Events to the observer, one log line for each thing a person at night would ask about.

The logger is `intercom_async`; it has no handler of its own, so the library is quiet until an
application configures logging. Lines carry paths, statuses and request ids, never headers.
"""

import logging
from typing import Final

from intercom_async.events import (
    CallGivenUp,
    Event,
    Observer,
    OutageBegan,
    OutageEnded,
    RequestRefused,
    RequestRetried,
    WaitRefused,
)

logger: Final = logging.getLogger("intercom_async")
logger.addHandler(logging.NullHandler())


class Reporter:
    """Hands events to the log and to one optional observer, which may raise without harm."""

    __slots__ = ("_observer",)

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer

    @property
    def observed(self) -> bool:
        """Whether anybody wants an event for every request; building one is not free."""
        return self._observer is not None

    def report(self, event: Event) -> None:
        """Log what deserves a line and hand the event on."""
        _log(event)
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:
            logger.exception("the observer raised; the call goes on")


def _log(event: Event) -> None:
    match event:
        case RequestRetried():
            logger.info(
                "%s %s: attempt %d failed (%s), next in %.2f s (request id %s)",
                event.method,
                event.path,
                event.attempt,
                event.reason,
                event.wait,
                event.request_id,
            )
        case RequestRefused():
            logger.info(
                "%s %s: refused by the rate limit (%s) (request id %s)",
                event.method,
                event.path,
                event.code,
                event.request_id,
            )
        case CallGivenUp():
            logger.warning(
                "%s %s: given up after %d attempts and %.2f s: %s (request id %s)",
                event.method,
                event.path,
                event.attempts,
                event.elapsed,
                event.reason,
                event.request_id,
            )
        case WaitRefused():
            logger.warning(
                "%s %s: not sent, the quota asks for %.2f s and the call allows %.2f s",
                event.method,
                event.path,
                event.wait,
                event.max_wait,
            )
        case OutageBegan():
            logger.warning(
                "Intercom is away: nothing but failures for %.2f s (%s); bulk calls wait",
                event.since,
                event.reason,
            )
        case OutageEnded():
            logger.warning(
                "Intercom is back after %.0f s and %d failed requests",
                event.seconds,
                event.failures,
            )
        case _:
            pass  # a line for every request would be noise; observers get the event
