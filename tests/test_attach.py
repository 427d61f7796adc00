"""Attaching in bulk: the undo, on the same engine; and how contacts are found."""

from typing import Any

import pytest

from intercom_async import IntercomClient, InvalidArgumentError, Outcome, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


async def test_attaching_undoes_a_detach_pair_by_pair(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=40)
    _ = await client.detach_contacts(pairs, admin_id=sim.admin_id)
    missing = ("no-such", pairs[0][1])
    async with client.attach_contacts([*pairs, missing], admin_id=sim.admin_id) as run:
        results = [result async for result in run]
    assert run.summary.outcomes[Outcome.ATTACHED] == 40
    assert run.summary.outcomes[Outcome.CONVERSATION_MISSING] == 1
    assert all(sim.workspace.attached(*pair) for pair in pairs)
    for result in results:
        if result.outcome is Outcome.ATTACHED:
            assert result.conversation is not None
            contacts = {contact.id for contact in result.conversation.participants}
            assert result.detach.contact_id in contacts


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

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({}, "exactly one"),
            ({"email": "a@b.example", "external_id": "70"}, "exactly one"),
            ({"email": " "}, "email"),
        ],
    )
    async def test_exactly_one_thing_must_be_given(
        self, client: IntercomClient, given: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(InvalidArgumentError, match=told):
            _ = [one async for one in client.find_contacts(**given)]
