"""Processes to be killed.

Starting Python takes longer than a run, so they are forked from a process that has imported
everything.
"""

import asyncio
import json
import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any, Final

from intercom_async import IntercomClient, RetryPolicy

ENDED: Final = "ended"
"""The last line that a run which came to its end tells."""


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process; its exit code is -9 if it is killed while it runs."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([__name__])
    process = forking.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def detach(job: Mapping[str, Any]) -> None:
    """Detach all pairs and append every result to a file, one system call each."""
    asyncio.run(_detach(job))


async def _detach(job: Mapping[str, Any]) -> None:
    reported = os.open(job["reported"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(value: object) -> None:
        os.write(reported, json.dumps(value).encode() + b"\n")

    retry = RetryPolicy(attempts=job["attempts"], backoff=0.005, backoff_max=0.02, budget=1000)
    async with (
        IntercomClient("token", base_url=job["url"], retry=retry) as client,
        client.detach_contacts(
            job["pairs"],
            admin_id=job["admin_id"],
            journal=job["journal"],
            concurrency=job["concurrency"],
        ) as run,
    ):
        async for result in run:
            pair = result.detach
            tell([pair.conversation_id, pair.contact_id, result.outcome, result.inferred])
    tell(ENDED)
