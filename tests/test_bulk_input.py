"""The input of a run is read by one task, ahead by a bounded number, and never waited for twice."""

import asyncio
import contextlib
import contextvars
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from intercom_async import IntercomClient, InvalidArgumentError, Outcome
from intercom_async.journal import Row
from intercom_async.journal.row import RowKey
from intercom_async.journal.sqlite import SqliteStore
from intercom_async.simulator import IntercomSimulator
from tests.support.leftovers import holds_nothing, nothing_left_behind

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

Pairs = list[tuple[str, str]]


@contextlib.asynccontextmanager
async def opened(
    latency: float = 0.05,
) -> AsyncGenerator[tuple[IntercomSimulator, IntercomClient]]:
    async with (
        IntercomSimulator(limit=100_000, latency=latency) as sim,
        IntercomClient("token", base_url=sim.url, admin_id=sim.admin_id) as client,
    ):
        yield sim, client


class TestContext:
    async def test_a_generator_finds_its_context_variable_behind_each_pair(self) -> None:
        variable = contextvars.ContextVar[str]("variable")

        async with opened() as (sim, client):
            pairs = sim.workspace.populate(conversations=600)

            async def source() -> AsyncIterator[tuple[str, str]]:
                for number, pair in enumerate(pairs):
                    token = variable.set(f"at {number}")
                    yield pair
                    assert variable.get() == f"at {number}"
                    variable.reset(token)
                    if number % 100 == 0:
                        await asyncio.sleep(0.1)

            variable.set("the caller's")
            summary = await client.detach_contacts(source())
            assert summary.settled == 600
            assert variable.get() == "the caller's"

    async def test_a_generator_may_hold_a_span_and_a_cancel_scope_around_its_pairs(self) -> None:
        tracer = TracerProvider().get_tracer("test")
        async with opened() as (sim, client):
            pairs = sim.workspace.populate(conversations=300)

            async def source() -> AsyncIterator[tuple[str, str]]:
                async with asyncio.timeout(1000):
                    with tracer.start_as_current_span("reading") as span:
                        for pair in pairs:
                            yield pair
                            assert trace.get_current_span() is span

            assert (await client.detach_contacts(source())).settled == 300
            assert trace.get_current_span() is trace.INVALID_SPAN

    async def test_a_generator_may_hold_a_transaction_around_its_pairs(
        self, tmp_path: Path
    ) -> None:
        database = sqlite3.connect(tmp_path / "pairs.db")
        database.execute("CREATE TABLE read (conversation_id TEXT)")
        async with opened() as (sim, client):
            pairs = sim.workspace.populate(conversations=300)

            def source() -> Iterator[tuple[str, str]]:
                with database:
                    for pair in pairs:
                        database.execute("INSERT INTO read VALUES (?)", pair[:1])
                        yield pair

            assert (await client.detach_contacts(source())).settled == 300
            assert database.execute("SELECT count(*) FROM read").fetchone() == (300,)

            async for _ in client.detach_contacts(source()):
                break
            await asyncio.sleep(1.0)
            assert not database.in_transaction  # left, so rolled back or committed
        database.close()


class TestOrder:
    async def test_a_pair_that_ends_while_it_is_looked_up_again_is_sent_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        look_up = SqliteStore.look_up

        def slowly(store: SqliteStore, keys: Sequence[RowKey]) -> list[Row | None]:
            rows = look_up(store, keys)
            time.sleep(0.02)
            return rows

        monkeypatch.setattr(SqliteStore, "look_up", slowly)
        async with opened(latency=0.001) as (sim, client):
            pairs = sim.workspace.populate(conversations=150)
            summary = await client.detach_contacts(pairs * 3)
            assert summary.outcomes[Outcome.DETACHED] == 450
            assert (summary.duplicates, summary.requests) == (300, 150)

    async def test_five_thousand_contacts_of_one_conversation_keep_nobody_waiting(self) -> None:
        async with opened(latency=0.1) as (sim, client):
            long = sim.workspace.populate(conversations=1, contacts_per_conversation=5000)
            short = sim.workspace.populate(conversations=200)
            told = dict.fromkeys(short, 0)
            async with client.detach_contacts(long + short) as run:
                before = 0
                async for result in run:
                    pair = (result.detach.conversation_id, result.detach.contact_id)
                    before += 1
                    if pair in told:
                        told[pair] = before
                    if all(told.values()):
                        break
            assert max(told.values()) < 300
            assert sim.requests.overlaps == 0


class TestConsumers:
    @pytest.mark.parametrize("how", ["breaks", "raises", "is cancelled"])
    async def test_a_consumer_that_leaves_without_async_with_ends_the_run(self, how: str) -> None:
        async def consume(client: IntercomClient, pairs: Pairs) -> None:
            async for _ in client.detach_contacts(pairs):
                if how == "raises":
                    raise LookupError
                if how == "breaks":
                    break
                await asyncio.sleep(3600)

        async with nothing_left_behind(), opened() as (sim, client):
            pairs = sim.workspace.populate(conversations=2000)
            task = asyncio.create_task(consume(client, pairs))
            await asyncio.sleep(5.0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled() or isinstance(task.exception(), LookupError | None)
            sent = sim.requests.total
            await asyncio.sleep(60.0)
            assert sim.requests.total == sent < 1000
            assert holds_nothing(client)


class TestForms:
    async def test_a_pair_with_an_id_that_cannot_be_one_fails_alone(self, tmp_path: Path) -> None:
        async with opened() as (sim, client):
            (good,) = sim.workspace.populate(conversations=1)
            bad: list[Any] = [(1297.0, "a1"), ("nan", "a1"), ("1", float("nan")), ("1", "")]
            async with client.detach_contacts([*bad, good], journal=tmp_path / "run.db") as run:
                results = [result async for result in run]
            assert len(results) == 5
            for result in results:
                expected = result.detach.contact_id == good[1]
                assert (result.outcome is Outcome.DETACHED) is expected
                assert isinstance(result.error, InvalidArgumentError) is not expected
            assert run.summary.causes[0].count == 4
