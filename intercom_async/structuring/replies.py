"""The objects that replies hold, each with the head of its reply."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Final, TypeVar

from intercom_async.errors import ResponseDecodeError
from intercom_async.model import Conversation, Identity
from intercom_async.model.base import mark
from intercom_async.structuring import STEP, decode_conversation, decode_identity, decode_in_steps
from intercom_async.transport.wire import Reply, head_of

_LARGE: Final = 64 * 1024
"""Bytes of a page above which a thread decodes it: below, that takes a few milliseconds at most,
however odd the page. Conversations are decoded in steps instead."""

_Decoded = TypeVar("_Decoded")


async def off_loop(reply: Reply, decode: Callable[[bytes], _Decoded]) -> _Decoded:
    """Decode a reply's body; a large one in a thread, so that the event loop goes on.

    If the call is cancelled, the thread ends by itself later.

    Raises:
        ResponseDecodeError: the body is no JSON object; so in all functions here.
    """
    with _named_in_errors(reply):
        if len(reply.body) < _LARGE:
            return decode(reply.body)
        return await asyncio.to_thread(decode, reply.body)


def conversation_from(reply: Reply, conversation_id: str | None) -> Conversation:
    """Decode the conversation a reply carries."""
    with _named_in_errors(reply):
        conversation = decode_conversation(reply.body, default_id=conversation_id)
    mark(conversation, head_of(reply))
    return conversation


async def read_conversation(reply: Reply, conversation_id: str | None) -> Conversation:
    """Decode like `conversation_from`; a long one in steps, so that it does not hold the loop."""
    if len(reply.body) <= 2 * STEP:
        return conversation_from(reply, conversation_id)
    steps = decode_in_steps(reply.body, default_id=conversation_id)
    with _named_in_errors(reply):
        while True:
            try:
                next(steps)
            except StopIteration as done:
                conversation: Conversation = done.value
                break
            await asyncio.sleep(0)
    mark(conversation, head_of(reply))
    return conversation


def read_identity(reply: Reply) -> Identity:
    """Decode the answer of `GET /me`."""
    with _named_in_errors(reply):
        identity = decode_identity(reply.body)
    mark(identity, head_of(reply))
    return identity


@contextlib.contextmanager
def _named_in_errors(reply: Reply) -> Generator[None]:
    """Let an error about the body name its reply."""
    try:
        yield
    except ResponseDecodeError as error:
        named = ResponseDecodeError(
            error.reason, body=error.body, status=reply.status, request_id=reply.request_id
        )
        named.reply = head_of(reply)
        raise named from None
