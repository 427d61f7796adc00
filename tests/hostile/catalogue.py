"""Replies no honest server sends, as data: the raw bytes."""

# ruff: noqa: E501  one line is one reply, as a table has it

import gzip
import zlib
from collections.abc import Iterator
from typing import Final

import attrs

MIB: Final = 1 << 20
DEEP: Final = 200_000


@attrs.frozen
class Hostile:
    """One reply; `endless` is sent after it until the client goes away, the connection stays."""

    name: str
    data: bytes
    endless: bytes = b""


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


_UPGRADE: Final = ("Upgrade: websocket", "Connection: Upgrade")

_FRAMING: Final[dict[str, bytes]] = {
    "length_negative": http(b"{}", "Content-Length: -1", length=False),
    "length_huge": http(b"{}", f"Content-Length: {2**62}", length=False),
    "length_too_large": http(b"{}", "Content-Length: 90", length=False),
    "length_too_small": http(b'{"id": "1"}', "Content-Length: 2", length=False),
    "length_twice_different": http(b"{}", "Content-Length: 3"),
    "length_beside_chunks": http(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunk_size_huge": _chunked(b"f" * 40 + b"\r\n{}\r\n"),
    "chunk_size_too_small": _chunked(b"1\r\n{}\r\n0\r\n\r\n"),
    "chunk_last_missing": _chunked(b"2\r\n{}\r\n"),
    "coding_unknown": http(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: x", length=False),
    "second_reply_unasked": http(b"{}") + http(b'{"id": "lie"}'),
}

_ENDLESS: Final[dict[str, tuple[bytes, bytes]]] = {
    "endless_rubbish": (http(b"{}"), b"\x00" * MIB),
    "endless_body": (http(length=False), b" " * MIB),
    "endless_chunk_extension": (_chunked(b"2;"), b"x" * MIB),
    "endless_trailers": (_chunked(b"2\r\n{}\r\n0\r\n"), b"A: b\r\n" * 9_999),
    "endless_headers": (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 9_999),
    "endless_header": (b"HTTP/1.1 200 OK\r\nA: ", b"x" * MIB),
    "endless_reason": (b"HTTP/1.1 200 ", b"x" * MIB),
    "endless_hints": (b"", http(b"", "A: " + "x" * 8000, status="103 E", length=False)),
}

_HEADS: Final[dict[str, bytes]] = {
    "head_nothing": b"",
    "head_no_http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "head_http_0_9": b"<html>It works</html>",
    "head_status_missing": b"HTTP/1.1\r\n\r\n",
    "head_status_999": b"HTTP/1.1 999 ?\r\nContent-Length: 2\r\n\r\n{}",
    "head_reason_of_odd_bytes": b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
    "head_unfinished": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
}

_HEADERS: Final[dict[str, str]] = {
    "header_colon_missing": "Abc",
    "header_value_with_zero": "A: \x00",
    "header_value_odd_bytes": "X-Request-Id: \udcff\udcfe\udc80",
    "header_value_utf_8": "X-Request-Id: ünïcödé \U0001f40d",
    "header_value_of_20000_bytes": "X-Request-Id: " + "i" * 20_000,
    "header_cookie_odd": "Set-Cookie: \x01=;;;=\udcff; expires=Yesterday; domain=.com",
    "header_cookie_flood": "\r\n".join(f"Set-Cookie: a{n}=b" for n in range(90)),
    "header_upgrade": "\r\n".join(_UPGRADE),
    "header_charset_unknown": "Content-Type: application/json; charset=klingon",
    "header_date_of_digits": "Date: " + "9" * 5000,
    "encoding_br": "Content-Encoding: br",
    "encoding_empty": "Content-Encoding: ",
    "encoding_of_commas": "Content-Encoding: ,,",
    "encoding_odd": "Content-Encoding: \udcff",
}

_STATUSES: Final[dict[str, bytes]] = {
    "status_101": http(status="101 Switching", length=False),
    "status_101_upgrade": http(b"\x81\x05hello", *_UPGRADE, status="101 S", length=False),
    "status_204": http(status="204 No Content", length=False),
    "status_204_with_a_body": http(b'{"id": "1"}', status="204 No Content"),
    "status_206": http(b'{"id"', "Content-Range: bytes 0-4/10", status="206 Partial"),
    "status_302": http(b"", "Location: /me", status="302 Moved"),
    "status_304": http(status="304 Not Modified"),
    "location_foreign": http(b"", "Location: http://127.0.0.1:1/", status="307 T"),
    "location_odd": http(b"", "Location: http://[::1", status="301 M"),
    "challenge": http(b"", "WWW-Authenticate: Digest ;;,realm", status="401 U"),
    **{f"status_{status}": error(f"{status} X") for status in (400, 407, 408, 499, 529, 599)},
    **{f"status_{status}": error(f"{status} X") for status in (401, 403, 404, 422, 500)},
    **{
        f"status_{status}_html": http(b"<html>no</html>", status=f"{status} X")
        for status in (401, 403, 404, 422, 500)
    },
    "status_404_empty": http(status="404 X"),
    "message_lone_surrogate": error("422 X", message="\\ud800"),
    "message_escape_codes": error("422 X", message="\\u001b[2J\\u0007\\u009b"),
    "message_line_breaks": error("422 X", message="a\\r\\nWARNING forged line"),
    "message_long": error("422 X", message="m" * 3 * MIB),
    "errors_by_the_thousand": http(
        b'{"errors": [' + b'{"code": "a", "message": "b"},' * 50_000 + b"{}]}", status="422 X"
    ),
}

_BODIES: Final[dict[str, bytes]] = {
    "body_empty": b"",
    "body_html": b"<html><title>Log in</title></html>",
    "body_null": b"null",
    "body_empty_object": b"{}",
    "body_truncated": b'{"id": "12',
    "body_odd_bytes": b'{"id": "\xff\xfe"}',
    "body_lone_surrogate": b'{"id": "\\ud800", "title": "\\udfff"}',
    "body_nan": b'{"id": NaN, "created_at": NaN, "waiting_since": -Infinity}',
    "body_huge_digits": b'{"id": ' + b"9" * 100_000 + b"}",
    "body_keys_twice": b'{"customers": [{"id": "5ba682d2"}], "customers": null, "id": 1, "id": []}',
    "body_many_keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(50_000)) + b"}",
    "body_dunder_keys": b'{"__class__": "os.system", "__init__": 1, "extra": {"extra": 1}}',
    "body_nested": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "body_nested_in_a_known_member": b'{"source":' * 5000 + b"1" + b"}" * 5000,
    "body_long_text": b'{"id": "' + b"x" * (2 * MIB) + b'"}',
    "body_wrong_types": b'{"id": [], "type": 1, "customers": "none", "tags": [], "source": 1.5}',
    "body_customers_by_the_thousand": b'{"customers": [' + b'{"id": "1"},' * 10_000 + b"{}]}",
    "body_error_with_status_200": b'{"type": "error.list", "errors": [{"code": "not_found"}]}',
    "body_pages_forever": b'{"conversations": [], "total_count": 1e99, "pages": {"next": {"starting_after": "x"}}}',
}

_SPACES: Final = b"{" + b" " * (32 * MIB) + b"}"
_BOMB: Final = gzip.compress(_SPACES, 6, mtime=0)
_GOOD: Final = gzip.compress(b"{}")
_GZIP: Final = "Content-Encoding: gzip"

_ENCODINGS: Final[dict[str, bytes]] = {
    "bomb_gzip": http(_BOMB, _GZIP),
    "bomb_gzip_as_a_404": http(_BOMB, _GZIP, status="404 X"),
    "bomb_gzip_chunked": _chunked(b"%x\r\n" % len(_BOMB) + _BOMB + b"\r\n0\r\n\r\n", _GZIP),
    "bomb_gzip_twice": http(gzip.compress(_BOMB, mtime=0), "Content-Encoding: gzip, gzip"),
    "bomb_gzip_members": http(gzip.compress(b"", mtime=0) * 50_000, _GZIP),
    "bomb_deflate": http(zlib.compress(_SPACES), "Content-Encoding: deflate"),
    "deflate_raw": http(zlib.compress(b"{}")[2:-4], "Content-Encoding: deflate"),
    "gzip_untrue": http(b"{}", _GZIP),
    "gzip_cut_off": http(_GOOD[:-4], _GZIP),
    "gzip_then_rubbish": http(_GOOD + b"rubbish", _GZIP),
    "gzip_twice": http(_GOOD + _GOOD, _GZIP),
}


def _all() -> Iterator[Hostile]:
    for name, data in (_FRAMING | _HEADS | _STATUSES | _ENCODINGS).items():
        yield Hostile(name, data)
    for name, (data, endless) in _ENDLESS.items():
        yield Hostile(name, data, endless)
    for name, line in _HEADERS.items():
        yield Hostile(name, http(b'{"customers": []}', line))
    for name, body in _BODIES.items():
        yield Hostile(name, http(body))
    for name in ("body_null", "body_truncated", "body_lone_surrogate"):
        yield Hostile(f"{name}_as_an_error", http(_BODIES[name], status="404 Not Found"))


CATALOGUE: Final = tuple(_all())
BOMBS: Final = [
    each for each in CATALOGUE if each.name.startswith(("endless", "bomb", "body_nested"))
]
"""Those that aim at the memory."""
