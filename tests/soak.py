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
import gc
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from intercom_async import IntercomClient, Outcome, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator
from tests.chaos.accounting import disagreements
from tests.support.driven_loop import DrivenEventLoop
from tests.support.fault_proxy import FaultProxy, Strike
from tests.support.leftovers import holds_nothing
from tests.support.rows import outcomes_in

SERVER_FAULTS = sorted(
    set(Fault) - {Fault.HANG, Fault.UNAUTHORIZED, Fault.FORBIDDEN},
    key=lambda fault: fault.value,
)
"""All but those that nobody ends, or that end a run."""

SESSIONS = 40
"""Sessions of one run after which it should have come to its end."""


class BooksError(Exception):
    """Server, results and journal disagree."""


class Round:
    """One run, however many sessions it takes.

    Args:
        seed: decides everything.
        pairs: how many.
        directory: for the journal.
    """

    def __init__(self, seed: int, pairs: int, directory: Path) -> None:
        self.seed = seed
        self.pairs = pairs
        self.journal = directory / f"{seed}.journal"
        self.counts: collections.Counter[str] = collections.Counter()
        self._dice = random.Random(seed)

    async def play(self) -> None:
        """Run to the end and compare the books.

        Raises:
            BooksError: they disagree.
        """
        dice = self._dice
        kinds = dice.sample(list(Strike), dice.randint(1, len(Strike)))
        strikes = {kind: dice.uniform(0, 0.3) / len(kinds) for kind in kinds}
        if Strike.REFUSED in strikes:
            strikes[Strike.REFUSED] /= 50  # it keeps all others waiting
        limit = dice.choice([30, 167, 1667])
        async with IntercomSimulator(seed=self.seed, limit=limit, latency=(0.0, 0.1)) as sim:
            work = sim.workspace.populate(conversations=self.pairs)
            for fault in dice.sample(SERVER_FAULTS, dice.randint(1, len(SERVER_FAULTS))):
                sim.faults.add(fault, probability=dice.uniform(0, 0.02))
            async with FaultProxy(sim.url, strikes, seed=self.seed) as proxy:
                for session in range(SESSIONS):
                    if session == SESSIONS - 3:
                        proxy.be_good()
                        sim.faults.clear()
                    if await self._session(sim, proxy, work):
                        break
                self.counts.update(strike.name.lower() for strike in proxy.struck.elements())
            self.counts.update(fault.value for fault in sim.faults.struck.elements())
            kept = outcomes_in(self.journal)
            wrong = disagreements(sim, work, kept)
            if wrong or set(kept.values()) != {Outcome.DETACHED}:
                raise BooksError(
                    f"seed {self.seed}: {wrong[:5] or collections.Counter(kept.values())}"
                )

    async def _session(
        self, sim: IntercomSimulator, proxy: FaultProxy, work: list[tuple[str, str]]
    ) -> bool:
        """Run until the end or an accident; whether all pairs are settled."""
        retry = RetryPolicy(attempts=self._dice.choice([1, 3, 5]), backoff=0.1)
        async with IntercomClient("token", base_url=proxy.url, timeout=2.0, retry=retry) as client:
            accident = self._dice.choice(["stop", "drop", "leave", "cancel", "none", "none"])
            after = self._dice.randint(1, self.pairs)
            self.counts[f"session_{accident}"] += 1

            async def consume() -> None:
                told = 0
                run = client.detach_contacts(work, admin_id=sim.admin_id, journal=self.journal)
                async with run:
                    async for _ in run:
                        told += 1
                        if told != after:
                            continue
                        if accident == "stop":
                            run.stop()
                        elif accident == "drop":
                            run.stop(immediately=True)
                        elif accident == "leave":
                            return
                        elif accident == "cancel":
                            consuming.cancel()

            consuming = asyncio.create_task(consume())
            await asyncio.wait({consuming})
            if not consuming.cancelled():
                consuming.result()
            if not holds_nothing(client):
                status = client.rate_limit
                raise BooksError(f"seed {self.seed}: the limiter is not idle: {status}")
        kept = outcomes_in(self.journal)
        return len(kept) == len(work) and all(outcome.settled for outcome in kept.values())


def main() -> int:
    """Play rounds until the time is over; return the exit status."""
    parser = argparse.ArgumentParser(description="Bulk runs under all faults at once.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    began, seed, rounds = time.monotonic(), int(options.seed), 0
    with tempfile.TemporaryDirectory() as directory:
        while rounds == 0 or time.monotonic() - began < options.seconds:
            each = Round(seed, options.pairs, Path(directory))
            try:
                with asyncio.Runner(loop_factory=DrivenEventLoop) as runner:
                    runner.run(each.play())
            except BooksError as error:
                print(f"the books disagree: {error}")  # noqa: T201  a command's output
                return 1
            counts += each.counts
            seed, rounds = seed + 1, rounds + 1
            gc.collect()
    for name, count in counts.most_common():
        print(f"{count:9,}  {name}")  # noqa: T201  same
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(  # noqa: T201  same
        f"{rounds} rounds of {options.pairs:,} pairs, every pair applied once and recorded so; "
        f"{time.monotonic() - began:.0f} s, at most {peak} MiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
