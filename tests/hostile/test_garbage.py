"""What fails again and again leaves nothing for the garbage collector to find."""

import asyncio
import contextlib
import gc
from collections.abc import Iterator

import pytest

from intercom_async import ConnectionFailedError, IntercomClient, RetryPolicy
from intercom_async.transport.http import AttemptFailedError
from tests.support.raw_server import RawServer

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

ONCE = RetryPolicy(attempts=1)


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(kind: type[BaseException]) -> int:
    return sum(isinstance(one, kind) for one in gc.get_objects())


@pytest.mark.usefixtures("uncollected")
async def test_failed_attempts_go_with_their_calls() -> None:
    before = alive(AttemptFailedError)
    async with (
        RawServer(hang_up) as server,
        IntercomClient("token", base_url=server.url, retry=ONCE) as client,
    ):
        for _ in range(5):
            with contextlib.suppress(ConnectionFailedError):
                await client.whoami()
    assert alive(AttemptFailedError) == before


@pytest.mark.usefixtures("uncollected")
async def test_cancelled_calls_go_with_their_tasks() -> None:
    async with (
        RawServer(say_nothing) as server,
        IntercomClient("token", base_url=server.url, retry=ONCE) as client,
    ):
        before = alive(asyncio.CancelledError)
        for _ in range(5):
            call = asyncio.create_task(client.whoami())
            await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait({call})
            del call
        assert alive(asyncio.CancelledError) == before


async def hang_up(_: int, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def say_nothing(_: int, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)
