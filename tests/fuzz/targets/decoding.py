"""A reply's body becomes a conversation that holds all of it, or one documented exception."""

from collections.abc import Callable
from typing import TypeVar

import attrs

from intercom_async.documents import decode_json, is_object
from intercom_async.errors import ResponseDecodeError
from intercom_async.model import ContactReference, Conversation
from intercom_async.structuring import (
    decode_conversation,
    decode_identity,
    decode_page,
    encode_conversation,
)
from tests.fuzz.comparing import alike
from tests.model.documents import fits

_T = TypeVar("_T")


def check(data: bytes) -> None:
    """Decode a body in every way there is."""
    if 800 < data.count(b"[") + data.count(b"{") < 1200:
        return  # the caller's own depth may decide if it is nested too deeply
    document = decoded(decode_json, data)
    if not is_object(document):
        for decode in (decode_conversation, decode_identity, _contacts):
            assert decoded(decode, data) is None, "no object, and it was decoded"
        decoded(_conversations, data)
        return
    found = decode_conversation(data)
    assert fits(found, Conversation)
    encoded = encode_conversation(found)
    assert alike(encoded, document, null_is_absent=True), "something was lost or guessed"
    assert alike(decode_conversation(dict(document)), found), "the object differs from its text"
    assert alike(decode_conversation(encoded), found), "the second round differs from the first"
    named = decode_conversation(data, default_id="1295")
    assert alike(attrs.evolve(found, id="1295" if found.id is None else found.id), named)
    for other in (decode_identity, _contacts, _conversations):
        other(data)


def _conversations(data: bytes) -> object:
    return decode_page(data, Conversation)


def _contacts(data: bytes) -> object:
    return decode_page(data, ContactReference)


def decoded(decode: Callable[[bytes], _T], data: bytes) -> _T | None:
    """Return what a body decodes to, None if it is refused as promised."""
    try:
        return decode(data)
    except ResponseDecodeError as error:
        refusal = error
    assert len(refusal.body) <= 200
    assert len(str(refusal)) < 300
    assert refusal.__cause__ is None
    return None
