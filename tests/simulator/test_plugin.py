"""The pytest plugin, as a project that depends on the package meets it."""

import importlib.util
import pathlib
import subprocess
import sys
import textwrap

import pytest

from intercom_async import simulator
from intercom_async.simulator import IntercomSimulator

OPTIONS = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")

PROJECT_TEST = """
    import aiohttp
    {marker}
    async def test_the_fixture_answers(intercom_simulator):
        sim = intercom_simulator
        assert sim.quota.limit == 3
        async with aiohttp.ClientSession() as session:
            headers = {{"Authorization": f"Bearer {{sim.token}}"}}
            async with session.get(f"{{sim.url}}/me", headers=headers) as response:
                assert response.status == 200
"""


def run(tmp_path: pathlib.Path, source: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "test_project.py").write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", *OPTIONS, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("mode", "marker"), [("auto", ""), ("strict", "@pytest.mark.asyncio\n")])
def test_the_fixture_runs_in_both_modes_of_pytest_asyncio(
    mode: str, marker: str, tmp_path: pathlib.Path
) -> None:
    options = "import pytest\n    @pytest.mark.intercom_simulator(limit=3)\n    "
    source = PROJECT_TEST.format(marker=options + marker)
    done = run(tmp_path, source, "--strict-markers", "-o", f"asyncio_mode={mode}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_without_the_fixture_no_server_is_imported(tmp_path: pathlib.Path) -> None:
    source = """
        import sys

        def test_nothing_heavy_is_loaded():
            assert "intercom_async.simulator.pytest_plugin" in sys.modules
            assert "intercom_async.simulator.server" not in sys.modules
    """
    done = run(tmp_path, source)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_pytest_asyncio_the_fixture_is_a_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pytest_asyncio", None)
    found = importlib.util.find_spec("intercom_async.simulator.pytest_plugin")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    assert type(module.intercom_simulator) is type(pytest.fixture(lambda: None))


@pytest.mark.intercom_simulator(limit=5, token="other")
async def test_the_marker_configures_the_simulator(intercom_simulator: IntercomSimulator) -> None:
    assert intercom_simulator.quota.limit == 5
    assert intercom_simulator.token == "other"


def test_every_public_name_exists_and_no_other() -> None:
    for name in simulator.__all__:
        assert getattr(simulator, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = simulator.Nothing
