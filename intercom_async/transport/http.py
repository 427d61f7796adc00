"""Makes one attempt over aiohttp; aiohttp's exceptions become the library's.

Some habits of aiohttp would break the library's promises and are dealt with here:

- It repeats a DELETE by itself when the connection drops, even a fresh one, and has no public
  switch for that. A client middleware sees every attempt on the wire; ours turns the exceptions
  that trigger the repeat into one that does not.
- Most of what a session does for a request (redirects, cookies, traces, a task that writes the
  body) is not wanted here and costs a third of a call. In the library's own sessions, requests go
  straight to a connection of the connector, and replies come straight from aiohttp's parser. That
  holds only for versions of aiohttp that are tested, and while no tool traces the session.
- It takes whatever an idle connection received (a proxy's "408, you were idle", a reply that was
  sent twice) for the answer to the next request. `Connector` does not hand out such a connection;
  sessions of the application's own can be given it.
- Its own time limit swallows a cancellation that comes in the same turn of the loop, for example
  from an `asyncio.timeout` of equal length around the call. Here `deadlines` bounds an attempt.
- It reads a reply of any size. Here the body is read in pieces, up to a bound.
- A connection that got one reply twice answers each question with the one before it. One that
  repeats a request id, or whose answer contradicts the question, is closed.
- A session sends the cookies of its jar with every token, and its own settings hold for every
  request. Each request sets what matters to us, and the middleware checks it.
- Its frames, requests, responses and `ClientResponseError` hold the request's headers, so a
  traceback with them shows the token. `show_nothing_of` removes them from every exception that
  leaves here, cancellations included.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, final
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import msgspec
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from intercom_async.errors import (
    ClientStateError,
    ResponseTooLargeError,
    readable,
)
from intercom_async.pacing.slots import UNBOUNDED, Slots
from intercom_async.runtime import Runtime
from intercom_async.secret import Secret
from intercom_async.transport.deadlines import Deadlines
from intercom_async.transport.doubt import Habit, doubt_about
from intercom_async.transport.hiding import Hiding
from intercom_async.transport.network import authorities, proxy_for, shown, tls
from intercom_async.transport.retrying import Failure
from intercom_async.transport.wire import Reply, Request, is_loopback, quota_headers

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from aiohttp.typedefs import RawHeaders

_Error = TypeVar("_Error", bound=BaseException)

BODY_LIMIT: Final = 8 * 1024 * 1024
"""The longest reply, decompressed, in bytes."""

CONNECTIONS: Final = 256
"""Connections of a client's own pool."""

_ERROR_LIMIT: Final = 64 * 1024
"""The longest error reply, in bytes: a run may keep thousands."""

_LINE_LIMIT: Final = 8190
"""The longest line in the head of a reply, in bytes."""

_HEADERS_LIMIT: Final = 128
"""Headers of one reply, at most."""

_CONNECT_TIME: Final = 10.0
"""Seconds for connecting, if the attempt has more."""


@final
class AttemptFailedError(Exception):
    """One attempt got no usable reply; never leaves the transport. `detail` is safe to show."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail
        super().__init__(detail)


def show_nothing_of(error: _Error) -> _Error:
    """Return an exception without its traceback and context: they may hold the token."""
    error.__traceback__ = error.__context__ = None
    return error


class _Body(aiohttp.BytesPayload):
    """The body of a request; aiohttp sends the headers together with it.

    It may do so in a task of its own, whose exceptions do not pass through `_guard`.
    """

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        try:
            await writer.write(self._value[:content_length])
        except BaseException as error:  # noqa: BLE001  raised again
            raise show_nothing_of(error) from None


async def _guard(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Client middleware: send a request once, only where it may go, without the jar's cookies."""
    if hdrs.COOKIE in request.headers:
        _leave_out_the_jar(request)
    if request.proxy is not None:
        _check_proxy(request.url, request.proxy)
    try:
        return await handler(request)
    except (
        aiohttp.ClientOSError,
        aiohttp.ServerDisconnectedError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
    ) as error:
        raise _failure(error, request.proxy)  # noqa: B904  it has its cause


