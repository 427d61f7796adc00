"""Attaching in bulk: the undo, on the same engine; and contacts that are found for it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from intercom_async import IntercomClient, InvalidArgumentError, Outcome, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(limit=1000) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: IntercomSimulator) -> AsyncIterator[IntercomClient]:
    retry = RetryPolicy(attempts=2, backoff=0.0)
    async with IntercomClient(
        "token", base_url=sim.url, retry=retry, admin_id=sim.admin_id
    ) as opened:
        yield opened


async def test_attaching_undoes_a_detach_pair_by_pair(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=40)
    _ = await client.detach_contacts(pairs)
    async with client.attach_contacts([*pairs, ("no-such", pairs[0][1])]) as run:
        results = {result.detach.conversation_id: result async for result in run}
    assert results.pop("no-such").outcome is Outcome.CONVERSATION_MISSING
    for conversation_id, contact_id in pairs:
        result = results[conversation_id]
        assert result.outcome is Outcome.ATTACHED
        assert result.conversation is not None
        assert contact_id in {contact.id for contact in result.conversation.participants}
        assert sim.workspace.attached(conversation_id, contact_id)


@pytest.mark.parametrize("applied", [True, False])
async def test_when_no_reply_ever_comes_a_look_decides(
    sim: IntercomSimulator, client: IntercomClient, *, applied: bool
) -> None:
    pairs = sim.workspace.populate(conversations=3)
    _ = await client.detach_contacts(pairs)
    fault = Fault.RESET_AFTER_APPLYING if applied else Fault.RESET_BEFORE_APPLYING
    sim.faults.add(fault, method="POST", probability=1.0)
    async with client.attach_contacts(pairs) as run:
        results = [result async for result in run]
    outcome = Outcome.ATTACHED if applied else Outcome.FAILED
    assert [(result.outcome, result.inferred) for result in results] == [(outcome, applied)] * 3
    assert all(sim.workspace.attached(*pair) == applied for pair in pairs)
    if not applied:
        assert all("not attached" in str(result.error) for result in results)


async def test_contacts_are_found_by_address_and_by_external_id(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    first = sim.workspace.add_contact(email="a@b.example", external_id="70")
    # More than a page holds.
    ids = {first, *(sim.workspace.add_contact(email="a@b.example") for _ in range(310))}
    assert {contact.id async for contact in client.find_contacts(email="a@b.example")} == ids
    (only,) = [contact async for contact in client.find_contacts(external_id="70")]
    assert (only.id, only.external_id) == (first, "70")
    assert [one async for one in client.find_contacts(email="nobody@b.example")] == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "exactly one"),
        ({"email": "a@b.example", "external_id": "70"}, "exactly one"),
        ({"email": " "}, "email"),
    ],
)
async def test_contacts_are_looked_for_by_exactly_one_thing(
    client: IntercomClient, given: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        _ = [one async for one in client.find_contacts(**given)]
