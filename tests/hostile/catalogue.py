"""Replies no honest server sends, as data: raw bytes, and what the connection does after them."""

# ruff: noqa: E501  one line is one reply, as a table has it

import enum
import gzip
import zlib
from collections.abc import Iterator
from typing import Final

import attrs

MIB: Final = 1 << 20


class After(enum.Enum):
    """What the server does when the bytes are out."""

    KEEP = "keep the connection open, as if all was said"
    CLOSE = "close it"


@attrs.frozen
class Hostile:
    """One reply.

    Attributes:
        name: what is wrong with it, for the test's name.
        data: the bytes, status line included.
        after: what becomes of the connection.
        endless: whether the last `endless` bytes are repeated until the client goes away.
    """

    name: str
    data: bytes
    after: After = After.KEEP
    endless: int = 0


def http(body: bytes = b"", *lines: str, status: str = "200 OK", length: bool = True) -> bytes:
    """Return a reply with these parts; the length of the body is told unless forbidden."""
    told = [f"Content-Length: {len(body)}"] if length else []
    head = "\r\n".join([f"HTTP/1.1 {status}", *told, *lines])
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def error(status: str, *lines: str, code: str = "x", message: str = "y") -> bytes:
    """Return an error as Intercom words it."""
    body = f'{{"type": "error.list", "errors": [{{"code": "{code}", "message": "{message}"}}]}}'
    return http(body.encode("utf-8", "surrogatepass"), *lines, status=status)


def _chunked(data: bytes, *lines: str) -> bytes:
    return http(data, "Transfer-Encoding: chunked", *lines, length=False)


def _framing() -> Iterator[Hostile]:
    """Lengths and chunks that do not add up."""
    for name, length in {"negative": "-1", "huge": str(2**62)}.items():
        yield Hostile(f"length_{name}", http(b"{}", f"Content-Length: {length}", length=False))
    long = http(b"{}", "Content-Length: 90", length=False)
    yield Hostile("length_too_large_then_close", long, After.CLOSE)
    yield Hostile("length_too_small", http(b'{"id": "1"}', "Content-Length: 2", length=False))
    yield Hostile("length_twice_different", http(b"{}", "Content-Length: 3"))
    yield Hostile("length_missing_and_silence", http(b"{}", length=False))
    chunks = b"2\r\n{}\r\n0\r\n\r\n"
    yield Hostile("length_beside_chunks", http(chunks, "Transfer-Encoding: chunked"))
    for name, data in {
        "size_huge": b"f" * 40 + b"\r\n{}\r\n",
        "size_too_small": b"1\r\n{}\r\n0\r\n\r\n",
        "last_missing_and_silence": b"2\r\n{}\r\n",
        "extension_flood": b"2;" + b"x" * MIB + b"\r\n{}\r\n0\r\n\r\n",
        "trailer_flood": b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 9_999 + b"\r\n",
        "of_one_byte": b"1\r\n \r\n" * 5_000 + chunks,
    }.items():
        yield Hostile(f"chunk_{name}", _chunked(data))
    yield Hostile("chunk_extension_endless", _chunked(b"2;" + b"x" * MIB), endless=MIB)
    trailers = _chunked(b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 9_999)
    yield Hostile("chunk_trailers_endless", trailers, endless=6 * 9_999)
    yield Hostile("coding_unknown", http(chunks, "Transfer-Encoding: x", length=False), After.CLOSE)
    yield Hostile("second_reply_unasked", http(b"{}") + http(b'{"id": "lie"}'))
    yield Hostile("rubbish_endless", http(b"{}") + b"\x00" * MIB, endless=MIB)
    yield Hostile("body_endless", http(b" " * MIB, length=False), endless=MIB)
    terabyte = http(b" " * MIB, f"Content-Length: {2**40}", length=False)
    yield Hostile("body_of_a_terabyte", terabyte, endless=MIB)


