"""Calls of any endpoint of Intercom, and what they return."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlencode

import msgspec

from intercom_async.documents import decode_json, is_list
from intercom_async.errors import InvalidArgumentError, ResponseDecodeError
from intercom_async.replies import ReplyHead
from intercom_async.transport.wire import Reply, Request, request_id_of

IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
_METHODS: Final = IDEMPOTENT | {"POST", "PATCH"}

_PATH: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+", re.ASCII)


class RawReply(ReplyHead, frozen=True, eq=False):
    """A reply to `IntercomClient.request`, as it came; its `body` is decompressed."""

    body: bytes

    def __repr__(self) -> str:
        head = f"status={self.status}, request_id={self.request_id!r}"
        return f"RawReply({head}, body=<{len(self.body)} bytes>)"

    def json(self) -> Any:
        """Return the body's JSON value.

        Raises:
            ResponseDecodeError: it is no JSON.
        """
        try:
            return decode_json(self.body)
        except ResponseDecodeError as error:
            raise error.about(self) from None


def raw_of(reply: Reply) -> RawReply:
    """Return a reply in the form that `IntercomClient.request` gives."""
    return RawReply(reply.status, request_id_of(reply), reply.all_headers, reply.body)


def request(
    method: str,
    path: str,
    json: object,
    params: Mapping[str, object] | None,
    *,
    idempotent: bool | None,
) -> Request:
    """Build the request of a call; see `IntercomClient.request`."""
    verb = method.upper() if isinstance(method, str) else None
    if verb not in _METHODS:
        raise InvalidArgumentError("method", method, f"one of {', '.join(sorted(_METHODS))}")
    return Request(
        verb,
        _check_path(path),
        None if json is None else _encoded(json),
        writes=verb != "GET",
        query=_query(params),
        raw=True,
        repeatable=verb in IDEMPOTENT if idempotent is None else idempotent,
    )


def _check_path(path: object) -> str:
    """Return the path unless an id in it could turn the call into another.

    An id that is not encoded may hold a query, a fragment or dots.
    """
    if isinstance(path, str) and _PATH.fullmatch(path):
        segments = {unquote(segment) for segment in path.split("/")}
        if segments.isdisjoint({".", ".."}):
            return path
    raise InvalidArgumentError(
        "path",
        path,
        'a path below the base URL such as "/tags/17": no host, no query (give it as params), no '
        'empty or dotted segment, ids encoded with urllib.parse.quote(id, safe="")',
    )


def _encoded(json: object) -> bytes:
    try:
        return msgspec.json.encode(json)
    except (TypeError, ValueError, RecursionError) as error:
        # The error does not show the value, which may hold secrets.
        raise InvalidArgumentError("json", None, f"what JSON can hold ({error})") from None


def _query(params: Mapping[str, object] | None) -> str:
    """Return parameters as a query; lists repeat their name, None is left out."""
    if params is None:
        return ""
    if not isinstance(params, Mapping):
        raise InvalidArgumentError("params", None, "a mapping of names to values")
    pairs: list[tuple[str, object]] = []
    for name, given in params.items():
        values: Iterable[object] = given if is_list(given) else (given,)
        pairs += (
            (name, str(value).lower() if isinstance(value, bool) else value)
            for value in values
            if value is not None
        )
    for name, value in pairs:
        # `urlencode` would send the Python `repr` of such a value.
        if isinstance(value, Iterable) and not isinstance(value, str):
            raise InvalidArgumentError("params", None, f"texts, numbers and lists of them: {name}")
    try:
        return urlencode(pairs)
    except UnicodeError:
        raise InvalidArgumentError("params", None, "texts that UTF-8 can hold") from None
