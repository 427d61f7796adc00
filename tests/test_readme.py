"""Every code block and every command of the README, executed."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import main as benchmark
from intercom_async import IntercomClient
from intercom_async.cli import main
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from intercom_async.transport import wire
from tests.cli.conftest import serving
from tests.support.driven_loop import DrivenEventLoop
from tests.support.postgres_server import PostgresServer
from tests.support.readme import COMMANDS, PYTHON, README, block_with, run_block

ROOT = Path(__file__).parent.parent
PORT = 8000
URL = f"http://127.0.0.1:{PORT}"


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
def test_a_python_block_runs_as_it_stands(
    code: str,
    simulator: IntercomSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "DATABASE_URL" in code:
        monkeypatch.setenv(
            "DATABASE_URL", request.getfixturevalue("postgres").create(tmp_path.name)
        )
    run_block(code)


def test_the_block_for_many_machines_leaves_nothing_attached(
    simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.create("machines"))
    run_block(block_with("jobs.submit"))
    assert not simulator.workspace.attached("1295", "5ba682d2")


def test_the_first_block_prints_who_is_left(
    simulator: IntercomSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    run_block(PYTHON[0])
    assert "id=" in capsys.readouterr().out
    assert not simulator.workspace.attached("1295", "5ba682d2")


async def test_a_journal_answers_every_query(simulator: IntercomSimulator, tmp_path: Path) -> None:
    pairs = simulator.workspace.populate(conversations=3)
    path = tmp_path / "run.db"
    async with IntercomClient(simulator.token, base_url=simulator.url) as client:
        await client.detach_contacts([*pairs, ("1", "nobody")], journal=path)
    queries = re.findall(r"SELECT [^\"']+", README)
    with contextlib.closing(sqlite3.connect(path)) as journal:
        told = {query: journal.execute(query).fetchall() for query in queries}
    assert told["SELECT state, pairs FROM outcomes"] == [
        ("conversation_missing", 1),
        ("detached", 3),
    ]
    assert told["SELECT * FROM failures"] == []


async def test_a_job_that_is_started_again_sends_nothing_that_is_settled(
    simulator: IntercomSimulator, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.create("jobs"))
    monkeypatch.setitem(wire.REGIONS, "us", simulator.url)
    job = run_block(block_with("async def job("))["job"]
    pairs = simulator.workspace.populate(conversations=5)
    first = await job("acme", simulator.token, pairs[:3])
    second = await job("acme", simulator.token, pairs)
    assert (first.total, second.total, second.settled_before) == (3, 2, 3)
    assert all(simulator.applied[pair] == 1 for pair in pairs)


@pytest.mark.parametrize("code", [code for code in PYTHON if "def test_" in code])
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_a_block_with_a_test_passes(code: str, mode: str, tmp_path: Path) -> None:
    if mode == "strict":
        code = "import pytest\npytestmark = pytest.mark.asyncio\n" + code
    (tmp_path / "test_block.py").write_text(code, encoding="utf-8")
    (line,) = re.findall(r"`(pytest_plugins = [^`]*)`", README)
    (tmp_path / "conftest.py").write_text(f"{line}\n", encoding="utf-8")
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

    def test_the_commands_play_together(self, tmp_path: Path) -> None:
        simulate, export, *lines = COMMANDS[2:-1]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
        # A free port and no waiting; everything else is as printed.
        line = simulate.replace(f"--port {PORT}", "--port 0") + " --limit 100000 --latency 0"
        with subprocess.Popen(
            shlex.split(line), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                served = re.search(r"http://[\d.:]+", process.stdout.readline())
                assert served is not None
                exported = shlex.split(export.replace(URL, served.group()))[1:]
                environment |= dict(variable.split("=", 1) for variable in exported)
                told: dict[str, str] = {}
                for command in lines:
                    ended = subprocess.run(
                        ["bash", "-o", "pipefail", "-c", command],
                        cwd=tmp_path,
                        env=environment,
                        capture_output=True,
                        text=True,
                        check=False,
                    )
                    told[command] = ended.stdout + ended.stderr
                    assert ended.returncode == 0, (command, told[command])
            finally:
                process.send_signal(signal.SIGINT)
            process.stdout.read()
        assert process.returncode == 0
        identity, dry_run, detached, resumed, report, saved, undone, found, *people = told.values()
        assert "5017690" in identity
        assert "nothing was changed" in dry_run
        assert "1,000 would be detached" in dry_run
        assert "1,000 detached" in detached
        assert len((tmp_path / "results.jsonl").read_bytes().splitlines()) == 1000
        assert resumed == "there was nothing to do\n"
        assert "Every pair is settled" in report
        assert (tmp_path / "run.html").is_file()
        assert saved == ""
        assert len((tmp_path / "rows.csv").read_bytes().splitlines()) == 1001
        assert "1,000 attached" in undone
        assert "1 detached" in found
        assert "3 conversations" in people[1]
        assert "3 detached" in people[2]
        assert "1 person: 1 done; 1 contact" in people[2]

    def test_the_benchmarks_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        # The shortest of them; all of them take minutes.
        assert COMMANDS[-1].endswith("-m benchmarks")
        assert benchmark(["start", "--rounds", "2"]) == 0
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
            ["intercom-async", "detach"],  # a dry run
            ["intercom-async", "detach"],
            ["intercom-async", "detach"],  # of the journal
            ["intercom-async", "report"],
            ["intercom-async", "export"],
            ["intercom-async", "attach"],
            ["intercom-async", "find"],
            ["printf", r"email\njoe@customer.example\n"],
            ["intercom-async", "find"],  # of people
            ["intercom-async", "detach"],  # of people
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
