"""A dry run tells what a detach would come to, and changes nothing."""

import pytest

from intercom_async import (
    AdminNotFoundError,
    AuthenticationError,
    IntercomClient,
    InvalidArgumentError,
    Outcome,
)
from intercom_async.simulator import Fault, IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


def everything(sim: IntercomSimulator) -> list[tuple[str, str]]:
    """Pairs of every fate: good, unknown, no pair, the last and the last but one."""
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
        ("..", lonely),
        *((both, contact) for contact in two),
        good[0],
    ]


async def test_a_dry_run_foresees_what_the_detach_then_does(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    outcomes: list[dict[Outcome, int]] = []
    for dry_run in (True, False):
        run = client.detach_contacts(
            everything(sim), admin_id=sim.admin_id, concurrency=1, dry_run=dry_run
        )
        outcomes.append((await run).outcomes)
        assert (sim.applied.total() == 0) is dry_run
    foreseen, done = outcomes
    assert foreseen == done
    assert {outcome: count for outcome, count in foreseen.items() if count} == {
        Outcome.DETACHED: 7,
        Outcome.ALREADY_ABSENT: 1,
        Outcome.CONVERSATION_MISSING: 1,
        Outcome.REFUSED_LAST_CONTACT: 2,
        Outcome.FAILED: 1,
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
