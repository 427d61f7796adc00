"""A dry run tells what a detach would come to, and changes nothing."""

from collections.abc import AsyncIterator

import pytest

from intercom_async import (
    AdminNotFoundError,
    AuthenticationError,
    IntercomClient,
    InvalidArgumentError,
    Outcome,
    RetryPolicy,
)
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


def everything(sim: IntercomSimulator) -> list[tuple[str, str]]:
    """Pairs of every fate: good, unknown contact, unknown conversation, last and last but one."""
    workspace = sim.workspace
    good = workspace.populate(conversations=5)
    lonely = workspace.add_contact()
    last = workspace.add_conversation([lonely])
    two = [workspace.add_contact(), workspace.add_contact()]
    both = workspace.add_conversation(two)
    return [
        *good,
        (good[0][0], "f" * 24),
        ("no-such", good[0][1]),
        (last, lonely),
        *((both, contact) for contact in two),
        good[0],
    ]


async def outcomes(
    client: IntercomClient, sim: IntercomSimulator, *, dry_run: bool
) -> dict[Outcome, int]:
    pairs = everything(sim)
    run = client.detach_contacts(pairs, admin_id=sim.admin_id, concurrency=1, dry_run=dry_run)
    return (await run).outcomes


async def test_a_dry_run_foresees_what_the_detach_then_does(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    foreseen = await outcomes(client, sim, dry_run=True)
    assert sim.applied.total() == 0
    assert foreseen == await outcomes(client, sim, dry_run=False)
    assert {outcome: count for outcome, count in foreseen.items() if count} == {
        Outcome.DETACHED: 7,
        Outcome.ALREADY_ABSENT: 1,
        Outcome.CONVERSATION_MISSING: 1,
        Outcome.REFUSED_LAST_CONTACT: 2,
    }


async def test_an_unknown_admin_stops_a_dry_run(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=20)
    summary = await client.detach_contacts(pairs, admin_id="nobody", dry_run=True)
    assert isinstance(summary.stopped_by, AdminNotFoundError)
    assert summary.settled == 0
    assert sim.requests.total == 1


async def test_a_wrong_token_stops_a_dry_run(sim: IntercomSimulator) -> None:
    async with IntercomClient("wrong", base_url=sim.url) as client:
        summary = await client.detach_contacts([("1", "2")] * 9, admin_id="1", dry_run=True)
    assert isinstance(summary.stopped_by, AuthenticationError)
    assert summary.total == 9
    assert summary.settled == 0


async def test_an_unusable_id_fails_alone_in_a_dry_run(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    (good,) = sim.workspace.populate(conversations=1)
    summary = await client.detach_contacts(
        [("..", good[1]), good], admin_id=sim.admin_id, dry_run=True
    )
    assert summary.outcomes[Outcome.FAILED] == summary.outcomes[Outcome.DETACHED] == 1


async def test_a_server_that_fails_makes_a_dry_run_s_pair_fail(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=3)
    sim.faults.add(Fault.SERVER_ERROR, probability=1.0)
    summary = await client.detach_contacts(pairs, admin_id=sim.admin_id, dry_run=True)
    assert summary.outcomes[Outcome.FAILED] == 3


async def test_a_dry_run_keeps_no_journal(client: IntercomClient) -> None:
    with pytest.raises(InvalidArgumentError, match="dry run"):
        _ = client.detach_contacts([], admin_id="1", journal="run.jsonl", dry_run=True)
