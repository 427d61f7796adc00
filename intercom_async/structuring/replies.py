"""The objects that replies hold, each with the head of its reply.

Here, `ResponseDecodeError` names the reply whose body is no JSON object.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Final, TypeVar

from intercom_async.errors import ResponseDecodeError
from intercom_async.model import Conversation
from intercom_async.model.base import RepliedObject, mark
from intercom_async.structuring import decode_conversation
from intercom_async.transport.wire import Reply, head_of

_LARGE: Final = 64 * 1024
"""A thread decodes bodies of this many bytes or more, so that the event loop goes on; smaller ones
take a few milliseconds at most, however odd they are."""

_Decoded = TypeVar("_Decoded")


async def read(reply: Reply, decode: Callable[[bytes], _Decoded]) -> _Decoded:
    """Decode a reply's body; after a cancellation, its thread ends by itself later."""
    if len(reply.body) < _LARGE:
        return _read(reply, decode)
    return await asyncio.to_thread(_read, reply, decode)


async def read_conversation(reply: Reply, conversation_id: str | None) -> Conversation:
    """Decode the conversation that a reply holds; if that has no id, it gets `conversation_id`."""
    return await read(reply, functools.partial(decode_conversation, default_id=conversation_id))


def conversation_from(reply: Reply, conversation_id: str) -> Conversation:
    """Decode like `read_conversation`, at once."""
    return _read(reply, functools.partial(decode_conversation, default_id=conversation_id))


def _read(reply: Reply, decode: Callable[[bytes], _Decoded]) -> _Decoded:
    try:
        decoded = decode(reply.body)
    except ResponseDecodeError as error:
        raise error.about(head_of(reply)) from None
    if isinstance(decoded, RepliedObject):
        mark(decoded, head_of(reply))
    return decoded
