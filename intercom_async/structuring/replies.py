"""The objects that replies hold, each with the head of its reply."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from intercom_async.errors import ResponseDecodeError
from intercom_async.model import Conversation, Identity
from intercom_async.model.base import RepliedObject, mark
from intercom_async.structuring import STEP, decode_conversation, decode_identity, decode_in_steps
from intercom_async.transport.wire import Reply, head_of

_LARGE: Final = 64 * 1024
"""Bytes of a page above which a thread decodes it: below, that takes a few milliseconds at most,
however odd the page. Conversations are decoded in steps instead."""

_Decoded = TypeVar("_Decoded")
_Replied = TypeVar("_Replied", bound=RepliedObject)


async def off_loop(reply: Reply, decode: Callable[[bytes], _Decoded]) -> _Decoded:
    """Decode a reply's body; a large one in a thread, so that the event loop goes on.

    If the call is cancelled, the thread ends by itself later.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    try:
        if len(reply.body) < _LARGE:
            return decode(reply.body)
        return await asyncio.to_thread(decode, reply.body)
    except ResponseDecodeError as error:
        raise _with_head(reply, error) from None


def _with_head(reply: Reply, error: ResponseDecodeError) -> ResponseDecodeError:
    """Return the error about a body with the status and request id of its reply."""
    named = ResponseDecodeError(
        error.reason, body=error.body, status=reply.status, request_id=reply.request_id
    )
    named.reply = head_of(reply)
    return named


def conversation_from(reply: Reply, conversation_id: str | None) -> Conversation:
    """Decode the conversation a reply carries.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    try:
        conversation = decode_conversation(reply.body, default_id=conversation_id)
    except ResponseDecodeError as error:
        raise _with_head(reply, error) from None
    return with_reply(reply, conversation)


def with_reply(reply: Reply, replied: _Replied) -> _Replied:
    """Return a decoded object with its reply's head attached."""
    mark(replied, head_of(reply))
    return replied


async def read_conversation(reply: Reply, conversation_id: str | None) -> Conversation:
    """Decode like `conversation_from`; a long one in steps, so that it does not hold the loop.

    Raises:
        IntercomError: see `conversation_from`.
    """
    if len(reply.body) <= 2 * STEP:
        return conversation_from(reply, conversation_id)
    steps = decode_in_steps(reply.body, default_id=conversation_id)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            conversation: Conversation = done.value
            return with_reply(reply, conversation)
        except ResponseDecodeError as error:
            raise _with_head(reply, error) from None
        await asyncio.sleep(0)


def read_identity(reply: Reply) -> Identity:
    """Decode the answer of `GET /me`.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    try:
        return with_reply(reply, decode_identity(reply.body))
    except ResponseDecodeError as error:
        raise _with_head(reply, error) from None
