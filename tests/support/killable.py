"""Runs that can be killed: `python -m tests.support.killable` forks one for each line it is given.

A run needs a process of its own to be killed, and starting Python takes longer than the run. So
this process imports everything once and forks. It is told "kill" or "wait" after it has said that
the run is there, and answers with the run's exit status; it waits for its children itself, so the
process that is killed is never another one.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from intercom_async import IntercomClient, RetryPolicy

ENDED: Final = "ended"
"""The last line that a run which came to its end tells."""


async def run(job: Mapping[str, Any]) -> None:
    """Detach all pairs and append every result to a file, one system call each."""
    told = os.open(job["told"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(value: object) -> None:
        os.write(told, json.dumps(value).encode() + b"\n")

    retry = RetryPolicy(attempts=job["attempts"], backoff=0.005, backoff_max=0.02, budget=1000)
    pairs: list[tuple[str, str]] = [(one, other) for one, other in job["pairs"]]
    async with (
        IntercomClient("token", base_url=job["url"], retry=retry) as client,
        client.detach_contacts(
            pairs, admin_id=job["admin_id"], journal=job["journal"], concurrency=job["concurrency"]
        ) as run,
    ):
        async for result in run:
            pair = result.detach
            tell([pair.conversation_id, pair.contact_id, result.outcome, result.inferred])
    tell(ENDED)


class Nursery:
    """Starts runs, and kills them or waits for their end; all of its calls block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.killable"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=10)

    def start(self, job: Mapping[str, Any]) -> None:
        """Start a run."""
        assert self._ask(job) == 0

    def kill(self) -> int:
        """Kill the run by SIGKILL; return its exit status, -9 if it was running."""
        return self._ask("kill")

    def wait(self) -> int:
        """Let the run come to its end; return its exit status."""
        return self._ask("wait")

    def _ask(self, question: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(run(json.loads(line)))
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        answer(0)
        if json.loads(sys.stdin.readline()) == "kill":
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        answer(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