def _heads() -> Iterator[Hostile]:
    """Status lines and headers."""
    for name, data in {
        "nothing": b"",
        "no_http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "http_0_9": b"<html>It works</html>",
        "status_missing": b"HTTP/1.1\r\n\r\n",
        "status_999": b"HTTP/1.1 999 ?\r\nContent-Length: 2\r\n\r\n{}",
        "reason_of_odd_bytes": b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        "reason_long": b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
        "unfinished": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    }.items():
        yield Hostile(f"head_{name}", data, After.CLOSE)
        if name in {"nothing", "http_0_9", "unfinished"}:
            yield Hostile(f"head_{name}_and_silence", data)
    for name, line in {
        "colon_missing": "Abc",
        "value_with_zero": "A: \x00",
        "value_odd_bytes": "X-Request-Id: \udcff\udcfe\udc80",
        "value_utf_8": "X-Request-Id: ünïcödé \U0001f40d",
        "value_markup": "X-Request-Id: <script>alert(1)</script>",
        "value_of_20000_bytes": "X-Request-Id: " + "i" * 20_000,
        "cookie_odd": "Set-Cookie: \x01=;;;=\udcff; expires=Yesterday; domain=.com",
        "cookie_flood": "\r\n".join(f"Set-Cookie: a{n}=b" for n in range(90)),
        "upgrade": "Connection: upgrade\r\nUpgrade: websocket",
        "charset_unknown": "Content-Type: application/json; charset=klingon",
        "location": "Location: http://169.254.169.254/latest",
        "date_of_digits": "Date: " + "9" * 5000,
    }.items():
        yield Hostile(f"header_{name}", http(b'{"customers": []}', line))
    yield Hostile("header_flood_100000", http(b"{}", *(f"X{n}: y" for n in range(100_000))))
    headers = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9_999
    yield Hostile("header_flood_endless", headers, endless=6 * 9_999)
    yield Hostile("header_line_endless", b"HTTP/1.1 200 OK\r\nA: " + b"x" * MIB, endless=MIB)
    yield Hostile("reason_endless", b"HTTP/1.1 200 " + b"x" * MIB, endless=MIB)


def _statuses() -> Iterator[Hostile]:
    """Statuses a client rarely sees."""
    tiny = http(status="100 Continue", length=False)
    early = http(b"", "A: " + "x" * 8000, status="103 E", length=False)
    yield Hostile("status_100_thousandfold", tiny * 1000 + http(b"{}"))
    yield Hostile("status_100_endless", tiny * 1000, endless=1000 * len(tiny))
    yield Hostile("status_103_endless", early, endless=len(early))
    yield Hostile("status_103_then_200", early + http(b"{}"))
    yield Hostile("status_101", http(status="101 Switching", length=False))
    upgrade = ("Upgrade: websocket", "Connection: Upgrade")
    websocket = http(b"\x81\x05hello", *upgrade, status="101 S", length=False)
    yield Hostile("status_101_upgrade", websocket)
    yield Hostile("status_204", http(status="204 No Content", length=False))
    yield Hostile("status_204_with_a_body", http(b'{"id": "1"}', status="204 No Content"))
    yield Hostile("status_206", http(b'{"id"', "Content-Range: bytes 0-4/10", status="206 Partial"))
    for status in (300, 302, 304, 307, 399):
        yield Hostile(f"status_{status}", http(b"", "Location: /me", status=f"{status} Moved"))
    yield Hostile("location_foreign", http(b"", "Location: http://127.0.0.1:1/", status="307 T"))
    yield Hostile("location_odd", http(b"", "Location: http://[::1", status="301 M"))
    for status in (400, 407, 408, 409, 410, 418, 425, 499, 501, 529, 599):
        yield Hostile(f"status_{status}", error(f"{status} X"))
    for status in (401, 403, 404, 422, 500, 503):
        yield Hostile(f"status_{status}", error(f"{status} X"))
        yield Hostile(f"status_{status}_html", http(b"<html>no</html>", status=f"{status} X"))
        yield Hostile(f"status_{status}_empty", http(status=f"{status} X"))
    yield Hostile("challenge", http(b"", "WWW-Authenticate: Digest ;;,realm", status="401 U"))


DEEP: Final = 200_000


