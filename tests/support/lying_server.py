"""A small workspace over real sockets: it records what is really applied, and its answers lie.

A test hands in a function that makes the answer to each request. It may let `LyingServer.honest`
apply the request and answer it, alter that answer, or give one of its own.
"""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import attrs

from tests.support.raw_server import Listener, message

GONE, STAYS = "gone", "stays"
"""The contacts of every conversation at first; tests detach the first one."""

_EPOCH = 1_790_000_000
_REQUEST_LINE = re.compile(
    rb"(\w+) (?:/conversations|/contacts)?/([^/ ]*)(?:/customers)?(?:/(\S*))? HTTP"
)


@attrs.frozen
class Asked:
    """One request; `before` counts those of its method about its conversation until then.

    The conversation is "me" for the token's admin, "search" for a search.
    """

    method: str
    conversation: str
    contact: str
    body: dict[str, Any]
    before: int
    port: int


@attrs.frozen(kw_only=True)
class Said:
    """An answer; `twice` sends it two times."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    twice: bool = False

    def with_body(self, document: object, **changes: Any) -> "Said":
        """Return the like with another JSON body."""
        return attrs.evolve(self, body=json.dumps(document).encode(), **changes)


def html(status: int) -> Said:
    """Return what a load balancer answers in Intercom's place."""
    return Said(status=status, body=b"<html>no</html>", headers={"Server": "awselb/2.0"})


def error(status: int, message: str, *, code: str = "not_found") -> Said:
    """Return an error of Intercom's."""
    document = {"type": "error.list", "errors": [{"code": code, "message": message}]}
    return Said(status=status).with_body(document)


class LyingServer(Listener):
    """See the module's docstring; `applied` counts what was really detached."""

    def __init__(self, answer: Callable[["LyingServer", Asked], Said]) -> None:
        super().__init__()
        self._answer = answer
        self.attached: defaultdict[str, set[str]] = defaultdict(lambda: {GONE, STAYS})
        self.applied: Counter[tuple[str, str]] = Counter()
        self.asked: list[Asked] = []

    @property
    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    def honest(self, asked: Asked) -> Said:
        """Apply a request and answer it as Intercom does."""
        if asked.conversation == "me":
            return Said().with_body({"type": "admin", "id": "1"})
        if asked.method == "GET":
            return self.conversation(asked.conversation)
        listed = self.attached[asked.conversation]
        if asked.method == "POST":
            listed.add(asked.body["customer"]["intercom_user_id"])
        elif asked.contact not in listed:
            return error(404, "User Not Found")
        else:
            listed.remove(asked.contact)
            self.applied[asked.conversation, asked.contact] += 1
        return Said().with_body({"customers": [{"id": each} for each in sorted(listed)]})

    def conversation(self, conversation: str, *more: str) -> Said:
        """Return a conversation, with more contacts than it has if wished."""
        listed = [{"id": each} for each in sorted(self.attached[conversation] | set(more))]
        contacts = {"type": "contact.list", "contacts": listed}
        return Said().with_body({"type": "conversation", "id": conversation, "contacts": contacts})

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await message(reader)
            line = _REQUEST_LINE.match(request)
            assert line is not None
            method, conversation, contact = (part.decode() for part in line.groups(b""))
            alike = [(each.method, each.conversation) for each in self.asked]
            body = json.loads(request.partition(b"\r\n\r\n")[2] or b"{}")
            before = alike.count((method, conversation))
            port = writer.get_extra_info("peername")[1]
            asked = Asked(method, conversation, contact, body, before, port)
            self.asked.append(asked)
            said = self._answer(self, asked)
            data = self._bytes_of(said)
            writer.write(data)
            if said.twice:
                await writer.drain()
                await asyncio.sleep(0.002)
                writer.write(data)
            await writer.drain()

    def _bytes_of(self, said: Said) -> bytes:
        headers = {"Content-Length": str(len(said.body))}
        if "Server" not in said.headers:  # a gateway knows nothing of Intercom's headers
            now = int(_EPOCH + asyncio.get_running_loop().time())
            headers |= {
                "X-Request-Id": f"request-{len(self.asked)}",
                "X-RateLimit-Limit": "100000",
                "X-RateLimit-Remaining": "99999",
                "X-RateLimit-Reset": str(now // 10 * 10 + 10),
            }
        head = "".join(f"{name}: {value}\r\n" for name, value in (headers | said.headers).items())
        return f"HTTP/1.1 {said.status} X\r\n{head}\r\n".encode() + said.body
