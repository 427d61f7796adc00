"""A `FaultProxy` as a process of its own: `python -m tests.support.fault_process PORT PLAN`.

It says on its standard output where it listens, and at the end of its standard input what it
struck; a test that dies takes it along.
"""

import asyncio
import collections
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.fault_proxy import FaultProxy, Strike


class FaultProcess:
    """The handle of a running proxy; entering and leaving block.

    Args:
        port: the server's, on loopback.
        strikes: the probability of each.
        seed: of the plan.
        delay: real seconds, see `FaultProxy`.

    Attributes:
        url: where it listens, once it is entered.
        struck: how often each strike happened, once it is left.
    """

    def __init__(
        self, port: int, strikes: Mapping[Strike, float], *, seed: int = 0, delay: float = 0.01
    ) -> None:
        self.url = ""
        self.struck: collections.Counter[Strike] = collections.Counter()
        plan = {strike.name: probability for strike, probability in strikes.items()}
        options = {"strikes": plan, "seed": seed, "delay": delay}
        self._command = [sys.executable, "-m", __name__, str(port), json.dumps(options)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        told, _ = self._process.communicate(timeout=10)
        for name, number in json.loads(told).items():
            self.struck[Strike[name]] = number


async def _serve(port: int, options: Mapping[str, Any]) -> None:
    plan = {Strike[name]: probability for name, probability in options["strikes"].items()}
    proxy = FaultProxy(port, plan, seed=options["seed"], delay=options["delay"])
    async with proxy:
        print(proxy.url, flush=True)  # noqa: T201  what it is asked
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({strike.name: number for strike, number in proxy.struck.items()}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), json.loads(sys.argv[2])))