def _bodies() -> Iterator[Hostile]:
    """Bodies that are no conversation."""
    for name, body in {
        "empty": b"",
        "html": b"<html><title>Log in</title></html>",
        "null": b"null",
        "empty_object": b"{}",
        "truncated": b'{"id": "12',
        "odd_bytes": b'{"id": "\xff\xfe"}',
        "lone_surrogate": b'{"id": "\\ud800", "title": "\\udfff"}',
        "nan": b'{"id": NaN, "created_at": NaN, "waiting_since": -Infinity}',
        "huge_number": b'{"id": 1' + b"0" * 400 + b', "created_at": 1e400}',
        "huge_digits": b'{"id": ' + b"9" * 100_000 + b"}",
        "time_beyond_the_calendar": b'{"created_at": 99999999999, "updated_at": 253402300800}',
        "many_keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(50_000)) + b"}",
        "dunder_keys": b'{"__class__": "os.system", "__init__": 1, "extra": {"extra": 1}}',
        "nested_objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        "nested_in_a_member": b'{"custom_attributes": {"a": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
        "nested_in_a_known_member": b'{"source":' * 5000 + b"1" + b"}" * 5000,
        "long_text": b'{"id": "' + b"x" * (2 * MIB) + b'"}',
        "wrong_types": b'{"id": [], "type": 1, "customers": "none", "tags": [], "source": 1.5}',
        "ids_of_all_kinds": b'{"customers": [{"id": 1}, {"id": 1.5}, {"id": true}, {"id": null}]}',
        "customers_by_the_thousand": b'{"customers": [' + b'{"id": "1"},' * 10_000 + b"{}]}",
        "error_with_status_200": b'{"type": "error.list", "errors": [{"code": "not_found"}]}',
        "pages_forever": b'{"conversations": [], "total_count": 1e99, "pages": {"next": {"starting_after": "x"}}}',
    }.items():
        yield Hostile(f"body_{name}", http(body))
        if name in {"html", "null", "truncated", "odd_bytes", "lone_surrogate", "wrong_types"}:
            yield Hostile(f"body_{name}_as_an_error", http(body, status="404 Not Found"))
    for name, message in {
        "lone_surrogate": "\\ud800",
        "markup": "<script>alert(1)</script>",
        "escape_codes": "\\u001b[2J\\u0007\\u009b",
        "line_breaks": "a\\r\\nWARNING forged line",
        "long": "m" * 3 * MIB,
    }.items():
        yield Hostile(f"message_{name}", error("422 X", message=message))
    for name, body in {
        "of_texts": b'{"errors": ["a", "b"]}',
        "code_number": b'{"errors": [{"code": 404, "message": {"a": 1}}]}',
        "request_id_object": b'{"request_id": {}, "errors": []}',
        "by_the_thousand": b'{"errors": [' + b'{"code": "a", "message": "b"},' * 50_000 + b"{}]}",
    }.items():
        yield Hostile(f"errors_{name}", http(body, status="422 X"))


def _encodings() -> Iterator[Hostile]:
    """Compressed bodies, and those that only say so."""
    spaces = b"{" + b" " * (32 * MIB) + b"}"
    bomb, good = gzip.compress(spaces, 6, mtime=0), gzip.compress(b"{}")
    twice = gzip.compress(bomb, mtime=0)
    line = "Content-Encoding: gzip"
    for status in ("404", "500"):
        yield Hostile(f"bomb_gzip_as_a_{status}", http(bomb, line, status=f"{status} X"))
    chunk = b"%x\r\n" % len(bomb) + bomb + b"\r\n0\r\n\r\n"
    yield Hostile("bomb_gzip_chunked", _chunked(chunk, line))
    yield Hostile("bomb_gzip_twice_told", http(twice, "Content-Encoding: gzip, gzip"))
    for name, body in {
        "bomb_gzip": bomb,
        "bomb_gzip_members": gzip.compress(b"", mtime=0) * 50_000,
        "bomb_gzip_of_gzip": twice,
        "gzip_untrue": b"{}",
        "gzip_cut_off": good[:-4],
        "gzip_then_rubbish": good + b"rubbish",
        "gzip_twice": good + good,
    }.items():
        yield Hostile(name, http(body, line))
    for name, body in {
        "bomb_deflate": zlib.compress(spaces),
        "deflate_raw": zlib.compress(b"{}")[2:-4],
    }.items():
        yield Hostile(name, http(body, "Content-Encoding: deflate"))
    for name in ("br", "zstd", "identity", "GZIP", "", ",,", "\udcff"):
        shown = name.encode("ascii", "replace").decode() or "empty"
        yield Hostile(f"encoding_{shown}", http(b"{}", f"Content-Encoding: {name}"))


CATALOGUE: Final = (*_framing(), *_heads(), *_statuses(), *_bodies(), *_encodings())

BOMBS: Final = tuple(
    each
    for each in CATALOGUE
    if each.endless or each.name.startswith(("bomb_", "header_flood", "body_nested"))
)
"""Those that aim at the memory."""


ABSURD_NUMBERS: Final[dict[str, str]] = {
    "negative": "-5",
    "zero": "0",
    "fraction": "0.5",
    "text": "soon",
    "nan": "nan",
    "huge": "1e300",
    "milliseconds": "1790000000000",
    "far_future": "4102444800",
    "a_date": "Wed, 21 Oct 2099 07:28:00 GMT",
}

QUOTA_HEADERS: Final = (
    "Retry-After",
    "X-RateLimit-Reset",
    "X-RateLimit-Remaining",
    "X-RateLimit-Limit",
)
