"""Attaching in bulk: the undo, on the same engine."""

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
    async with IntercomClient("token", base_url=sim.url, retry=RetryPolicy(backoff=0.0)) as opened:
        yield opened


async def test_attaching_undoes_a_detach_pair_by_pair(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=40)
    _ = await client.detach_contacts(pairs, admin_id=sim.admin_id)
    summary = await client.attach_contacts(pairs, admin_id=sim.admin_id)
    assert summary.outcomes[Outcome.ATTACHED] == summary.settled == summary.total == 40
    assert all(sim.workspace.attached(*pair) for pair in pairs)


async def test_a_result_holds_the_conversation_with_the_contact_back_in_it(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    (pair,) = sim.workspace.populate(conversations=1)
    await client.detach_contact(*pair, admin_id=sim.admin_id)
    async with client.attach_contacts([pair], admin_id=sim.admin_id) as run:
        (result,) = [result async for result in run]
    assert result.conversation is not None
    assert pair[1] in {contact.id for contact in result.conversation.participants}


async def test_a_missing_conversation_is_told_as_such(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    contact = sim.workspace.add_contact()
    summary = await client.attach_contacts([("no-such", contact)], admin_id=sim.admin_id)
    assert summary.outcomes[Outcome.CONVERSATION_MISSING] == 1


@pytest.mark.parametrize("applied", [True, False])
async def test_when_no_reply_ever_comes_a_look_decides(
    sim: IntercomSimulator, client: IntercomClient, *, applied: bool
) -> None:
    pairs = sim.workspace.populate(conversations=3)
    _ = await client.detach_contacts(pairs, admin_id=sim.admin_id)
    fault = Fault.RESET_AFTER_APPLYING if applied else Fault.RESET_BEFORE_APPLYING
    sim.faults.add(fault, method="POST", probability=1.0)
    patient = client.with_options(retry=RetryPolicy(attempts=2, backoff=0.0))
    async with patient.attach_contacts(pairs, admin_id=sim.admin_id) as run:
        results = [result async for result in run]
    outcome = Outcome.ATTACHED if applied else Outcome.FAILED
    assert [(result.outcome, result.inferred) for result in results] == [(outcome, applied)] * 3
    assert all(sim.workspace.attached(*pair) == applied for pair in pairs)
    if not applied:
        assert all("not attached" in str(result.error) for result in results)


class TestFindingContacts:
    async def test_contacts_are_found_by_address_and_by_external_id(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        first = sim.workspace.add_contact(email="a@b.example", external_id="70")
        second = sim.workspace.add_contact(email="a@b.example")
        found = [contact.id async for contact in client.find_contacts(email="a@b.example")]
        assert sorted(map(str, found)) == sorted([first, second])
        (only,) = [contact async for contact in client.find_contacts(external_id="70")]
        assert (only.id, only.external_id) == (first, "70")
        assert [one async for one in client.find_contacts(email="nobody@b.example")] == []

    async def test_more_contacts_than_a_page_holds_are_all_found(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        ids = {sim.workspace.add_contact(email="a@b.example") for _ in range(310)}
        assert {c.id async for c in client.find_contacts(email="a@b.example")} == ids

    @pytest.mark.parametrize("given", [{}, {"email": "a@b.example", "external_id": "70"}])
    async def test_exactly_one_thing_must_be_given(
        self, client: IntercomClient, given: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="exactly one"):
            _ = [one async for one in client.find_contacts(**given)]

    async def test_an_empty_address_is_refused(self, client: IntercomClient) -> None:
        with pytest.raises(InvalidArgumentError, match="email"):
            _ = [one async for one in client.find_contacts(email=" ")]
