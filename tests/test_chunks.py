"""Plans on disk: chunks, their journals, and what they add up to; without any queue."""

import asyncio
from pathlib import Path

import pytest

from intercom_async import Detach, IntercomPool, InvalidArgumentError, Outcome, WorkspaceAccess
from intercom_async.chunks import chunk_files, progress, read_plan, run_chunk, write_plan
from intercom_async.journal import Journal
from intercom_async.simulator import Fault, IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


def pool_for(sim: IntercomSimulator) -> IntercomPool:
    return IntercomPool(
        lambda _: WorkspaceAccess(sim.token, base_url=sim.url, admin_id=sim.admin_id)
    )


async def test_pairs_are_sorted_into_chunks_of_one_workspace_each(tmp_path: Path) -> None:
    triples = [(f"w/{n % 2}", str(n), "c") for n in range(25)]
    plan = await write_plan(triples, tmp_path / "plan", admin_id="7", size=5)
    assert plan == read_plan(tmp_path / "plan")
    assert plan.chunks == {"w/0": 3, "w/1": 3}
    assert plan.pairs == 25
    assert plan.admin_id == "7"
    found = progress(tmp_path / "plan")
    assert not found.finished
    assert found.summary.total == 0


async def test_a_folder_with_a_plan_or_a_wrong_item_is_refused(tmp_path: Path) -> None:
    await write_plan([("w", "1", "2")], tmp_path)
    with pytest.raises(InvalidArgumentError, match="folder"):
        await write_plan([("w", "1", "2")], tmp_path)
    with pytest.raises(InvalidArgumentError, match="item 1"):
        await write_plan(["nonsense"], tmp_path / "other")  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]  # wrong on purpose
    with pytest.raises(InvalidArgumentError, match="size"):
        await write_plan([("w", "1", "2")], tmp_path / "third", size=1001)
    assert not (tmp_path / "other" / "plan.json").exists()


async def test_a_chunk_run_again_repeats_nothing_that_is_settled(tmp_path: Path) -> None:
    async with IntercomSimulator(limit=1000) as sim, pool_for(sim) as pool:
        pairs = sim.workspace.populate(conversations=20)
        await write_plan([("acme", Detach(*pair)) for pair in pairs], tmp_path)
        assert await run_chunk(pool, tmp_path, "acme", 1) == "done"
        assert progress(tmp_path).finished
        before = sim.requests.total
        assert await run_chunk(pool, tmp_path, "acme", 1) == "done"
        assert sim.requests.total == before
    assert progress(tmp_path).summary.outcomes[Outcome.DETACHED] == 20


async def test_a_cancelled_chunk_goes_on_where_it_was(tmp_path: Path) -> None:
    async with IntercomSimulator(limit=400, latency=0.1) as sim, pool_for(sim) as pool:
        pairs = sim.workspace.populate(conversations=300)
        await write_plan([("acme", *pair) for pair in pairs], tmp_path)
        task = asyncio.create_task(run_chunk(pool, tmp_path, "acme", 1))
        while progress(tmp_path).summary.settled < 20:  # noqa: ASYNC110  the journal tells no one
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert progress(tmp_path).summary.settled < 300
        assert await run_chunk(pool, tmp_path, "acme", 1) == "done"
    assert progress(tmp_path).finished
    assert set(sim.applied.values()) == {1}


async def test_a_chunk_that_another_process_holds_is_left_to_it(tmp_path: Path) -> None:
    async with IntercomSimulator() as sim, pool_for(sim) as pool:
        pairs = sim.workspace.populate(conversations=2)
        await write_plan([("acme", *pair) for pair in pairs], tmp_path)
        _, journal = chunk_files(tmp_path, "acme", 1)
        async with await Journal(str(journal)).open():
            assert await run_chunk(pool, tmp_path, "acme", 1) == "busy"
        assert sim.requests.total == 0


async def test_a_workspace_that_refuses_stops_its_chunk(tmp_path: Path) -> None:
    async with IntercomSimulator() as sim, pool_for(sim) as pool:
        pairs = sim.workspace.populate(conversations=5)
        await write_plan([("acme", *pair) for pair in pairs], tmp_path)
        sim.faults.add(Fault.UNAUTHORIZED)
        assert await run_chunk(pool, tmp_path, "acme", 1) == "stopped"
        sim.faults.clear()
        assert await run_chunk(pool, tmp_path, "acme", 1) == "done"
    assert progress(tmp_path).finished
