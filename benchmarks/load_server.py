"""The server that every client is measured against: a process of its own on 127.0.0.1.

It answers each request at once with the live endpoint's reply and with the headers of a quota so
large that nobody ever waits for it. nginx does that if it is installed; else a protocol that
reads no more of HTTP than the length of the body. Either is several times faster than any Python
client, and `busy` says when it was not.
"""

import asyncio
import contextlib
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

HOST: Final = "127.0.0.1"
LIMIT: Final = 100_000_000
"""Requests per window: nobody ever waits."""

WINDOW: Final = 10
REPLY: Final = b'{"customers":[{"type":"user","id":"667d60d18a68186f43bafdde"}]}'
SATURATED: Final = 0.9
"""Part of one core from which on the server may have held its clients back."""

_BODY_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class LoadServer(ABC):
    """A running server; an async-free context manager.

    Attributes:
        name: what it is.
        url: where it listens.
    """

    name: str
    url: str

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def cpu(self) -> float:
        """Return the seconds of CPU it has used."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def start_server() -> LoadServer:
    """Start the fastest server there is."""
    return _Nginx() if shutil.which("nginx") else _RawServer()


# --- without nginx -----------------------------------------------------------------------------


class _Answering(asyncio.Protocol):
    """Answers every complete request, pipelined ones too."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._pending += data
        complete = 0
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            length = _BODY_LENGTH.search(self._pending, 0, end)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._pending) < end:
                break
            self._pending = self._pending[end:]
            complete += 1
        if complete:
            self._transport.write(b"".join(_Replies.next() for _ in range(complete)))


class _Replies:
    """The reply, its headers brought up to date once a second."""

    _second = 0
    _reply = b""
    _count = 0

    @classmethod
    def next(cls) -> bytes:
        now = int(time.time())
        if now != cls._second:
            cls._second = now
            reset = (now // WINDOW + 1) * WINDOW
            head = (
                "HTTP/1.1 200 OK\r\n"
                f"Date: {formatdate(now, usegmt=True)}\r\n"
                "Content-Type: application/json; charset=utf-8\r\n"
                f"Content-Length: {len(REPLY)}\r\n"
                "Connection: keep-alive\r\n"
                "X-Request-Id: %020d\r\n"
                "Intercom-Version: Preview\r\n"
                f"X-RateLimit-Limit: {LIMIT}\r\n"
                f"X-RateLimit-Remaining: {LIMIT - 1}\r\n"
                f"X-RateLimit-Reset: {reset}\r\n\r\n"
            )
            cls._reply = head.encode() + REPLY
        cls._count += 1
        return cls._reply % cls._count


def _serve(pipe: "Connection[Any, Any]") -> None:
    loop_factory: Any = None
    with contextlib.suppress(ImportError):
        import uvloop

        loop_factory = uvloop.new_event_loop

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answering, HOST, 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(pipe.recv):
            pipe.send(time.process_time())

    with (
        contextlib.suppress(EOFError, KeyboardInterrupt),
        asyncio.Runner(loop_factory=loop_factory) as runner,
    ):
        runner.run(serve())


class _RawServer(LoadServer):
    name = "asyncio protocol"

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url = f"http://{HOST}:{self._pipe.recv()}"

    def cpu(self) -> float:
        self._pipe.send(True)
        return float(self._pipe.recv())

    def close(self) -> None:
        self._pipe.send(False)
        self._process.join(5)
        self._process.terminate()


# --- nginx -------------------------------------------------------------------------------------

_CONFIGURATION: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map_hash_max_size 16384;
  map $msec $ten {{ "~^(?<tens>[0-9]+)[0-9][.]" $tens; }}
  map $ten $reset {{ default 0; {resets} }}
  server {{
    listen {host}:{port} backlog=4096; default_type application/json;
    add_header X-Request-Id $request_id;
    add_header Intercom-Version Preview;
    add_header X-RateLimit-Limit {limit};
    add_header X-RateLimit-Remaining {remaining};
    add_header X-RateLimit-Reset $reset;
    location / {{ return 200 '{reply}'; }}
  }}
}}
"""
_HOURS: Final = 2


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class _Nginx(LoadServer):
    name = "nginx"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-nginx-")
        port = _free_port()
        # nginx cannot add, so each window's end stands in a table.
        first = int(time.time()) // WINDOW
        resets = " ".join(
            f"{ten} {(ten + 1) * WINDOW};" for ten in range(first, first + _HOURS * 360)
        )
        configuration = Path(self._folder.name, "nginx.conf")
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self._folder.name, host=HOST, port=port, resets=resets, limit=LIMIT,
                remaining=LIMIT - 1, reply=REPLY.decode(),
            )
        )  # fmt: skip
        program = shutil.which("nginx")
        assert program is not None
        self._process = subprocess.Popen([program, "-c", str(configuration)])
        self.url = f"http://{HOST}:{port}"
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
                return
            time.sleep(0.05)
        self.close()
        raise RuntimeError("nginx did not start")

    def cpu(self) -> float:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        ticks = 0
        for worker in children.read_text().split():
            fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(5)
        self._folder.cleanup()
