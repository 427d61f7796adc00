"""A dry run tells what a detach would come to, and changes nothing."""

import pytest

from intercom_async import (
    AdminNotFoundError,
    AuthenticationError,
    IntercomClient,
    IntercomError,
    InvalidArgumentError,
    Outcome,
)
from intercom_async.simulator import Fault, IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


async def test_it_foresees_what_the_detach_then_does(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    workspace = sim.workspace
    good = workspace.populate(conversations=5)
    lonely, *two = (workspace.add_contact() for _ in range(3))
    last, both = workspace.add_conversation([lonely]), workspace.add_conversation(two)
    strange = [(good[0][0], "f" * 24), ("no-such", good[0][1])]
    pairs = [*good, *strange, (last, lonely), *((both, each) for each in two), good[0]]
    foreseen = await client.detach_contacts(pairs, concurrency=1, dry_run=True)
    assert sim.applied.total() == 0
    done = await client.detach_contacts(pairs, concurrency=1)
    assert foreseen.outcomes == done.outcomes
    assert {outcome: count for outcome, count in foreseen.outcomes.items() if count} == {
        Outcome.DETACHED: 7,
        Outcome.ALREADY_ABSENT: 1,
        Outcome.CONVERSATION_MISSING: 1,
        Outcome.REFUSED_LAST_CONTACT: 2,
    }


@pytest.mark.parametrize(
    ("token", "admin_id", "reason"),
    [("token", "nobody", AdminNotFoundError), ("wrong", "1", AuthenticationError)],
)
async def test_an_unknown_admin_and_a_wrong_token_stop_it(
    sim: IntercomSimulator, token: str, admin_id: str, reason: type[IntercomError]
) -> None:
    pairs = sim.workspace.populate(conversations=20)
    async with IntercomClient(token, base_url=sim.url, admin_id=admin_id) as client:
        summary = await client.detach_contacts(pairs, dry_run=True)
    assert isinstance(summary.stopped_by, reason)
    assert summary.total == 20
    assert summary.settled == 0


async def test_a_pair_fails_alone_if_its_id_is_unusable_or_its_conversation_cannot_be_got(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    good, unlucky = sim.workspace.populate(conversations=2)
    sim.faults.add(Fault.SERVER_ERROR, probability=1.0, match=unlucky[0])
    summary = await client.detach_contacts([("..", good[1]), unlucky, good], dry_run=True)
    assert summary.outcomes[Outcome.FAILED] == 2
    assert summary.outcomes[Outcome.DETACHED] == 1


async def test_it_keeps_no_journal(client: IntercomClient) -> None:
    with pytest.raises(InvalidArgumentError, match="dry run"):
        _ = client.detach_contacts([], journal="run.db", dry_run=True)
