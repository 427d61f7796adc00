"""Attaching many: the undo, on the same engine."""

import pytest

from intercom_async import IntercomClient, Outcome
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.rows import pair_of

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


async def test_attaching_undoes_a_detach_pair_by_pair(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=40)
    missing = ("no-such", pairs[0][1])
    await client.detach_contacts(pairs)
    results = [result async for result in client.attach_contacts([*pairs, missing])]
    for result in results:
        if pair_of(result) == missing:
            assert result.outcome is Outcome.CONVERSATION_MISSING
            continue
        assert result.outcome is Outcome.ATTACHED
        assert result.conversation is not None
        assert result.detach.contact_id in {one.id for one in result.conversation.participants}
    assert len(results) == 41
    assert all(sim.workspace.attached(*pair) for pair in pairs)


@pytest.mark.parametrize("applied", [True, False])
async def test_when_no_reply_ever_comes_a_look_decides(
    sim: IntercomSimulator, client: IntercomClient, *, applied: bool
) -> None:
    pairs = sim.workspace.populate(conversations=3)
    await client.detach_contacts(pairs)
    fault = Fault.RESET_AFTER_APPLYING if applied else Fault.RESET_BEFORE_APPLYING
    sim.faults.add(fault, method="POST", probability=1.0)
    hasty = client.with_options(max_retries=1)
    results = [result async for result in hasty.attach_contacts(pairs)]
    outcome = Outcome.ATTACHED if applied else Outcome.FAILED
    assert [(result.outcome, result.inferred) for result in results] == [(outcome, applied)] * 3
    assert all(sim.workspace.attached(*pair) == applied for pair in pairs)
    assert all("not attached" in str(result.error) for result in results) is not applied
