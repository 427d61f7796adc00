"""The pytest plugin, as a project that depends on the package meets it."""

import asyncio
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from intercom_async import IntercomClient
from intercom_async.simulator import Fault, IntercomSimulator
from tests.simulator.asking import until

PROJECT = """
import asyncio, pytest
from intercom_async import IntercomClient

async def detach(sim):
    (pair,) = sim.workspace.populate(conversations=1)
    async with IntercomClient(sim.token, base_url=sim.url) as client:
        await client.detach_contact(*pair, admin_id=sim.admin_id)
    assert sim.applied[pair] == 1

for scope in ("function", "class", "module", "package", "session"):
    @pytest.mark.asyncio(loop_scope=scope)
    @pytest.mark.parametrize("time", (1, 2))
    async def on_a_loop(intercom_simulator, time):
        await detach(intercom_simulator)

    globals()[f"test_{scope}"] = on_a_loop

@pytest.mark.intercom_simulator(limit=3)
def test_without_a_loop(intercom_simulator):
    assert intercom_simulator.quota.limit == 3
    asyncio.run(detach(intercom_simulator))

@pytest.mark.intercom_simulator(20)
def test_no_name(intercom_simulator): ...

@pytest.mark.intercom_simulator(limits=20)
def test_a_wrong_name(intercom_simulator): ...

@pytest.mark.intercom_simulator(limit=0)
def test_a_wrong_value(intercom_simulator): ...
"""


def test_the_fixture_serves_every_loop_scope_and_tests_without_one_and_names_a_wrong_marker(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_project.py").write_text(PROJECT, encoding="utf-8")
    plugins = "-p pytest_asyncio.plugin -p intercom_async.simulator.pytest_plugin"
    options = (
        "--strict-markers -q -p no:cacheprovider -o asyncio_default_fixture_loop_scope=function"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *plugins.split(), *options.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    for said in (
        "11 passed, 3 errors",
        "takes 1 positional argument",
        "unexpected keyword argument 'limits'",
        "has an option that is wrong: limit must be a positive number",
    ):
        assert said in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_no_project_loads_the_plugin_unless_it_names_it() -> None:
    plugins = importlib.metadata.entry_points(group="pytest11")
    assert plugins
    assert not [one for one in plugins if one.value.startswith("intercom_async")]


async def test_from_another_loop_it_releases_and_closes(
    intercom_simulator: IntercomSimulator,
) -> None:
    sim = intercom_simulator
    (pair,) = sim.workspace.populate(conversations=1)
    sim.faults.add(Fault.HANG)
    async with IntercomClient(sim.token, base_url=sim.url) as client:
        detaching = asyncio.create_task(client.detach_contact(*pair, admin_id=sim.admin_id))
        await until(lambda: sim.faults.struck[Fault.HANG] == 1)
        sim.release()
        await detaching
    await sim.aclose()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(sim.url)
