"""A run that is killed at any moment, and resumed, and killed again, still tells the truth.

Runs are processes of their own, killed by SIGKILL; the simulator lives here, so that its state
and its log can be compared with the journal and with what the runs reported, pair by pair.
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
from intercom_async.simulator import Fault, IntercomSimulator
from tests.journal.helpers import until
from tests.support.killable import ENDED, detach, start
from tests.support.rows import Pair, rows_in, settled_in

if sys.platform == "win32":
    pytest.skip("no SIGKILL here", allow_module_level=True)

SEEDS = (1, 2, 3)
KILLS = 6
RESUMES = 10
FAULTS = (
    Fault.RESET_AFTER_APPLYING,
    Fault.SERVER_ERROR_AFTER_APPLYING,
    Fault.CLOSE_AFTER_APPLYING,
    Fault.TRUNCATED_BODY,
    Fault.RESET_BEFORE_APPLYING,
    Fault.SERVER_ERROR,
)
"""They leave it open whether a request was applied."""


def pairs_of(sim: IntercomSimulator, chance: random.Random, *, conversations: int) -> list[Pair]:
    """Pairs of every kind, some of them twice."""
    pairs = sim.workspace.populate(conversations=conversations, contacts_per_conversation=3)
    pairs += sim.workspace.populate(conversations=5, contacts_per_conversation=1, kept=0)
    pairs += [(pairs[n][0], f"{n:024x}") for n in range(5)]
    pairs += [(f"no-such-{n}", pairs[n][1]) for n in range(5)]
    pairs += chance.sample(pairs, len(pairs) // 10)
    chance.shuffle(pairs)
    return pairs


def true_outcome(sim: IntercomSimulator, pair: Pair, *, inferred: bool) -> Outcome:
    """What the server's state says that a pair's outcome must be."""
    if pair[0] not in sim.workspace.conversations:
        return Outcome.CONVERSATION_MISSING
    if sim.workspace.attached(*pair):
        assert sim.workspace.participants(pair[0]) == [pair[1]]
        return Outcome.REFUSED_LAST_CONTACT
    # Nobody can tell whether an attempt of unknown fate removed a contact or never found it.
    return Outcome.DETACHED if sim.applied[pair] or inferred else Outcome.ALREADY_ABSENT


def reported_in(path: Path) -> list[tuple[Pair, Outcome, bool]]:
    """What all runs reported, and those that came to their end said so."""
    lines: list[Any] = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[-1] == ENDED
    return [((line[0], line[1]), Outcome(line[2]), line[3]) for line in lines if line != ENDED]


async def arrived(sim: IntercomSimulator, number: int) -> None:
    """Wait until some more requests have arrived."""
    enough = sim.requests.total + number
    await until(lambda: sim.requests.total >= enough)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_killed_at_any_moment_and_resumed_accounts_for_every_pair_once(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    journal, reported_path = tmp_path / "run.journal", tmp_path / "reported"
    async with IntercomSimulator(
        seed=seed, limit=100_000, latency=(0.0, 0.01), keep_log=True
    ) as sim:
        pairs = pairs_of(sim, chance, conversations=100)
        for fault in FAULTS:
            sim.faults.add(fault, probability=0.04)
        job = {
            "url": sim.url,
            "admin_id": sim.admin_id,
            "pairs": pairs,
            "journal": str(journal),
            "reported": str(reported_path),
            "concurrency": chance.choice([3, 16, 64]),
            "attempts": chance.choice([2, 3, 5]),
        }
        log = sim.requests.log
        assert log is not None
        known: list[tuple[int, set[Pair]]] = []
        for turn in range(KILLS + RESUMES):
            run = await asyncio.to_thread(start, detach, job)
            if turn < KILLS:
                await arrived(sim, chance.randint(0, 35))
                await asyncio.sleep(chance.choice([0.0, 0.001, 0.005]))
                run.kill()
            await asyncio.to_thread(run.join)
            assert run.exitcode == (-9 if turn < KILLS else 0)
            known.append((len(log), settled_in(journal)))
            if turn >= KILLS and known[-1][1] == set(pairs):
                break
        rows = rows_in(journal)
        reported = reported_in(reported_path)

    # Every pair is settled once, as what it is on the server.
    assert rows.keys() == set(pairs)
    for pair, row in rows.items():
        assert row.state == true_outcome(sim, pair, inferred=row.inferred)
    assert max(sim.applied.values()) == 1

    # What was reported is true, and reported once for each occurrence.
    settled_reported = [one for one in reported if one[1].settled]
    for pair, outcome, inferred in settled_reported:
        assert outcome is true_outcome(sim, pair, inferred=inferred)
    assert Counter(pair for pair, *_ in settled_reported) <= Counter(pairs)
    others = {outcome for _, outcome, _ in reported if not outcome.settled}
    assert others <= {Outcome.FAILED, Outcome.UNKNOWN}

    # What a run left settled was not asked for again.
    for since, settled in known:
        again = {
            (request.segments[1], request.segments[3])
            for request in log[since:]
            if request.method == "DELETE"
        }
        assert not again & settled
