"""Every code block and every command of the README, executed."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import main as benchmark
from intercom_async.cli import main
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from intercom_async.transport import wire
from tests.cli.conftest import serving
from tests.support.driven_loop import DrivenEventLoop

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]

PORT = 8000


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[IntercomSimulator]:
    """Serve in the place of Intercom's hosts, with the ids that the README names."""
    with serving() as running:
        workspace = running.workspace
        for conversation_id, contact_id in (("1295", "5ba682d2"), ("1296", "5ba682d3")):
            contacts = [workspace.add_contact(contact_id=contact_id), workspace.add_contact()]
            workspace.add_conversation(contacts, conversation_id=conversation_id)
        for region in wire.REGIONS:
            monkeypatch.setitem(wire.REGIONS, region, running.url)
        monkeypatch.setenv(TOKEN_VARIABLE, running.token)
        yield running


@pytest.mark.parametrize("code", [code for code in PYTHON if "def test_" not in code])
def test_a_python_block_runs_as_it_stands(code: str, simulator: IntercomSimulator) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_first_block_prints_who_is_left(
    simulator: IntercomSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(PYTHON[0], "README.md", "exec"), {"__name__": "readme"})
    assert "id=" in capsys.readouterr().out
    assert not simulator.workspace.attached("1295", "5ba682d2")


@pytest.mark.parametrize("code", [code for code in PYTHON if "def test_" in code])
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_a_block_with_a_test_passes(code: str, mode: str, tmp_path: Path) -> None:
    if mode == "strict":
        code = "import pytest\npytestmark = pytest.mark.asyncio\n" + code
    (tmp_path / "test_block.py").write_text(code, encoding="utf-8")
    options = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "-o", f"asyncio_mode={mode}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in ended.stdout, ended.stdout


class TestCommands:
    """Each command line has its test here; an unknown one fails the last test."""

    def test_the_test_command_is_what_continuous_integration_runs(self) -> None:
        assert "grep -m1 'bin/pytest' README.md" in (ROOT / ".ci" / "run").read_text(
            encoding="utf-8"
        )
        assert sum("bin/pytest" in line for line in README.splitlines()) == 1

    def test_the_demo_ends_well(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with asyncio.Runner(loop_factory=DrivenEventLoop) as runner:
            monkeypatch.setattr(asyncio, "run", runner.run)
            assert self._run(monkeypatch, "intercom-async demo") == 0
        assert "results agree" in capsys.readouterr().out

    def test_simulate_whoami_and_detach_play_together(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        simulate, export, whoami, detach = COMMANDS[2:6]
        # A free port and no waiting; everything else is as printed.
        line = simulate.replace(f"--port {PORT}", "--port 0") + " --limit 100000 --latency 0"
        monkeypatch.setenv(*export.removeprefix("export ").split("="))
        with subprocess.Popen(
            [sys.executable, "-m", "intercom_async.cli", *shlex.split(line)[1:]],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process:
            assert process.stdout is not None
            served = re.search(r"http://[\d.:]+", process.stdout.readline())
            assert served is not None
            url = f"http://127.0.0.1:{PORT}"
            assert self._run(monkeypatch, whoami.replace(url, served.group())) == 0
            assert self._run(monkeypatch, detach.replace(url, served.group())) == 0
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        assert process.returncode == 0
        assert "1,000 detached" in capsys.readouterr().err

    def test_the_benchmarks_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        # The shortest of them; all of them take minutes.
        assert COMMANDS[-1].endswith("-m benchmarks")
        assert benchmark(["import", "--rounds", "2"]) == 0
        printed = capsys.readouterr().out
        assert "import intercom_async" in printed
        assert "of 1 bounds hold" in printed

    def test_no_command_is_untested(self) -> None:
        programs = [shlex.split(line)[0:2] for line in COMMANDS]
        assert programs == [
            ["python3", "-m"],  # the demo
            ["python3", "-m"],  # the tests
            ["intercom-async", "simulate"],
            ["export", f"{TOKEN_VARIABLE}=token"],
            ["intercom-async", "whoami"],
            ["intercom-async", "detach"],
            ["python3", "-m"],  # the benchmarks
        ]
        assert COMMANDS[0].endswith("intercom-async demo")
        assert COMMANDS[1].endswith("bin/pytest -q -n auto")

    @staticmethod
    def _run(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        return caught.value.code
