"""Everything at once, for as long as you like: `python -m tests.soak --seconds 600`.

Each round is a workspace, a journal and a bulk run over a network and a server that fail in all
the ways the test kit knows, with other faults and other proportions each time. Sessions of the
run are stopped, abandoned and cancelled at random and resumed from the journal until every pair
is settled. Then the books must agree: each pair applied exactly once at the server and recorded
so. Time is driven (waiting costs nothing), sockets are real. A failing round prints its seed.
"""

import argparse
import asyncio
import collections
import random
import sys
import tempfile
import time
from pathlib import Path

from intercom_async import DetachRun, IntercomClient, Outcome, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.accounting import disagreements
from tests.support.driven_loop import DrivenEventLoop
from tests.support.fault_proxy import FaultProxy, Strike
from tests.support.leftovers import holds_nothing
from tests.support.rows import Pair, outcomes_in

SERVER_FAULTS = sorted(
    set(Fault) - {Fault.HANG, Fault.UNAUTHORIZED, Fault.FORBIDDEN},
    key=lambda fault: fault.value,
)
"""All but those that nobody ends, or that end a run."""

SESSIONS = 40
"""Sessions of one run after which it should have come to its end."""


class BooksError(Exception):
    """Server, results and journal disagree."""


async def play(seed: int, pairs: int, journal: Path) -> None:
    """Play one round to its end, however many sessions it takes; the seed decides everything.

    Raises:
        BooksError: server, results and journal disagree.
    """
    dice = random.Random(seed)
    kinds = dice.sample(list(Strike), dice.randint(1, len(Strike)))
    strikes = {kind: dice.uniform(0, 0.3) / len(kinds) for kind in kinds}
    if Strike.REFUSED in strikes:
        strikes[Strike.REFUSED] /= 50  # it keeps all others waiting
    limit = dice.choice([30, 167, 1667])
    async with IntercomSimulator(seed=seed, limit=limit, latency=(0.0, 0.1)) as sim:
        work = sim.workspace.populate(conversations=pairs)
        for fault in dice.sample(SERVER_FAULTS, dice.randint(1, len(SERVER_FAULTS))):
            sim.faults.add(fault, probability=dice.uniform(0, 0.02))
        kept: dict[Pair, Outcome] = {}
        async with FaultProxy(sim.url, strikes, seed=seed) as proxy:
            for session in range(SESSIONS):
                if session == SESSIONS - 3:
                    proxy.be_good()
                    sim.faults.clear()
                accident = dice.choice(["stop", "drop", "leave", "cancel", "none", "none"])
                retry = RetryPolicy(attempts=dice.choice([1, 3, 5]), backoff=0.1)
                async with IntercomClient(
                    "token", base_url=proxy.url, timeout=2.0, retry=retry, admin_id=sim.admin_id
                ) as client:
                    run = client.detach_contacts(work, journal=journal)
                    await consume(run, accident, after=dice.randint(1, pairs))
                    if not holds_nothing(client):
                        raise BooksError(f"the limiter is not idle: {client.rate_limit}")
                kept = outcomes_in(journal)
                if len(kept) == pairs and all(outcome.settled for outcome in kept.values()):
                    break
        wrong = disagreements(sim, work, kept)
        if wrong or set(kept.values()) != {Outcome.DETACHED}:
            raise BooksError(str(wrong[:5] or collections.Counter(kept.values())))


async def consume(run: DetachRun, accident: str, *, after: int) -> None:
    """Take the results of a session until the end or, after so many of them, an accident."""

    async def take() -> None:
        told = 0
        async with run:
            async for _ in run:
                told += 1
                if told != after:
                    continue
                if accident in {"stop", "drop"}:
                    run.stop(immediately=accident == "drop")
                elif accident == "leave":
                    return
                elif accident == "cancel":
                    taking.cancel()

    taking = asyncio.create_task(take())
    await asyncio.wait({taking})
    if not taking.cancelled():
        taking.result()


def main() -> int:
    """Play rounds until the time is over; return the exit status."""
    parser = argparse.ArgumentParser(description="Bulk runs under all faults at once.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    began, rounds = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as directory:
        while rounds == 0 or time.monotonic() - began < options.seconds:
            seed = options.seed + rounds
            journal = Path(directory, str(seed))
            try:
                with asyncio.Runner(loop_factory=DrivenEventLoop) as runner:
                    runner.run(play(seed, options.pairs, journal))
            except BooksError as error:
                print(f"seed {seed}: the books disagree: {error}")  # noqa: T201  it prints
                return 1
            rounds += 1
    print(  # noqa: T201  same
        f"{rounds} rounds of {options.pairs:,} pairs, every pair applied once and recorded so; "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
