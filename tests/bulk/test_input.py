"""The input of a run is read by one task, and may fail."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from intercom_async import IntercomClient, InvalidArgumentError, Outcome
from intercom_async.journal import Row
from intercom_async.journal.row import RowKey
from intercom_async.journal.sqlite import SqliteStore
from intercom_async.simulator import IntercomSimulator
from tests.support.rows import Pair

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


async def test_a_generator_may_hold_what_belongs_to_its_task_around_its_pairs(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=600)
    variable = contextvars.ContextVar[str]("variable")
    closed: list[bool] = []

    async def source() -> AsyncIterator[Pair]:
        async with asyncio.timeout(1000):
            token = variable.set("the input's")
            try:
                for number, pair in enumerate(pairs):
                    yield pair
                    assert variable.get() == "the input's"
                    if number % 100 == 0:
                        await asyncio.sleep(0.1)
            finally:
                variable.reset(token)  # which another task could not
                closed.append(True)

    variable.set("the caller's")
    assert (await client.detach_contacts(source())).settled == 600
    assert variable.get() == "the caller's"
    async with client.detach_contacts(source()) as run:
        async for _ in run:
            break
    assert closed == [True, True]


@pytest.mark.parametrize("item", ["1295", OSError("disk gone")])
async def test_what_is_no_pair_and_what_an_input_raises_end_the_run_after_the_pairs_before(
    sim: IntercomSimulator, client: IntercomClient, item: Any
) -> None:
    pairs = sim.workspace.populate(conversations=3)

    def source() -> Iterator[Any]:
        yield from pairs
        if isinstance(item, Exception):
            raise item
        yield item

    run = client.detach_contacts(source())
    with pytest.raises((InvalidArgumentError, OSError), match=r"item 4|disk gone"):
        await run
    assert run.summary.outcomes[Outcome.DETACHED] == run.summary.total == 3
    assert not run.summary.input_ended


async def test_a_pair_that_ends_while_it_is_looked_up_again_is_sent_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = SqliteStore.look_up

    def slowly(store: SqliteStore, keys: Sequence[RowKey]) -> list[Row | None]:
        rows = look_up(store, keys)
        time.sleep(0.02)
        return rows

    monkeypatch.setattr(SqliteStore, "look_up", slowly)
    async with (
        IntercomSimulator(limit=100_000, latency=0.001) as sim,
        IntercomClient("token", base_url=sim.url, admin_id=sim.admin_id) as client,
    ):
        pairs = sim.workspace.populate(conversations=150)
        summary = await client.detach_contacts(pairs * 3)
    assert summary.outcomes[Outcome.DETACHED] == 450
    assert (summary.duplicates, summary.requests) == (300, 150)
