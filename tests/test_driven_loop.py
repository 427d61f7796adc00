"""The test kit's own promise: waiting costs no time, sockets and threads are not jumped over."""

import asyncio
import time

import pytest

driven = pytest.mark.asyncio(loop_factories=["driven"])


@driven
async def test_an_hour_passes_in_an_instant() -> None:
    loop = asyncio.get_running_loop()
    began, real = loop.time(), time.monotonic()
    await asyncio.sleep(3600)
    assert loop.time() - began == pytest.approx(3600, abs=1)
    assert time.monotonic() - real < 60


@driven
async def test_a_thread_is_waited_for_rather_than_jumped_over() -> None:
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(_slowly) == "done"


def _slowly() -> str:
    time.sleep(0.02)
    return "done"
