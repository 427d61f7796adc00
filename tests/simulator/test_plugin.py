"""The pytest plugin, as a project that depends on the package meets it."""

import asyncio
import os
import pathlib
import subprocess
import sys
import textwrap

import aiohttp
import pytest

from intercom_async import IntercomClient
from intercom_async.simulator import Fault, IntercomSimulator
from tests.simulator.asking import until

PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "intercom_async.simulator.pytest_plugin")


def run(tmp_path: pathlib.Path, source: str, *options: str) -> str:
    """Run a project's tests with these plugins alone, or with all that are installed."""
    (tmp_path / "test_project.py").write_text(textwrap.dedent(source))
    quietly = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *quietly, *options],
        cwd=tmp_path,
        env=os.environ | ({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if options else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_fixture_serves_every_loop_scope_and_tests_without_a_loop(
    tmp_path: pathlib.Path,
) -> None:
    source = """
        import asyncio, pytest
        from intercom_async import IntercomClient

        async def detach(sim):
            (pair,) = sim.workspace.populate(conversations=1)
            async with IntercomClient(sim.token, base_url=sim.url) as client:
                await client.detach_contact(*pair, admin_id=sim.admin_id)
            assert sim.applied[pair] == 1

        class TestScopes:
            pass

        for scope in ("function", "class", "module", "package", "session"):
            for number in (1, 2):
                @pytest.mark.asyncio(loop_scope=scope)
                async def test(self, intercom_simulator):
                    await detach(intercom_simulator)

                setattr(TestScopes, f"test_{scope}_{number}", test)

        @pytest.mark.intercom_simulator(limit=3)
        def test_without_a_loop(intercom_simulator):
            assert intercom_simulator.quota.limit == 3
            asyncio.run(detach(intercom_simulator))
    """
    assert "11 passed" in (told := run(tmp_path, source, *PLUGINS, "--strict-markers")), told


def test_a_project_that_does_not_name_the_plugin_imports_nothing(tmp_path: pathlib.Path) -> None:
    source = """
        import sys

        def test_nothing_is_loaded():
            assert not [name for name in sys.modules if name.startswith("intercom_async")]
    """
    assert "1 passed" in (told := run(tmp_path, source)), told


def test_a_wrong_marker_is_named_in_a_sentence(tmp_path: pathlib.Path) -> None:
    source = """
        import pytest

        @pytest.mark.intercom_simulator(20)
        def test_no_name(intercom_simulator): ...

        @pytest.mark.intercom_simulator(limits=20)
        def test_a_wrong_name(intercom_simulator): ...

        @pytest.mark.intercom_simulator(limit=0)
        def test_a_wrong_value(intercom_simulator): ...
    """
    told = run(tmp_path, source, *PLUGINS)
    assert "takes 1 positional argument" in told
    assert "unexpected keyword argument 'limits'" in told
    assert "has an option that is wrong: limit must be a positive number" in told
    assert "Traceback" not in told


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