class _Answer(NamedTuple):
    """The head of a reply, and what its body is read from.

    Attributes:
        lines: names and values of the headers, as they came.
        protocol: aiohttp's end of the connection; stubs have none.
        close: ends the connection, for a body that is not read to its end.
    """

    status: int
    headers: Mapping[str, str]
    lines: "RawHeaders"
    content: aiohttp.StreamReader
    protocol: "ResponseHandler | None"
    close: Callable[[], None]


_READING: Final[dict[str, Any]] = {
    "auto_decompress": True,
    "max_line_size": _LINE_LIMIT,
    "max_field_size": _LINE_LIMIT,
    "max_headers": _HEADERS_LIMIT,
}
_REQUEST: Final = getattr(aiohttp.ClientSession, "_request", None)


# Tools that record, trace or answer an application's requests replace this function.
_UNWATCHED: Final = isinstance(_REQUEST, FunctionType) and _REQUEST.__module__ == "aiohttp.client"
_STRAIGHT: Final = _UNWATCHED and aiohttp.__version__.startswith("3.14.")
"""Whether requests may go straight to the connector: these versions of aiohttp are tested."""


def _leave_out_the_jar(request: aiohttp.ClientRequest) -> None:
    """Take out the cookies of the session's jar; a Cookie header that its owner set stays."""
    del request.headers[hdrs.COOKIE]
    written = request.session.headers.getall(hdrs.COOKIE, [])
    request.headers.extend((hdrs.COOKIE, value) for value in written)


def _failure(error: BaseException, proxy: URL | None = None) -> AttemptFailedError:
    """Return what a foreign exception says; of its causes only the system's is safe to show."""
    way = "" if proxy is None else f", through the proxy {shown(proxy)}"
    kind = next(failure for kinds, failure in _FAILURES if isinstance(error, kinds))
    failure = AttemptFailedError(kind, _describe(error) + way)
    if isinstance(error, aiohttp.ClientConnectorError):
        failure.__cause__ = show_nothing_of(error.os_error)
    return failure


def _check_proxy(url: URL, proxy: URL) -> None:
    """Keep the token from a foreign proxy; https goes through one in a tunnel."""
    if url.scheme == "http" and not is_loopback(proxy.host or ""):
        raise ClientStateError(
            f"the token would go in plain text to the proxy {shown(proxy)}; "
            "use none for loopback hosts"
        )


class Connector(aiohttp.TCPConnector):
    """An `aiohttp.TCPConnector` that hands out no connection on which something waits to be read.

    Nothing that came before a request can be the answer to it. The library's own sessions have
    one; give it to a session of your own in place of aiohttp's, with the same arguments.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own signature
    ) -> "Connection":
        """Return a connection as aiohttp does, but none on which something waits to be read."""
        connection = await super().connect(req, traces, timeout)
        # Idle connections come first. The one after them is new, so no old answer waits on it.
        for _ in range(CONNECTIONS):
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                break
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


def _describe(error: BaseException) -> str:
    """Return the error in words, without the headers that aiohttp puts into `repr`."""
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return f"{type(error).__name__}: {error.message}"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_FAILURES: Final = (
    (
        aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch,
        Failure.CERTIFICATE,
    ),
    (
        aiohttp.ClientConnectorError
        | aiohttp.ConnectionTimeoutError
        | aiohttp.ClientHttpProxyError,
        Failure.NOT_SENT,
    ),
    (TimeoutError, Failure.TIMED_OUT),
    (OSError | aiohttp.ClientConnectionError, Failure.DISCONNECTED),
    (BaseException, Failure.UNREADABLE),
)
"""What a foreign exception means; the first entry that matches counts."""


def _text_of(lines: "RawHeaders") -> str:
    return b"\n".join(itertools.chain.from_iterable(lines)).decode("utf-8", "surrogateescape")


def _limit_of(status: int) -> int:
    return _ERROR_LIMIT if status >= 300 else BODY_LIMIT


async def _body_of(answer: _Answer) -> bytes:
    """Return a reply's body, to its end or somewhat beyond the bound."""
    content = answer.content
    if content.is_eof():  # as nearly always: all of it has come
        return content.read_nowait()
    limit = _limit_of(answer.status)
    pieces: list[bytes] = []
    size = 0
    try:
        while size <= limit and not content.at_eof():
            piece = await content.readany()
            pieces.append(piece)
            size += len(piece)
    finally:
        # At the body's end the connection went back to the pool by itself. Before it, the
        # rest of the body is still on the wire and the connection must not be used again.
        if not content.is_eof():
            answer.close()
    return b"".join(pieces)


