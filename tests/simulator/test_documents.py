"""The simulator's replies against the model, which was drawn from the official descriptions."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from intercom_async.model import IntercomObject
from intercom_async.structuring import decode_conversation, decode_identity
from tests.simulator.asking import Ask

DETACH = {"admin_id": "5017690"}


def elements(member: Any) -> Iterator[Any]:
    yield from member if type(member) is tuple else (member,)


def strangers(value: IntercomObject) -> Iterator[str]:
    """Name what the model does not know, or not in this form, at any depth."""
    yield from value.extra
    for field in attrs.fields(type(value)):
        member: Any = getattr(value, field.name)
        for inner in elements(member):
            if isinstance(inner, IntercomObject):
                yield from strangers(inner)


@pytest.mark.parametrize(
    ("method", "path", "decode"),
    [
        ("DELETE", "/conversations/1/customers/anna", decode_conversation),
        ("GET", "/conversations/1", decode_conversation),
        ("GET", "/me", decode_identity),
    ],
)
async def test_a_reply_holds_nothing_that_the_model_does_not_know(
    method: str, path: str, decode: Any, ask: Ask
) -> None:
    contacts = [ask.sim.workspace.add_contact(contact_id=name) for name in ("anna", "bert")]
    ask.sim.workspace.add_conversation(contacts, conversation_id="1", parts=2)
    answer = await ask(method, path, DETACH if method == "DELETE" else None)
    assert answer.status == 200
    assert list(strangers(decode(answer.body))) == []
