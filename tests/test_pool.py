"""Many workspaces in one process: clients that come and go, budgets apart, runs merged."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from intercom_async import (
    AuthenticationError,
    ClientStateError,
    Detach,
    IntercomClient,
    IntercomPool,
    InvalidArgumentError,
    Outcome,
    RateLimitPolicy,
    WorkspaceAccess,
    WorkspaceAccessError,
)
from intercom_async.pool import ClientOptions
from intercom_async.simulator import Fault
from tests.support.leftovers import nothing_left_behind
from tests.support.town import Town, mixed, town

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


class TestClients:
    async def test_a_client_is_opened_once_and_lent_to_all(self) -> None:
        async with nothing_left_behind(), town(2) as places:
            async with IntercomPool(places.access) as pool:

                async def ask(workspace: str) -> None:
                    async with pool.client(workspace) as client:
                        assert (await client.whoami()).id == places[workspace].admin_id

                await asyncio.gather(*(ask(f"ws{n % 2}") for n in range(10)))
            assert sorted(places.lookups) == ["ws0", "ws1"]
            assert "closed" in repr(pool)

    async def test_every_option_of_a_client_but_a_workspaces_own_is_a_pools(self) -> None:
        own = {"token", "region", "base_url", "admin_id", "session"}
        of_a_client = set(inspect.signature(IntercomClient).parameters)
        assert of_a_client - own == set(ClientOptions.__annotations__)

    async def test_a_mapping_or_a_plain_function_is_a_directory_too(self) -> None:
        async with town(1) as places:
            access = await places.access("ws0")

            def of(_: str) -> WorkspaceAccess:
                return access

            directories: list[Any] = [{"acme": access}, of]
            for directory in directories:
                async with IntercomPool(directory) as pool, pool.client("acme") as client:
                    assert (await client.whoami()).id == places["ws0"].admin_id

    async def test_a_workspace_nobody_knows_is_an_error_of_its_own(self) -> None:
        async with IntercomPool({"acme": "token"}) as pool:
            with pytest.raises(WorkspaceAccessError, match="'elsewhere'") as caught:
                async with pool.client("elsewhere"):
                    pass
            assert caught.value.workspace == "elsewhere"
            assert isinstance(caught.value.__cause__, KeyError)

    async def test_a_lookup_that_is_cancelled_or_fails_is_made_again(self) -> None:
        async with town(1) as places:
            answers: list[Any] = [asyncio.sleep(100.0), ValueError("down")]

            async def flaky(workspace: str) -> WorkspaceAccess:
                if answers:
                    answer = answers.pop(0)
                    if isinstance(answer, Exception):
                        raise answer
                    await answer
                return await places.access(workspace)

            async with IntercomPool(flaky) as pool:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1.0), pool.client("ws0"):
                        pass
                with pytest.raises(WorkspaceAccessError):
                    async with pool.client("ws0"):
                        pass
                async with pool.client("ws0") as client:
                    await client.whoami()

    async def test_closing_ends_calls_under_way_and_refuses_later_ones(self) -> None:
        async with nothing_left_behind(), town(1) as places:
            pool = IntercomPool(places.access)
            places["ws0"].faults.add(Fault.HANG, probability=1.0)

            async def ask() -> None:
                async with pool.client("ws0") as client:
                    await client.whoami()

            asked = [asyncio.create_task(ask()) for _ in range(3)]
            await asyncio.sleep(0.5)
            await pool.aclose()
            await pool.aclose()
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(error) for error in found} == {ClientStateError}
            with pytest.raises(ClientStateError, match="pool is closed"):
                async with pool.client("ws0"):
                    pass
            places["ws0"].release()

    async def test_a_session_of_the_application_is_used_and_stays_open(self) -> None:
        async with nothing_left_behind(), town(1) as places, aiohttp.ClientSession() as session:
            async with (
                IntercomPool(places.access, session=session) as pool,
                pool.client("ws0") as client,
            ):
                await client.whoami()
            assert not session.closed

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("directory", 3),
            ("connections", True),
            ("timeout", -1),
            ("version", "latest"),
            ("rate_limit", RateLimitPolicy(key="one for all")),
        ],
    )
    async def test_construction_refuses_bad_values_by_name(self, name: str, value: object) -> None:
        arguments: dict[str, Any] = {"directory": {"acme": "token"}, name: value}
        with pytest.raises(InvalidArgumentError) as caught:
            IntercomPool(**arguments)
        assert caught.value.name == name


class TestRuns:
    @pytest.mark.parametrize("form", ["mapping", "mixed", "async"])
    async def test_every_pair_of_every_workspace_is_detached_once(self, form: str) -> None:
        async with nothing_left_behind(), town(5, latency=0.02) as places:
            pairs = places.populate(40)

            async def later() -> AsyncIterator[tuple[str, Detach]]:
                for workspace, conversation_id, contact_id in mixed(pairs):
                    yield workspace, Detach(conversation_id, contact_id)

            forms: dict[str, Any] = {
                "mapping": pairs,
                "mixed": mixed(pairs),
                "async": later(),
            }
            seen: list[tuple[str, Detach]] = []
            async with (
                IntercomPool(places.access) as pool,
                pool.detach_contacts(forms[form]) as run,
            ):
                async for found in run:
                    assert found.result.outcome is Outcome.DETACHED
                    seen.append((found.workspace, found.result.detach))
                summary = run.summary
            expected = {(key, Detach(*pair)) for key, own in pairs.items() for pair in own}
            assert len(seen) == len(expected)
            assert set(seen) == expected
            assert summary.total == summary.settled == summary.requests == len(expected)
            assert {key: own.total for key, own in summary.workspaces.items()} == dict.fromkeys(
                pairs, 40
            )
            for sim in places.simulators.values():
                assert set(sim.applied.values()) == {1}

    async def test_12_workspaces_at_once_each_use_their_own_quota(self) -> None:
        async with town(12, limit=10, latency=0.05) as places:
            pairs = places.populate(13)
            async with IntercomPool(places.access) as pool:
                summary = await pool.detach_contacts(mixed(pairs))
            assert summary.settled == 12 * 13
            # Nobody waits for anybody else: what is left of one window, and the next.
            assert summary.elapsed < 20.0
            assert summary.refusals <= 0.01 * summary.requests
            for sim in places.simulators.values():
                assert max(usage.accepted for usage in sim.quota.windows) >= 7

    @pytest.mark.parametrize("sorted_", [False, True])
    async def test_a_workspace_without_access_stops_alone(self, sorted_: bool) -> None:
        async with nothing_left_behind(), town(3) as places:
            pairs = places.populate(10)
            places["ws1"].token = "another"
            places.simulators["ws1"].faults.add(Fault.UNAUTHORIZED)
            unknown = {"nobody": pairs["ws0"]}
            everything = pairs | unknown
            async with IntercomPool(places.access) as pool:
                summary = await pool.detach_contacts(everything if sorted_ else mixed(everything))
            assert summary.total == 40
            assert summary.settled == 20
            assert type(summary.stopped["ws1"]) is AuthenticationError
            assert type(summary.stopped["nobody"]) is WorkspaceAccessError
            assert summary.workspaces["nobody"].outcomes[Outcome.NOT_ATTEMPTED] == 10
            assert places.lookups.count("ws1") == 2  # the token might have been rotated
            assert "4 workspaces" in str(summary)

    async def test_leaving_early_leaves_nothing_behind(self) -> None:
        closed: list[bool] = []

        async def endless(places: Town) -> AsyncIterator[tuple[str, str, str]]:
            try:
                while True:
                    for triple in mixed(places.populate(20)):
                        yield triple
            finally:
                closed.append(True)

        async with nothing_left_behind(), town(3) as places:
            async with IntercomPool(places.access) as pool:
                async with pool.detach_contacts(endless(places)) as run:
                    async for _ in run:
                        if run.summary.total > 30:
                            break
                assert closed == [True]
                async with pool.client("ws0") as client:
                    status = client.rate_limit
                    assert status is not None
                    assert status.in_flight == status.waiting_bulk == 0
            gc.collect()

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("pairs", {"pairs": "text"}),
            ("at_once", {"pairs": [], "at_once": 0}),
        ],
    )
    async def test_wrong_arguments_are_refused(self, name: str, arguments: dict[str, Any]) -> None:
        async with IntercomPool({}) as pool:
            with pytest.raises(InvalidArgumentError) as caught:
                await pool.detach_contacts(**arguments)
            assert caught.value.name == name