_LAST_ID: Final = "_intercom_async_last_id"
"""Attribute of a connection: the request id of its last reply."""


def _repeats(connection: "ResponseHandler", request_id: str) -> bool:
    """Whether a connection's last reply had the same request id; remembers this one."""
    last = getattr(connection, _LAST_ID, None)
    setattr(connection, _LAST_ID, request_id)
    return last == request_id


_SLOTS: Final[WeakKeyDictionary[aiohttp.BaseConnector, Slots]] = WeakKeyDictionary()


def slots_of(session: aiohttp.ClientSession) -> Slots:
    """Return the slots of a session's connection pool, shared by all clients that use it."""
    connector = session.connector
    if connector is None:  # closed, which the attempt will say
        return UNBOUNDED
    slots = _SLOTS.get(connector)
    if slots is None:
        limits = [limit for limit in (connector.limit, connector.limit_per_host) if limit]
        slots = _SLOTS[connector] = Slots(min(limits, default=0))
    return slots


_OWN: Final["WeakSet[aiohttp.ClientSession]"] = WeakSet()
"""Sessions that the library opened; they follow the environment's proxies and certificates."""


def open_session(connections: int) -> aiohttp.ClientSession:
    """Open a session as the library wants it, inside the running loop."""
    session = aiohttp.ClientSession(
        # ThreadedResolver honours all of the system's name service; aiodns does not.
        connector=Connector(
            limit=connections, resolver=aiohttp.ThreadedResolver(), ttl_dns_cache=60, ssl=tls()
        ),
        # A cookie set for one token must never be replayed for another.
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # it would read netrc, too; see `network`
    )
    _OWN.add(session)
    return session


@lru_cache  # the calls of a program have few different ones
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    """Return the bound on connecting; `deadlines` bounds the whole.

    It is less than the whole, so that a host that never answers is known to have got nothing, and
    not rounded up to a whole second.
    """
    connect = min(_CONNECT_TIME, 0.9 * seconds)
    return aiohttp.ClientTimeout(total=None, connect=connect, ceil_threshold=_CONNECT_TIME)


