"""A run over many workspaces: one journal, resumed like one run, and nobody holds others up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intercom_async import (
    ClientStateError,
    Detach,
    IntercomClient,
    IntercomPool,
    InvalidArgumentError,
    Outcome,
    WorkspaceAccess,
    WorkspaceAccessError,
)
from intercom_async.journal import JournalMismatchError, reader
from intercom_async.simulator import Fault
from tests.support.leftovers import nothing_left_behind
from tests.support.town import Town, mixed, town

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

Key = tuple[str, str, str]


def states_in(path: Path) -> dict[Key, str]:
    with reader.open(path) as kept:
        return {
            (row.workspace, row.conversation_id, row.contact_id): row.state for row in kept.rows()
        }


def keys_of(pairs: dict[str, list[tuple[str, str]]]) -> set[Key]:
    return {(workspace, *pair) for workspace, own in pairs.items() for pair in own}


def applied_twice(places: Town) -> list[Any]:
    return [pair for sim in places.simulators.values() for pair, n in sim.applied.items() if n != 1]


@pytest.mark.parametrize("again", ["the input", "a mapping", "nothing"])
async def test_a_run_that_was_left_early_goes_on_with_what_its_journal_has(
    tmp_path: Path, again: str
) -> None:
    path = tmp_path / "run.db"
    async with nothing_left_behind(), town(4, latency=0.05) as places:
        pairs = places.populate(60)
        async with IntercomPool(places.access) as pool:
            read = list(mixed(pairs))
            told: set[Key] = set()
            async with pool.detach_contacts(iter(read), journal=path) as run:
                async for found in run:
                    pair = found.result.detach
                    told.add((found.workspace, pair.conversation_id, pair.contact_id))
                    if len(told) == 50:
                        break
            states = states_in(path)
            assert {states[key] for key in told} == {"detached"}
            assert keys_of(pairs) == states.keys()  # what was read ahead lies there
            forms: dict[str, Any] = {"the input": read, "a mapping": pairs, "nothing": None}
            summary = await pool.detach_contacts(forms[again], journal=path)
        assert set(states_in(path).values()) == {"detached"}
        assert summary.settled + sum(state == "detached" for state in states.values()) == 240
        if again != "nothing":
            assert summary.settled + summary.settled_before == 240
        assert applied_twice(places) == []


async def test_a_journal_belongs_to_the_workspaces_that_its_keys_stood_for(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    async with town(3) as places:
        pairs = places.populate(5)
        async with IntercomPool(places.access) as pool:
            await pool.detach_contacts(pairs, journal=path)
        with reader.open(path) as kept:
            bound = kept.query("SELECT workspace, app_id FROM workspace ORDER BY workspace")
        assert bound == [("ws0", "app0"), ("ws1", "app1"), ("ws2", "app2")]
        more = places.populate(5)
        swapped = {"ws0": "ws0", "ws1": "ws2", "ws2": "ws1"}
        async with IntercomPool(lambda key: places.access(swapped[key])) as pool:
            summary = await pool.detach_contacts(more, journal=path)
        assert summary.outcomes[Outcome.DETACHED] == 5
        assert summary.outcomes[Outcome.NOT_ATTEMPTED] == 10
        assert {type(error) for error in summary.stopped.values()} == {JournalMismatchError}
        assert places["ws1"].applied.keys() == set(pairs["ws1"])
        # Nothing of them is lost: with the right tokens the rest is done.
        async with IntercomPool(places.access) as pool:
            rest = await pool.detach_contacts(journal=path)
        assert rest.settled == rest.total == 10


async def test_a_single_client_refuses_a_pools_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    async with town(1) as places:
        pairs = places.populate(2)
        async with IntercomPool(places.access) as pool:
            await pool.detach_contacts(pairs, journal=path)
        sim = places["ws0"]
        async with IntercomClient(sim.token, base_url=sim.url) as client:
            with pytest.raises(JournalMismatchError, match="several workspaces"):
                await client.detach_contacts(pairs["ws0"], journal=path)


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("moment", ["before the run", "in the middle"])
async def test_a_token_that_was_rotated_is_looked_up_once_more(
    tmp_path: Path, durable: bool, moment: str
) -> None:
    async with nothing_left_behind(), town(2, latency=0.02) as places:
        pairs = places.populate(60)
        async with IntercomPool(places.access) as pool:
            async with pool.client("ws0") as client:
                await client.whoami()
            if moment == "before the run":
                places["ws0"].token = "marked-token-new"
            counts = Counter[Outcome]()
            run = pool.detach_contacts(pairs, journal=tmp_path / "run.db" if durable else None)
            async for found in run:
                counts[found.result.outcome] += 1
                if counts.total() == 20:
                    places["ws0"].token = "marked-token-new"
            assert counts == {Outcome.DETACHED: 120}
            assert run.summary.stopped == {}
            async with pool.client("ws0") as client:
                await client.whoami()
        assert sorted(places.lookups) == ["ws0", "ws0", "ws1"]
        assert applied_twice(places) == []


async def test_another_workspaces_token_takes_no_refused_ones_place(tmp_path: Path) -> None:
    async with nothing_left_behind(), town(2, latency=0.02) as places:
        pairs = places.populate(30)

        async def access(workspace: str) -> WorkspaceAccess:
            rotated = workspace in places.lookups
            return await places.access("ws1" if rotated else workspace)

        async with IntercomPool(access) as pool:
            async with pool.detach_contacts(pairs, journal=tmp_path / "run.db") as run:
                async for _ in run:
                    if run.summary.total >= 20:
                        places["ws0"].token = "marked-token-new"
            assert run.summary.stopped.keys() == {"ws0"}
        assert places["ws1"].applied.keys() == set(pairs["ws1"])
        assert run.summary.total == 60


async def test_a_workspace_that_is_forgotten_is_looked_up_again() -> None:
    async with nothing_left_behind(), town(1) as places, IntercomPool(places.access) as pool:
        async with pool.client("ws0") as client:
            await client.whoami()
        places["ws0"].token = "marked-token-new"
        pool.forget("ws0")
        pool.forget("nobody")
        async with pool.client("ws0") as client:
            await client.whoami()
        assert places.lookups == ["ws0", "ws0"]


@pytest.mark.parametrize("form", [dict, mixed])
async def test_no_more_workspaces_than_asked_for_are_in_work(form: Callable[[Any], Any]) -> None:
    async with nothing_left_behind(), town(7, latency=0.1) as places:
        pairs = places.populate(8)
        in_work: list[int] = []
        async with IntercomPool(places.access) as pool:
            run = pool.detach_contacts(form(pairs), at_once=2)
            sims = places.simulators.values()
            in_work += [sum(sim.requests.in_flight > 0 for sim in sims) async for _ in run]
            assert run.summary.settled == 56
        assert max(in_work) == 2
        assert applied_twice(places) == []


@pytest.mark.parametrize("what", ["its token", "its server", "its input"])
async def test_a_workspace_that_hangs_stalls_no_other(what: str) -> None:
    async with town(4) as places:
        pairs: dict[str, Any] = dict(places.populate(20))
        never = asyncio.Event()

        async def access(workspace: str) -> WorkspaceAccess:
            if workspace == "ws1" and what == "its token":
                await never.wait()
            return await places.access(workspace)

        async def waiting() -> AsyncIterator[Detach]:
            await never.wait()
            yield Detach("1", "2")

        if what == "its server":
            places["ws1"].faults.add(Fault.HANG, probability=1.0)
        if what == "its input":
            pairs["ws1"] = waiting()
        form = pairs if what == "its input" else sorted(mixed(pairs))
        done = Counter[str]()
        async with IntercomPool(access) as pool, pool.detach_contacts(form, at_once=3) as run:
            async for found in run:
                done[found.workspace] += found.result.outcome is Outcome.DETACHED
                if done.total() == 60:
                    break
        assert done == {"ws0": 20, "ws2": 20, "ws3": 20}
        places["ws1"].release()


async def test_closing_ends_whoever_waits_for_a_look_up() -> None:
    async def never(_: str) -> str:
        await asyncio.Event().wait()
        return "token"

    async with nothing_left_behind():
        pool = IntercomPool(never)

        async def ask() -> None:
            async with pool.client("acme"):
                pass

        async def run() -> None:
            await pool.detach_contacts([("acme", "1", "2")])

        waiting = [asyncio.create_task(each) for each in (ask(), ask(), run())]
        await asyncio.sleep(1.0)
        await pool.aclose()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in found] == [ClientStateError] * 3


async def test_on_a_slow_server_no_pair_fails_and_interactive_calls_find_a_connection() -> None:
    latency = 3.0
    async with town(30, latency=latency) as places:
        pairs = places.populate(20)
        waits: list[float] = []
        async with IntercomPool(places.access, connections=32) as pool:
            run = asyncio.ensure_future(_summary_of(pool, mixed(pairs)))
            loop = asyncio.get_running_loop()
            await asyncio.sleep(7.0)
            for n in range(5):
                began = loop.time()
                async with pool.client(f"ws{n}") as client:
                    await client.whoami()
                waits.append(loop.time() - began)
            summary = await run
        assert summary.outcomes[Outcome.DETACHED] == summary.total == 600
        assert max(waits) < 2 * latency
        seen = sum(sim.requests.total for sim in places.simulators.values())
        assert summary.requests + summary.refusals + len(waits) == seen


async def _summary_of(pool: IntercomPool, pairs: Iterator[Key]) -> Any:
    return await pool.detach_contacts(pairs)


async def test_a_dry_run_changes_nothing_and_an_undo_puts_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    async with nothing_left_behind(), town(3) as places, IntercomPool(places.access) as pool:
        pairs = places.populate(6)
        foreseen = await pool.detach_contacts(mixed(pairs), dry_run=True)
        assert foreseen.outcomes[Outcome.DETACHED] == 18
        assert all(not sim.applied for sim in places.simulators.values())
        await pool.detach_contacts(mixed(pairs), journal=path)
        with reader.open(path) as kept:
            undo = (
                (row.workspace, row.conversation_id, row.contact_id)
                for row in kept.rows([Outcome.DETACHED], inferred=False)
            )
            undone = await pool.attach_contacts(undo, journal=tmp_path / "undo.db")
        assert undone.outcomes[Outcome.ATTACHED] == undone.total == 18
        for key, sim in places.simulators.items():
            assert all(sim.workspace.attached(*pair) for pair in pairs[key])
        with pytest.raises(InvalidArgumentError, match="journal"):
            await pool.detach_contacts([], dry_run=True, journal=path)


async def test_what_names_a_workspace_and_its_ids_is_an_item_and_a_bad_id_fails_alone() -> None:
    async with nothing_left_behind(), town(1) as places, IntercomPool(places.access) as pool:
        a, b, c, d = places.populate(4)["ws0"]
        admin = places["ws0"].admin_id
        items: list[Any] = [
            ("ws0", Detach(*a)),
            ["ws0", *b, admin],
            {"workspace": "ws0", "conversation_id": c[0], "contact_id": c[1], "name": "Ada"},
            ("ws0", int(d[0]), d[1]),
            ("ws0", 1.5, "2"),
            ("ws0", *a),
        ]
        results = [found.result async for found in pool.detach_contacts(items)]
        outcomes = Counter(result.outcome for result in results)
        assert outcomes == {Outcome.DETACHED: 5, Outcome.FAILED: 1}
        assert sum(result.duplicate for result in results) == 1
        assert applied_twice(places) == []


@pytest.mark.parametrize(
    "item", ["text", 3, ("ws0",), ("ws0", "1"), (None, "1", "2"), ("", "1", "2"), Detach("1", "2")]
)
async def test_what_is_no_item_ends_the_run_after_the_pairs_before_it(item: object) -> None:
    async with town(1) as places, IntercomPool(places.access) as pool:
        pairs: list[Any] = [*mixed(places.populate(10)), item]
        with pytest.raises(InvalidArgumentError, match="item 11"):
            await pool.detach_contacts(pairs)
        assert len(places["ws0"].applied) == 10


async def test_a_workspace_that_nobody_knows_keeps_its_pairs_for_later(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    async with nothing_left_behind(), town(2) as places:
        pairs = places.populate(5)
        async with IntercomPool({"ws0": await places.access("ws0")}) as pool:
            for told in (10, 5):
                summary = await pool.detach_contacts(pairs if told == 10 else None, journal=path)
                assert summary.total == told
                assert summary.outcomes[Outcome.NOT_ATTEMPTED] == 5
                assert type(summary.stopped["ws1"]) is WorkspaceAccessError
        async with IntercomPool(places.access) as pool:
            summary = await pool.detach_contacts(journal=path)
        assert summary.settled == summary.total == 5
        assert set(states_in(path).values()) == {"detached"}
