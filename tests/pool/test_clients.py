"""The clients of many workspaces: opened on demand, one session for all."""

import asyncio
import inspect
from typing import Any

import aiohttp
import pytest

from intercom_async import (
    ClientStateError,
    IntercomClient,
    IntercomPool,
    InvalidArgumentError,
    RateLimitPolicy,
    WorkspaceAccess,
    WorkspaceAccessError,
)
from intercom_async.pool import ClientOptions, Directory
from intercom_async.simulator import Fault
from tests.support.leftovers import nothing_left_behind
from tests.support.town import town

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


async def asked(pool: IntercomPool, workspace: str) -> str:
    """The id of the admin of a workspace's token."""
    async with pool.client(workspace) as client:
        return str((await client.whoami()).id)


async def test_a_client_is_opened_once_and_lent_to_all_until_it_is_forgotten() -> None:
    async with nothing_left_behind(), town(2) as places:
        async with IntercomPool(places.access) as pool:
            admins = await asyncio.gather(*(asked(pool, f"ws{n % 2}") for n in range(10)))
            assert admins == [places[f"ws{n % 2}"].admin_id for n in range(10)]
            assert sorted(places.lookups) == ["ws0", "ws1"]
            places["ws0"].token = "marked-token-new"
            pool.forget("ws0")
            pool.forget("nobody")
            await asked(pool, "ws0")
            assert sorted(places.lookups) == ["ws0", "ws0", "ws1"]
        assert "closed" in repr(pool)


async def test_every_option_of_a_client_but_a_workspaces_own_is_a_pools() -> None:
    own = {"token", "region", "base_url", "admin_id", "session"}
    of_a_client = set(inspect.signature(IntercomClient).parameters)
    assert of_a_client - own == set(ClientOptions.__annotations__)


async def test_a_mapping_or_a_plain_function_is_a_directory_too() -> None:
    async with town(1) as places:
        access = await places.access("ws0")

        def of(_: str) -> WorkspaceAccess:
            return access

        directories: list[Directory] = [{"acme": access}, of]
        for directory in directories:
            async with IntercomPool(directory) as pool:
                assert await asked(pool, "acme") == places["ws0"].admin_id
    async with IntercomPool({"acme": "token"}) as pool:
        with pytest.raises(WorkspaceAccessError, match="'elsewhere'") as caught:
            await asked(pool, "elsewhere")
        assert caught.value.workspace == "elsewhere"
        assert isinstance(caught.value.__cause__, KeyError)


async def test_a_lookup_that_is_cancelled_or_fails_is_made_again() -> None:
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
                await asyncio.wait_for(asked(pool, "ws0"), 1.0)
            with pytest.raises(WorkspaceAccessError):
                await asked(pool, "ws0")
            await asked(pool, "ws0")


async def test_closing_ends_calls_look_ups_and_runs_under_way_and_refuses_later_ones() -> None:
    async with nothing_left_behind(), town(1) as places:

        async def access(workspace: str) -> WorkspaceAccess:
            if workspace == "never":
                await asyncio.Event().wait()
            return await places.access(workspace)

        async def run() -> Any:
            return await pool.detach_contacts([("never", "1", "2")])

        pool = IntercomPool(access)
        places["ws0"].faults.add(Fault.HANG, probability=1.0)
        calls: list[Any] = [asked(pool, "ws0"), asked(pool, "never"), run()]
        waiting = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.5)
        await pool.aclose()
        await pool.aclose()
        assert [type(error) for error in await waiting] == [ClientStateError] * 3
        with pytest.raises(ClientStateError, match="pool is closed"):
            await asked(pool, "ws0")
        places["ws0"].release()


async def test_a_session_of_the_application_is_used_and_stays_open() -> None:
    async with nothing_left_behind(), town(1) as places, aiohttp.ClientSession() as session:
        async with IntercomPool(places.access, session=session) as pool:
            await asked(pool, "ws0")
        assert not session.closed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("directory", 3),
        ("connections", True),
        ("timeout", -1),
        ("version", "latest"),
        ("rate_limit", RateLimitPolicy(key="one for all")),
        ("pairs", "text"),
        ("at_once", 0),
        ("journal", 3),
    ],
)
async def test_an_argument_that_cannot_be_used_is_refused_by_name(name: str, value: Any) -> None:
    of_the_pool: dict[str, Any] = {"directory": {"acme": "token"}}
    of_the_run: dict[str, Any] = {"pairs": []}
    (of_the_run if name in {"pairs", "at_once", "journal"} else of_the_pool)[name] = value
    with pytest.raises(InvalidArgumentError) as caught:
        await IntercomPool(**of_the_pool).detach_contacts(**of_the_run)
    assert caught.value.name == name
