"""A run that is killed at any moment, and resumed, and killed again, still tells the truth.

Runs are processes of their own, killed by SIGKILL; the simulator lives here, so that its state
and its log can be compared with the journal and with what the runs told, pair by pair.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from intercom_async.detaching import Outcome
from intercom_async.simulator import IntercomSimulator
from tests.journal.helpers import until
from tests.support.killable import ENDED, start
from tests.support.rows import rows_in, settled_in
from tests.support.truth import FAULTS, Pair, fate_of, pairs_of

if sys.platform == "win32":
    pytest.skip("no SIGKILL here", allow_module_level=True)

SEEDS = 6
KILLS = 6
RESUMES = 10


def told_in(path: Path) -> list[tuple[Pair, Outcome, bool]]:
    """What all runs told, and those that came to their end said so."""
    lines: list[Any] = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[-1] == ENDED
    return [((line[0], line[1]), Outcome(line[2]), line[3]) for line in lines if line != ENDED]


async def arrived(sim: IntercomSimulator, number: int) -> None:
    enough = sim.requests.total + number
    await until(lambda: sim.requests.total >= enough)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_run_killed_at_any_moment_and_resumed_accounts_for_every_pair_once(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    journal, told_path = tmp_path / "run.journal", tmp_path / "told"
    async with IntercomSimulator(
        seed=seed, limit=100_000, latency=(0.0, 0.01), keep_log=True
    ) as sim:
        pairs = pairs_of(sim, chance, conversations=100)
        for fault, probability in FAULTS.items():
            sim.faults.add(fault, probability=probability)
        job = {
            "url": sim.url,
            "admin_id": sim.admin_id,
            "pairs": pairs,
            "journal": str(journal),
            "told": str(told_path),
            "concurrency": chance.choice([3, 16, 64]),
            "attempts": chance.choice([2, 3, 5]),
        }
        log = sim.requests.log
        assert log is not None
        known: list[tuple[int, set[Pair]]] = []
        for _ in range(KILLS):
            run = await asyncio.to_thread(start, job)
            await arrived(sim, chance.randint(0, 35))
            await asyncio.sleep(chance.choice([0.0, 0.001, 0.005]))
            run.kill()
            await asyncio.to_thread(run.join)
            assert run.exitcode == -9
            if await asyncio.to_thread(journal.exists):
                known.append((len(log), await asyncio.to_thread(settled_in, journal)))
        for _ in range(RESUMES):
            run = await asyncio.to_thread(start, job)
            await asyncio.to_thread(run.join)
            assert run.exitcode == 0
            known.append((len(log), await asyncio.to_thread(settled_in, journal)))
            if known[-1][1] == set(pairs):
                break

        rows = rows_in(journal)
        told = await asyncio.to_thread(told_in, told_path)

    # Every pair is settled once, as what it is on the server.
    assert rows.keys() == set(pairs)
    for pair, row in rows.items():
        assert row.state == fate_of(sim, pair, inferred=row.inferred)
    assert max(sim.applied.values()) == 1

    # What was told is true, and told once for each occurrence.
    settled_told = [one for one in told if one[1].settled]
    for pair, outcome, inferred in settled_told:
        assert outcome is fate_of(sim, pair, inferred=inferred)
    assert Counter(pair for pair, *_ in settled_told) <= Counter(pairs)
    assert {outcome for _, outcome, _ in told if not outcome.settled} <= {
        Outcome.FAILED,
        Outcome.UNKNOWN,
    }

    # What a run left settled was not asked for again.
    assert known
    for since, settled in known:
        again = {
            (request.segments[1], request.segments[3])
            for request in log[since:]
            if request.method == "DELETE"
        }
        assert not again & settled
