"""A run over many workspaces: one journal, resumed like one run, and nobody holds others up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from intercom_async import (
    AuthenticationError,
    Detach,
    IntercomPool,
    InvalidArgumentError,
    Outcome,
    PoolResult,
    WorkspaceAccess,
    WorkspaceAccessError,
)
from intercom_async.journal import JournalMismatchError, reader
from intercom_async.simulator import Fault
from tests.support.leftovers import holds_nothing, nothing_left_behind
from tests.support.rows import Key, states_in
from tests.support.town import Town, mixed, town

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


def key_of(found: PoolResult) -> Key:
    pair = found.result.detach
    return found.workspace, pair.conversation_id, pair.contact_id


def applied_once(places: Town) -> bool:
    return {n for sim in places.simulators.values() for n in sim.applied.values()} <= {1}


async def as_details(pairs: dict[str, list[tuple[str, str]]]) -> AsyncIterator[Any]:
    for workspace, *pair in mixed(pairs):
        yield workspace, Detach(*pair)


class TestEveryPair:
    @pytest.mark.parametrize("form", [dict, mixed, as_details])
    async def test_each_of_every_workspace_is_detached_once(
        self, form: Callable[[Any], Any]
    ) -> None:
        async with nothing_left_behind(), town(5, latency=0.02) as places:
            pairs = places.populate(40)
            async with (
                IntercomPool(places.access) as pool,
                pool.detach_contacts(form(pairs)) as run,
            ):
                results = [found async for found in run]
            assert sorted(map(key_of, results)) == sorted(mixed(pairs))
            assert {found.result.outcome for found in results} == {Outcome.DETACHED}
            assert run.summary.total == run.summary.settled == run.summary.requests == 200
            assert {key: one.total for key, one in run.summary.workspaces.items()} == dict.fromkeys(
                pairs, 40
            )
            assert applied_once(places)

    async def test_what_names_a_workspace_and_its_ids_is_one_and_a_bad_id_fails_alone(self) -> None:
        async with nothing_left_behind(), town(1) as places, IntercomPool(places.access) as pool:
            a, b, c, d = places.populate(4)["ws0"]
            items: list[Any] = [
                ("ws0", Detach(*a)),
                ["ws0", *b, places["ws0"].admin_id],
                {"workspace": "ws0", "conversation_id": c[0], "contact_id": c[1], "name": "Ada"},
                ("ws0", int(d[0]), d[1]),
                ("ws0", 1.5, "2"),
                ("ws0", *a),
            ]
            results = [found.result async for found in pool.detach_contacts(items)]
            outcomes = Counter(result.outcome for result in results)
            assert outcomes == {Outcome.DETACHED: 5, Outcome.FAILED: 1}
            assert sum(result.duplicate for result in results) == 1
            assert applied_once(places)

    @pytest.mark.parametrize(
        "item",
        ["text", 3, ("ws0",), ("ws0", "1"), (None, "1", "2"), ("", "1", "2"), Detach("1", "2")],
    )
    async def test_what_is_none_ends_the_run_after_the_pairs_before_it(self, item: object) -> None:
        async with town(1) as places, IntercomPool(places.access) as pool:
            run = pool.detach_contacts([*mixed(places.populate(10)), item])  # type: ignore[list-item]  # wrong on purpose
            with pytest.raises(InvalidArgumentError, match="item 11"):
                await run
            assert len(places["ws0"].applied) == 10
            assert not run.summary.input_ended
            assert not run.summary.workspaces["ws0"].input_ended

    async def test_a_dry_run_changes_none_and_an_undo_puts_all_back(self, path: Path) -> None:
        async with nothing_left_behind(), town(3) as places, IntercomPool(places.access) as pool:
            pairs = places.populate(6)
            foreseen = await pool.detach_contacts(mixed(pairs), dry_run=True)
            assert foreseen.outcomes[Outcome.DETACHED] == 18
            assert not any(sim.applied for sim in places.simulators.values())
            await pool.detach_contacts(mixed(pairs), journal=path)
            with reader.open(path) as kept:
                undo = [
                    (row.workspace, row.conversation_id, row.contact_id)
                    for row in kept.rows([Outcome.DETACHED], inferred=False)
                ]
            undone = await pool.attach_contacts(undo, journal=path.with_name("undo.db"))
            assert undone.outcomes[Outcome.ATTACHED] == undone.total == 18
            assert all(places[key].workspace.attached(*pair) for key, *pair in mixed(pairs))
            with pytest.raises(InvalidArgumentError, match="journal"):
                await pool.detach_contacts([], dry_run=True, journal=path)


class TestJournal:
    @pytest.mark.parametrize("again", ["the input", "a mapping", "nothing"])
    async def test_a_run_that_was_left_early_goes_on_with_what_it_has(
        self, path: Path, again: str
    ) -> None:
        async with nothing_left_behind(), town(4, latency=0.05) as places:
            pairs = places.populate(60)
            read = list(mixed(pairs))
            async with IntercomPool(places.access) as pool:
                told: set[Key] = set()
                async with pool.detach_contacts(iter(read), journal=path) as run:
                    async for found in run:
                        told.add(key_of(found))
                        if len(told) == 50:
                            break
                states = states_in(path)
                assert {states[key] for key in told} == {"detached"}
                assert states.keys() == set(read)  # what was read ahead lies there
                forms: dict[str, Any] = {"the input": read, "a mapping": pairs, "nothing": None}
                summary = await pool.detach_contacts(forms[again], journal=path)
            assert set(states_in(path).values()) == {"detached"}
            before = Counter(states.values())["detached"]
            assert summary.settled == 240 - before
            assert summary.settled_before == (before if again != "nothing" else 0)
            assert applied_once(places)

    async def test_it_belongs_to_the_workspaces_that_its_keys_stood_for(self, path: Path) -> None:
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

    @pytest.mark.parametrize("form", [dict, mixed])
    async def test_a_workspace_without_access_stops_alone_and_keeps_its_pairs_for_later(
        self, path: Path, form: Callable[[Any], Any]
    ) -> None:
        async with nothing_left_behind(), town(3) as places:
            pairs = places.populate(10)
            places["ws1"].faults.add(Fault.UNAUTHORIZED)

            async def access(workspace: str) -> WorkspaceAccess:
                found = await places.access(workspace)
                if workspace == "ws2":
                    raise LookupError
                return found

            async with IntercomPool(access) as pool:
                summary = await pool.detach_contacts(form(pairs), journal=path)
            assert (summary.total, summary.settled) == (30, 10)
            assert type(summary.stopped["ws1"]) is AuthenticationError
            assert type(summary.stopped["ws2"]) is WorkspaceAccessError
            assert summary.workspaces["ws2"].outcomes[Outcome.NOT_ATTEMPTED] == 10
            assert places.lookups.count("ws1") == 2  # the token might have been rotated
            assert "3 workspaces" in str(summary)
            places["ws1"].faults.clear()
            async with IntercomPool(places.access) as pool:
                summary = await pool.detach_contacts(journal=path)
            assert summary.settled == summary.total == 20
            assert set(states_in(path).values()) == {"detached"}


class TestTokens:
    @pytest.mark.parametrize("durable", [True, False])
    @pytest.mark.parametrize("moment", ["before the run", "in the middle"])
    async def test_one_that_was_rotated_is_looked_up_once_more(
        self, path: Path, durable: bool, moment: str
    ) -> None:
        async with nothing_left_behind(), town(2, latency=0.02) as places:
            pairs = places.populate(60)
            async with IntercomPool(places.access) as pool:
                async with pool.client("ws0") as client:
                    await client.whoami()
                if moment == "before the run":
                    places["ws0"].token = "marked-token-new"
                run = pool.detach_contacts(pairs, journal=path if durable else None)
                async for _ in run:
                    if run.summary.total >= 20:
                        places["ws0"].token = "marked-token-new"
                assert run.summary.outcomes[Outcome.DETACHED] == run.summary.total == 120
                assert run.summary.stopped == {}
                async with pool.client("ws0") as client:
                    await client.whoami()
            assert sorted(places.lookups) == ["ws0", "ws0", "ws1"]
            assert applied_once(places)

    async def test_another_workspaces_takes_no_refused_ones_place(self, path: Path) -> None:
        async with nothing_left_behind(), town(2, latency=0.02) as places:
            pairs = places.populate(30)

            async def access(workspace: str) -> WorkspaceAccess:
                rotated = workspace in places.lookups
                return await places.access("ws1" if rotated else workspace)

            async with IntercomPool(access) as pool:
                async with pool.detach_contacts(pairs, journal=path) as run:
                    async for _ in run:
                        if run.summary.total >= 20:
                            places["ws0"].token = "marked-token-new"
                assert run.summary.stopped.keys() == {"ws0"}
            assert places["ws1"].applied.keys() == set(pairs["ws1"])
            assert run.summary.total == 60


class TestPace:
    async def test_12_workspaces_at_once_each_use_their_own_quota(self) -> None:
        async with town(12, limit=10, latency=0.05) as places:
            async with IntercomPool(places.access) as pool:
                summary = await pool.detach_contacts(mixed(places.populate(13)))
            assert summary.settled == 12 * 13
            # Nobody waits for anybody else: what is left of one window, and the next.
            assert summary.elapsed < 20.0
            assert summary.refusals <= 0.01 * summary.requests
            for sim in places.simulators.values():
                assert max(usage.accepted for usage in sim.quota.windows) >= 7

    @pytest.mark.parametrize("form", [dict, mixed])
    async def test_no_more_workspaces_than_asked_for_are_in_work(
        self, form: Callable[[Any], Any]
    ) -> None:
        async with nothing_left_behind(), town(7, latency=0.1) as places:
            sims = places.simulators.values()
            async with IntercomPool(places.access) as pool:
                run = pool.detach_contacts(form(places.populate(8)), at_once=2)
                in_work = [sum(sim.requests.in_flight > 0 for sim in sims) async for _ in run]
                assert run.summary.settled == 56
            assert max(in_work) == 2
            assert applied_once(places)

    @pytest.mark.parametrize("what", ["its token", "its server", "its input"])
    async def test_a_workspace_that_hangs_stalls_no_other(self, what: str) -> None:
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

    async def test_on_a_slow_server_none_fails_and_interactive_calls_find_a_connection(
        self,
    ) -> None:
        async with town(30, latency=3.0) as places:
            async with IntercomPool(places.access, connections=32) as pool:
                run = pool.detach_contacts(mixed(places.populate(20)))
                running = asyncio.ensure_future(run)
                await asyncio.sleep(7.0)
                for n in range(5):
                    async with asyncio.timeout(6.0), pool.client(f"ws{n}") as client:
                        await client.whoami()
                summary = await running
            assert summary.outcomes[Outcome.DETACHED] == summary.total == 600
            seen = sum(sim.requests.total for sim in places.simulators.values())
            assert summary.requests + summary.refusals + 5 == seen

    async def test_leaving_early_closes_the_input_and_leaves_nothing_behind(self) -> None:
        closed: list[bool] = []

        async def endless(places: Town) -> AsyncIterator[Key]:
            try:
                while True:
                    for triple in mixed(places.populate(20)):
                        yield triple
            finally:
                closed.append(True)

        async with nothing_left_behind(), town(3) as places, IntercomPool(places.access) as pool:
            async with pool.detach_contacts(endless(places)) as run:
                async for _ in run:
                    if run.summary.total > 30:
                        break
            assert closed == [True]
            async with pool.client("ws0") as client:
                assert holds_nothing(client)
