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
from collections.abc import Generator, Iterator
from pathlib import Path
from unittest import mock

import pytest

import intercom_async
from benchmarks.__main__ import main as benchmark
from intercom_async.cli import main
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from intercom_async.transport import wire
from tests.cli.conftest import serving
from tests.support.driven_loop import DrivenEventLoop
from tests.support.postgres_server import PostgresServer
from tests.support.readme import BLOCKS, COMMANDS, README, block_with, run_block

ROOT = Path(__file__).parent.parent
URL = "http://127.0.0.1:8000"
OURS = r"^https://(raw.githubusercontent|github).com/intercom-async/intercom_async/(blob/)?main/"
ELSEWHERE = "python3 -m venv"
"""How the commands begin that have tests of their own: they install, and take minutes."""


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[IntercomSimulator]:
    """Serve in the place of Intercom's hosts, with the ids that the README names."""
    with serving() as running:
        workspace = running.workspace
        workspace.add_admin(admin_id="5017691")
        one, two, three, stays = (
            workspace.add_contact(contact_id=contact_id)
            for contact_id in ("5ba682d2", "5ba682d3", "5ba682d4", "5ba682d5")
        )
        workspace.add_conversation([one, stays], conversation_id="1295")
        workspace.add_conversation([two, stays], conversation_id="1296")
        workspace.add_conversation([one, three, stays], conversation_id="1297")
        for region in wire.REGIONS:
            monkeypatch.setitem(wire.REGIONS, region, running.url)
        monkeypatch.setenv(TOKEN_VARIABLE, running.token)
        yield running


def test_all_blocks_run_in_the_order_of_the_page_in_one_folder(
    simulator: IntercomSimulator,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", postgres.create("readme"))
    printed: list[str] = []
    with contextlib.ExitStack() as started:
        shell = _Shell(capsys, started)
        for language, text in BLOCKS:
            if language == "sh":
                for command in text.splitlines():
                    shell.run(command)
            elif "def test_" not in text:
                run_block(text)
                printed.append(capsys.readouterr().out)
    first, call, batch, _backend, pool, machines = printed
    detach, said = "intercom-async detach", shell.said
    for shown, words in (
        (first, ["id=", "2 detached"]),
        (call, ["was gone already\n{"]),
        (batch, ["2 pairs", "1 already_absent", "1 detached"]),
        (pool, ["2 pairs"]),
        (machines, ["already_absent"]),
        (said["intercom-async whoami"], ["5017690"]),
        (said[f"{detach} pairs.csv --dry-run"], ["nothing was changed", "500 would be detached"]),
        (said[f"{detach} pairs.csv --journal run.db --output results.jsonl"], ["500 detached"]),
        (said[f"{detach} run.db"], ["there was nothing to do\n"]),
        (said["intercom-async attach --undo run.db"], ["500 attached"]),
        (said["intercom-async find --email joe@customer.example"], ["3 conversations"]),
        (
            said[f"{detach} --people people.csv --journal people.db"],
            ["500 detached", "500 people: 500 done; 500 contacts"],
        ),
        (said["intercom-async report run.db --html run.html"], ["Every pair is settled"]),
    ):
        assert [word for word in words if word not in shown] == []
    for file, lines in (("results.jsonl", 500), ("rows.csv", 501), ("found.csv", 501)):
        assert len((tmp_path / file).read_bytes().splitlines()) == lines
    assert (tmp_path / "run.html").is_file()
    queries = re.findall(r'`sqlite3 (\S+) "([^"]+)"`', README)
    assert queries
    for database, query in queries:
        with contextlib.closing(sqlite3.connect(database)) as journal:
            assert journal.execute(query).fetchall() == [("detached", 500)]


class _Shell:
    """The terminals of a reader: commands run in one folder; `export` counts for later ones.

    What needs no shell runs in this process, which has imported everything.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str], started: contextlib.ExitStack) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._capsys = capsys
        self._environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
        self._url = ""
        self._started = started
        self.said: dict[str, str] = {}
        """What each command printed."""

    def run(self, command: str) -> None:
        """Run a line as it is printed; the simulator goes on beside the others."""
        if command.startswith((ELSEWHERE, ". ")):
            return
        if command.startswith("intercom-async simulate"):
            self._url = self._started.enter_context(self._simulating(command))
        elif command.startswith("export "):
            exported = shlex.split(command.replace(URL, self._url))[1:]
            self._environment |= dict(variable.split("=", 1) for variable in exported)
        elif command.startswith("intercom-async") and not set(command) & set("|<>"):
            with mock.patch.dict(os.environ, self._environment):
                self.said[command] = _call(command, self._capsys)
        else:
            bash = ["bash", "-o", "pipefail", "-c", command]
            subprocess.run(bash, env=self._environment, check=True)

    @contextlib.contextmanager
    def _simulating(self, command: str) -> Generator[str]:
        # A free port and no waiting; everything else is as printed.
        assert "--port 8000" in command
        line = command.replace("--port 8000", "--port 0") + " --limit 100000 --latency 0"
        with subprocess.Popen(
            shlex.split(line), env=self._environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                served = re.search(r"http://[\d.:]+", process.stdout.readline())
                assert served is not None
                yield served.group()
            finally:
                process.send_signal(signal.SIGINT)
                process.stdout.read()
        assert process.returncode == 0


def _call(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Call the command line, which must end well; return what it printed."""
    with (
        mock.patch.object(sys, "argv", shlex.split(command)),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    printed = "".join(capsys.readouterr())
    assert ended.value.code == 0, (command, printed)
    return printed


def test_the_block_with_a_test_passes(tmp_path: Path) -> None:
    (tmp_path / "test_block.py").write_text(block_with("def test_"), encoding="utf-8")
    (line,) = re.findall(r"`(pytest_plugins = [^`]*)`", README)
    (tmp_path / "conftest.py").write_text(f"{line}\n", encoding="utf-8")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin"),
            *("-p", "no:cacheprovider", "-o", "asyncio_mode=auto"),
            *("-o", "asyncio_default_fixture_loop_scope=function"),
        ],
        cwd=tmp_path,
        # What else is installed here is loaded by no other project's tests.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in ended.stdout, ended.stdout


def test_the_commands_that_install_have_tests_of_their_own_here_and_in_continuous_integration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo, tests, benchmarks = (line for line in COMMANDS if line.startswith(ELSEWHERE))
    assert demo.endswith(".venv/bin/intercom-async demo")
    with asyncio.Runner(loop_factory=DrivenEventLoop) as runner:
        monkeypatch.setattr(asyncio, "run", runner.run)
        assert "results agree" in _call("intercom-async demo --pairs 300", capsys)
    assert ".venv/bin/pytest" in tests
    assert "grep -m1 'bin/pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    # The shortest of them; all of them take minutes.
    assert benchmarks.endswith("-m benchmarks")
    assert benchmark(["start", "--rounds", "1"]) == 0
    assert "of 2 bounds hold" in capsys.readouterr().out


def test_the_tables_name_every_outcome_of_a_detach_and_everything_public() -> None:
    outcomes = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert {*intercom_async.Outcome} - {"attached"} <= outcomes
    reference = README.split("## Reference\n")[1].split("\n## ")[0]
    missing = [name for name in intercom_async.__all__ if f"`{name}`" not in reference]
    assert missing == ["__version__"]


def test_the_page_is_short_and_its_links_work_wherever_it_is_shown() -> None:
    assert len(README.splitlines()) <= 400
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert all(link.startswith("https://") for link in links)
    for link in links:
        ours = re.sub(OURS, "", link)
        assert ours == link or (ROOT / ours).is_file(), link
