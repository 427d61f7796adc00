"""Runs that end in every way but a kill, over and over, until nothing is left to do.

What was told and kept is compared with the simulator's state, pair by pair.
"""

import asyncio
import random
from collections import Counter
from functools import partial
from pathlib import Path

import attrs
import pytest

from intercom_async import DetachResult, DetachRun, IntercomClient, RetryPolicy
from intercom_async.journal import JournalWriteError, latest
from intercom_async.simulator import IntercomSimulator
from tests.journal.helpers import FullDisk, Unsynced
from tests.support.truth import FAULTS, Pair, fate_of, pairs_of

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

RUNS = 8
"""Runs that end early, before one is left alone."""

RESUMES = 10


@attrs.frozen
class Ending:
    """How a run ends.

    Attributes:
        way: what is done.
        after: results before it is.
        lag: seconds the consumer rests before it.
    """

    way: str
    after: int
    lag: float

    async def act(self, run: DetachRun) -> bool:
        """Do it; whether to leave."""
        await asyncio.sleep(self.lag)
        match self.way:
            case "stop":
                run.stop()
            case "stop at once":
                run.stop(immediately=True)
            case "stop twice":
                run.stop()
                asyncio.get_running_loop().call_later(0.02, partial(run.stop, immediately=True))
            case "leave the rest unread":
                run.stop(drain=False)
            case "leave":
                return True
            case _:
                pass
        return False

    @property
    def complete(self) -> bool:
        """Whether every pair is told or was settled before."""
        return self.way.startswith("stop") or self.way == "none"


WAYS = ["stop", "stop at once", "stop twice", "leave the rest unread", "leave", "full disk"]


async def tell(run: DetachRun, ending: Ending) -> list[DetachResult]:
    results: list[DetachResult] = []
    try:
        async with run:
            async for result in run:
                results.append(result)
                if len(results) == ending.after and await ending.act(run):
                    break
    except JournalWriteError:
        assert ending.way == "full disk"
    return results


@pytest.mark.parametrize("seed", range(12))
async def test_however_its_runs_end_a_journal_accounts_for_every_pair_once(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    path = tmp_path / "run.journal"
    retry = RetryPolicy(
        attempts=chance.choice([1, 2, 5]), backoff=0.05, backoff_max=0.1, budget=10_000
    )
    told: list[DetachResult] = []
    async with (
        IntercomSimulator(seed=seed, limit=100_000, latency=(0.0, 0.1), keep_log=True) as sim,
        IntercomClient("token", base_url=sim.url, retry=retry) as client,
    ):
        log = sim.requests.log
        assert log is not None
        pairs = pairs_of(sim, chance, conversations=60)
        for fault, probability in FAULTS.items():
            sim.faults.add(fault, probability=probability)
        for number in range(RUNS + RESUMES):
            ending = Ending("none", 0, 0.0)
            disk = Unsynced()
            if number < RUNS:
                ending = Ending(
                    chance.choice(WAYS), chance.randint(1, 20), chance.choice([0.0, 0.0, 0.3, 9.0])
                )
                if ending.way == "full disk":
                    disk = FullDisk(chance.randint(0, 6000))
            monkeypatch.setattr("intercom_async.journal.session.Disk", lambda disk=disk: disk)
            settled = settled_in(path)
            since = len(log)
            run = client.detach_contacts(
                pairs,
                admin_id=sim.admin_id,
                journal=path,
                concurrency=chance.choice([None, 1, 5, 40]),
            )
            results = await tell(run, ending)
            told += results
            if ending.complete:
                assert len(results) + run.summary.settled_before == len(pairs)
                assert run.summary.total == len(results)
            kept = {
                (one.conversation_id, one.contact_id): one.outcome
                for one in latest(path)
                if one.outcome.settled
            }
            for result in results:
                if result.outcome.settled:
                    assert kept[ids(result)] is result.outcome
            assert not settled & {
                (request.segments[1], request.segments[3])
                for request in log[since:]
                if request.method == "DELETE"
            }
            if settled_in(path) == set(pairs) and not ending.after:
                break

    assert [one.ordinal for one in sorted(latest(path), key=lambda one: one.ordinal)] == list(
        range(1, len(pairs) + 1)
    )
    for one in latest(path):
        pair = (one.conversation_id, one.contact_id)
        assert pair == pairs[one.ordinal - 1]
        assert one.outcome is fate_of(sim, pair, inferred=one.inferred)
    assert max(sim.applied.values()) == 1
    final = [result for result in told if result.outcome.settled]
    for result in final:
        assert result.outcome is fate_of(sim, ids(result), inferred=result.inferred)
    assert Counter(map(ids, final)) <= Counter(pairs)


def ids(result: DetachResult) -> Pair:
    return result.detach.conversation_id, result.detach.contact_id


def settled_in(path: Path) -> set[Pair]:
    if not path.exists():
        return set()
    return {(one.conversation_id, one.contact_id) for one in latest(path) if one.outcome.settled}
