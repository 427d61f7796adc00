"""The simulator with answers that a test makes up; what it applies and keeps stays true."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from intercom_async.simulator import Fault
from intercom_async.simulator.faults import FaultPlan
from intercom_async.simulator.reply import Reply
from intercom_async.simulator.requests import Request


@attrs.frozen
class Lie:
    """An answer that is told in place of the honest one.

    Attributes:
        body: bytes as they are, anything else as JSON.
        applied: whether the request is applied all the same.
        counted: whether the headers of the quota are there.
        headers: those that come on top.
    """

    body: object = b""
    status: int = 200
    applied: bool = False
    counted: bool = True
    headers: dict[str, str] = attrs.field(factory=dict[str, str])

    @property
    def fault(self) -> Fault:
        return Fault.SERVER_ERROR_AFTER_APPLYING if self.applied else Fault.SERVER_ERROR

    def alter(self, reply: Reply) -> None:
        reply.set_status(self.status)
        reply.body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        if not self.counted:
            reply.hide_quota()
        reply.headers.update(self.headers)


def page(status: int) -> Lie:
    """Return what a load balancer answers in Intercom's place."""
    return Lie(b"<html>no</html>", status, counted=False, headers={"Content-Type": "text/html"})


def error(status: int, message: str, *, code: str = "not_found") -> Lie:
    """Return an error of Intercom's."""
    return Lie({"type": "error.list", "errors": [{"code": code, "message": message}]}, status)


Answer = Callable[[Request, int], Lie | None]
"""Given a request and how many of its method about its conversation came before: a lie, or none."""


def always(lie: Lie | None) -> Answer:
    """Answer all requests so."""
    return lambda _, __: lie


class Lies(FaultPlan):
    """Alters replies as a test says, to be set as `sim.faults`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self._before: Counter[tuple[str, str | None]] = Counter()

    def draw(self, request: Request) -> Any:
        asked = request.method, request.conversation_id
        self._before[asked] += 1
        return self._answer(request, self._before[asked] - 1)