class Http:
    """One origin, one token, one connection pool, opened on first use inside the running loop.

    Attributes:
        base_url: scheme, host and path prefix, without a trailing slash.

    Args:
        session: used and never closed; without it a session is opened and closed here.
        proxy: used in place of the session's or the environment's.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Secret,
        headers: dict[str, str],
        session: aiohttp.ClientSession | None,
        runtime: Runtime,
        proxy: URL | None = None,
    ) -> None:
        self.base_url = base_url
        self._url = URL(base_url, encoded=True)
        self._origin = str(self._url.origin())
        self._prefix = self._url.raw_path.rstrip("/")
        self._headers = CIMultiDict(headers, Authorization=f"Bearer {token.reveal()}")
        host = self._url.host_port_subcomponent
        lines = {"Host": host, **self._headers}.items()
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self._body_headers = CIMultiDict(self._headers, **{"Content-Type": "application/json"})
        self._hiding = Hiding(token)
        self._injected = session
        self._session = session
        self._proxy = proxy
        self.slots = UNBOUNDED
        self._asked: aiohttp.ClientRequest | None = None  # what straight requests connect as
        self._runtime = runtime
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self.closed = False
        self.habit = Habit()
        self._deadlines = Deadlines(runtime)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self._session else "not opened"
        return f"<Http {self.base_url} ({state})>"

    @property
    def instrumented(self) -> bool:
        """Whether OpenTelemetry's aiohttp instrumentation makes spans of the session's requests."""
        return any(
            getattr(trace, "_is_instrumented_by_opentelemetry", False)
            for trace in self.ready().trace_configs
        )

    def ready(self) -> aiohttp.ClientSession:
        """Return the session, opened if need be.

        Raises:
            ClientStateError: the client is closed or bound to another event loop or process, or
                the certificates that the environment names cannot be read.
            InvalidArgumentError: HTTPS_PROXY names no proxy.
        """
        loop = asyncio.get_running_loop()
        if self.closed:
            raise ClientStateError("the client is closed; open a new one")
        if self._loop is None:
            if self._proxy is None and (self._session is None or self._session in _OWN):
                self._proxy = proxy_for(self._url)
            if self._session is None:
                self._session = open_session(CONNECTIONS)
            self._loop, self._pid = loop, os.getpid()
            self.slots = slots_of(self._session)
            watched = self._proxy is not None or self._session.trace_configs
            if _STRAIGHT and self._session in _OWN and not watched:
                self._asked = aiohttp.ClientRequest(
                    "GET", self._url, loop=loop, session=self._session
                )
        elif self._loop is not loop or self._pid != os.getpid():
            raise ClientStateError(
                "the client belongs to another event loop or process; open one client in each"
            )
        assert self._session is not None  # noqa: S101  set just above, or injected
        return self._session

    async def attempt(self, request: Request, *, seconds: float) -> Reply:
        """Send a request once and read the reply within `seconds`; `Reply.doubt` is set.

        Raises:
            AttemptFailedError: no usable reply.
            ClientStateError: the client or the injected session cannot be used.
        """
        session = self._session or self.ready()  # the call that sends it has asked `ready`
        answer: _Answer | None = None
        task = self._deadlines.enter(seconds)
        try:
            watched = getattr(aiohttp.ClientSession, "_request", None) is not _REQUEST
            if self._asked is None or watched or session.closed:
                answer = await self._send_by(session, request, seconds)
            else:
                answer = await self._send_straight(self._asked, request, seconds)
            body = await _body_of(answer)
        except (Exception, asyncio.CancelledError) as error:  # whatever a broken reply causes
            late = isinstance(error, asyncio.CancelledError)
            if late and not self._deadlines.leave(task):
                raise
            if answer is not None:
                reason = "the rest did not arrive in time" if late else _describe(error)
                detail = self._clean(f"HTTP {answer.status}, {reason}")
                raise AttemptFailedError(Failure.TRUNCATED, detail) from None
            if late:
                detail = f"no reply within {seconds:g} s"
                raise AttemptFailedError(Failure.TIMED_OUT, detail) from None
            raise self._translate(error)  # noqa: B904  an OS error is its cause already
        finally:
            self._deadlines.leave(task)
        return self._reply(request, answer, body)

    async def _send_by(
        self, session: aiohttp.ClientSession, request: Request, seconds: float
    ) -> _Answer:
        response = await session.request(
            request.method,
            URL(self._origin + self._target(request), encoded=True),
            data=None if request.body is None else _Body(request.body),
            headers=self._headers if request.body is None else self._body_headers,
            timeout=_timeout(seconds),
            allow_redirects=False,
            proxy=self._proxy,
            raise_for_status=False,
            middlewares=(_guard,),
            **_READING,
        )
        return _Answer(
            response.status,
            response.headers,
            response.raw_headers,
            response.content,
            # By now aiohttp's public `connection` is often given back already.
            getattr(response, "_protocol", None),
            response.close,
        )

    async def _send_straight(
        self, asked: aiohttp.ClientRequest, request: Request, seconds: float
    ) -> _Answer:
        """Do what a session does for a request that needs none of its services."""
        connector = asked.session.connector
        assert connector is not None  # noqa: S101  the session is open
        try:
            connection = await connector.connect(asked, [], _timeout(seconds))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to {asked.url}") from error
        try:
            protocol = connection.protocol
            assert protocol is not None  # noqa: S101  it is new, or was idle
            protocol.set_response_params(read_until_eof=True, **_READING)
            if protocol.transport is not None:  # else it was lost at once, as reading tells
                protocol.transport.write(self._bytes_of(request))
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:  # on the way: a hint
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        content.on_eof(connection.release)
        head = message.code, message.headers, message.raw_headers
        return _Answer(*head, content, protocol, connection.close)

    def _bytes_of(self, request: Request) -> bytes:
        lines, body = self._lines, request.body
        if body is not None:
            lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        elif request.method != "GET":
            lines += "Content-Length: 0\r\n"
        line = f"{request.method} {self._target(request)} HTTP/1.1"
        return f"{line}\r\n{lines}\r\n".encode() + (body or b"")

    def _target(self, request: Request) -> str:
        path = self._prefix + request.path
        return f"{path}?{request.query}" if request.query else path

    def _reply(self, request: Request, answer: _Answer, body: bytes) -> Reply:
        status, headers, protocol = answer.status, answer.headers, answer.protocol
        request_id = headers.get("X-Request-Id")
        if request_id is not None:
            request_id = self._clean(request_id)
            if protocol is not None and _repeats(protocol, request_id):
                protocol.close()
                raise AttemptFailedError(Failure.REPEATED, f"request id {request_id} came twice")
        flaw: ResponseTooLargeError | None = None
        limit = _limit_of(status)
        if len(body) > limit:
            flaw = ResponseTooLargeError(status=status, limit=limit, request_id=request_id)
            body = b""
        reply = Reply(
            status=status,
            body=self._hiding.body(body),
            request_id=request_id,
            headers=quota_headers(headers, wall=self._runtime.wall()),
            flaw=flaw,
            all_headers=self._hiding.lines(_text_of(answer.lines)),
            raw=request.raw,
        )
        doubt = doubt_about(request, reply, removed_are_listed=self.habit.believed)
        if doubt is None:
            return reply
        if doubt.contradiction and protocol is not None:
            protocol.close()
        server = headers.get("Server")
        return msgspec.structs.replace(
            reply, doubt=doubt, server=None if server is None else self._clean(server)
        )

    def _translate(self, error: BaseException) -> AttemptFailedError | ClientStateError:
        """Return our exception for a foreign one; an OS error is kept as the cause."""
        if isinstance(error, ClientStateError):
            return ClientStateError(str(error))
        if isinstance(error, RuntimeError | ValueError) and not isinstance(
            error, aiohttp.ClientError
        ):
            return ClientStateError(f"the session cannot be used: {self._clean(_describe(error))}")
        told = error if isinstance(error, AttemptFailedError) else _failure(error)
        detail = self._clean(told.detail)
        if told.failure is Failure.CERTIFICATE and self._session in _OWN:
            detail += f", by the authorities in {authorities()}; SSL_CERT_FILE may name others"
        failure = AttemptFailedError(told.failure, detail)
        failure.__cause__ = told.__cause__
        return failure

    def _clean(self, text: str) -> str:
        return readable(self._hiding.text(text))

    async def aclose(self) -> None:
        """Close the pool; a second call does nothing. A session of the application's stays open."""
        self.closed = True
        self._deadlines.close()
        session, self._session = self._session, None
        if session is not None and session is not self._injected:
            await session.close()
