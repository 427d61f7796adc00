"""A reply's body becomes a conversation that holds all of it, or one documented exception."""

from collections.abc import Callable
from typing import TypeVar

import attrs

from intercom_async.documents import decode_json, is_object
from intercom_async.errors import ResponseDecodeError
from intercom_async.model import Conversation
from intercom_async.structuring import (
    decode_contacts,
    decode_conversation,
    decode_identity,
    decode_in_steps,
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
        for decode in (decode_conversation, in_steps, decode_identity, decode_contacts):
            assert decoded(decode, data) is None, "no object, and it was decoded"
        decoded(decode_page, data)
        return
    found = decode_conversation(data)
    assert fits(found, Conversation)
    encoded = encode_conversation(found)
    assert alike(encoded, document, null_is_absent=True), "something was lost or guessed"
    assert alike(decode_conversation(dict(document)), found), "the object differs from its text"
    assert alike(decode_conversation(encoded), found), "the second round differs from the first"
    named = decode_conversation(data, default_id="1295")
    assert alike(attrs.evolve(found, id="1295" if found.id is None else found.id), named)
    assert alike(in_steps(data), named), "decoding in steps gives something else"
    for other in (decode_identity, decode_contacts, decode_page):
        other(data)


def in_steps(body: bytes) -> Conversation:
    """Decode without looking at the pauses."""
    steps = decode_in_steps(body, default_id="1295")
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Conversation = done.value
            return found


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
