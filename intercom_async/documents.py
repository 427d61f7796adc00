"""JSON documents, before they become objects of the model."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

import msgspec

from intercom_async.errors import ResponseDecodeError

REFUSALS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises for a document that it cannot decode."""


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a JSON value is an object."""
    return type(value) is dict or isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list | tuple)


def decode_json(body: bytes | str) -> Any:
    """Return the JSON value of a body; raise `ResponseDecodeError` if it has none."""
    try:
        return msgspec.json.decode(body)
    except REFUSALS:
        pass
    # The standard library accepts what some writers of JSON emit and msgspec refuses:
    # NaN, numbers beyond a float, lone surrogates.
    try:
        return json.loads(body, parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ResponseDecodeError(reason, body=_as_bytes(body)) from None


def _parse_int(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # Python refuses to convert thousands of digits
        return float(digits)


def _as_bytes(body: bytes | str) -> bytes:
    return body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body


def json_object(body: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON object of a body; raise `ResponseDecodeError` if it has none."""
    document = decode_json(body) if isinstance(body, bytes | str) else body
    if is_object(document):
        return document
    excerpt = _as_bytes(body) if isinstance(body, bytes | str) else b""
    raise ResponseDecodeError(f"a {type(document).__name__}", body=excerpt)
