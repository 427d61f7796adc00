"""Decodes and encodes conversations, long ones in steps."""

import contextlib
from collections.abc import Generator
from typing import Any, Final, cast

import attrs
import msgspec

from intercom_async.documents import REFUSALS, json_object
from intercom_async.errors import ResponseDecodeError
from intercom_async.model import Conversation, ConversationPart, ConversationParts
from intercom_async.structuring.converter import converter, structure
from intercom_async.structuring.fast_path import decode_usual

STEP: Final = 64 * 1024
"""Bytes of parts that are decoded at a time: a fifth of a millisecond, odd ones one or two."""

_raw_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_entries: Final = msgspec.json.Decoder(list[msgspec.Raw])


def prepare() -> None:
    """Make what decoding needs, so that no reply has to wait for it."""
    decode_usual(b"{}", Conversation)
    decode_usual(b"{}", ConversationPart)
    encode_conversation(structure({}, Conversation))


def decode_conversation(
    body: bytes | str | dict[str, Any], *, default_id: str | None = None
) -> Conversation:
    """Return the conversation that a reply holds.

    Args:
        body: the reply's body, or its JSON object. Free values of an object are kept, not copied.
        default_id: the `id` of the result if the document has no usable one.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    if isinstance(body, bytes | str):
        usual = decode_usual(body, Conversation, default_id=default_id)
        if usual is not None:
            return usual
    conversation = structure(json_object(body), Conversation)
    if conversation.id is None and default_id is not None:
        return attrs.evolve(conversation, id=default_id)
    return conversation


def encode_conversation(conversation: Conversation) -> dict[str, Any]:
    """Return the JSON object of a conversation; None stands for absent.

    It equals the object that was decoded, if null and absent count as equal. Free values, such
    as those of `extra` and `custom_attributes`, are shared with the conversation, not copied.

    Raises:
        InvalidArgumentError: a time without a time zone.
    """
    return cast("dict[str, Any]", converter().unstructure(conversation))


def decode_in_steps(
    body: bytes, *, default_id: str | None = None
) -> Generator[None, None, Conversation]:
    """Decode a long conversation like `decode_conversation`, pausing every `STEP` bytes.

    A generator that returns the conversation; its caller may let other tasks run at each pause.
    The parts are what makes a conversation long, so they are decoded a few at a time. That takes
    a little longer, because the body is scanned for the ends of the parts first.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    with contextlib.suppress(*REFUSALS, KeyError, ResponseDecodeError):
        return (yield from _by_parts(body, default_id))
    return decode_conversation(body, default_id=default_id)


def _by_parts(body: bytes, default_id: str | None) -> Generator[None, None, Conversation]:
    # Raises unless the list of parts has its usual place and only objects.
    body.decode()  # of members named twice, msgspec does not look at the text of the first
    yield
    members = _raw_members.decode(body)
    yield
    frame = _raw_members.decode(members.pop("conversation_parts"))
    yield
    entries = _raw_entries.decode(frame.pop("conversation_parts"))
    conversation = decode_conversation(msgspec.json.encode(members), default_id=default_id)
    parts: list[ConversationPart] = []
    size = 0
    for entry in entries:
        part = decode_usual(entry, ConversationPart)
        if part is None:
            part = structure(json_object(bytes(entry)), ConversationPart)
        parts.append(part)
        size += len(memoryview(entry))
        if size >= STEP:
            size = 0
            yield
    listed = structure(json_object(msgspec.json.encode(frame)), ConversationParts)
    listed = attrs.evolve(listed, conversation_parts=tuple(parts))
    return attrs.evolve(conversation, conversation_parts=listed)
