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
from typing import Self
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
from tests.support.readme import BLOCKS, COMMANDS, PYTHON, README, run_block

ROOT = Path(__file__).parent.parent
URL = "http://127.0.0.1:8000"
RAW = "https://raw.githubusercontent.com/intercom-async/intercom_async/main/"
BLOB = "https://github.com/intercom-async/intercom_async/blob/main/"
ELSEWHERE = "python3 -m venv"
"""How the commands begin that have tests of their own: they install, and take minutes."""


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[IntercomSimulator]:
    """Serve in the place of Intercom's hosts, with the ids that the README names."""
    with serving() as running:
        workspace = running.workspace
        workspace.add_admin(admin_id="5017691")
        for conversation_id, contact_id in (("1295", "5ba682d2"), ("1296", "5ba682d3")):
            contacts = [workspace.add_contact(contact_id=contact_id), workspace.add_contact()]
            workspace.add_conversation(contacts, conversation_id=conversation_id)
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
    with _Shell(tmp_path, capsys) as shell:
        for language, text in BLOCKS:
            if language == "sh":
                for command in text.splitlines():
                    shell.run(command)
            elif "def test_" not in text:
                run_block(text)
                printed.append(capsys.readouterr().out)
    first, call, batch, _backend, pool, machines = printed
    assert "id=" in first
    assert call.startswith("was gone already\n{")
    assert "2 pairs" in batch
    assert "1 already_absent" in batch
    assert "1 detached" in batch
    assert "2 pairs" in pool
    assert "already_absent" in machines
    said = shell.said
    assert "5017690" in said["intercom-async whoami"]
    dry_run = said["intercom-async detach pairs.csv --dry-run"]
    assert "nothing was changed" in dry_run
    assert "500 would be detached" in dry_run
    results = "intercom-async detach pairs.csv --journal run.db --output results.jsonl"
    assert "500 detached" in said[results]
    assert len((tmp_path / "results.jsonl").read_bytes().splitlines()) == 500
    assert said["intercom-async detach run.db"] == "there was nothing to do\n"
    assert len((tmp_path / "rows.csv").read_bytes().splitlines()) == 501
    assert "500 attached" in said["intercom-async attach --undo run.db"]
    assert "3 conversations" in said["intercom-async find --email joe@customer.example"]
    assert len((tmp_path / "found.csv").read_bytes().splitlines()) == 501
    people = said["intercom-async detach --people people.csv --journal people.db"]
    assert "500 detached" in people
    assert "500 people: 500 done; 500 contacts" in people
    assert "Every pair is settled" in said["intercom-async report run.db --html run.html"]
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

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._folder = folder
        self._capsys = capsys
        self._environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
        self._url = ""
        self._open = contextlib.ExitStack()
        self.said: dict[str, str] = {}
        """What each command printed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, command: str) -> None:
        """Run a line as it is printed; the simulator goes on beside the others."""
        if command.startswith(ELSEWHERE) or command == ". .venv/bin/activate":
            return
        if command.startswith("intercom-async simulate"):
            self._url = self._open.enter_context(self._simulating(command))
        elif command.startswith("export "):
            exported = shlex.split(command.replace(URL, self._url))[1:]
            self._environment |= dict(variable.split("=", 1) for variable in exported)
        elif command.startswith("intercom-async") and not set(command) & set("|<>"):
            with (
                mock.patch.dict(os.environ, self._environment),
                mock.patch.object(sys, "argv", shlex.split(command)),
                pytest.raises(SystemExit) as ended,
            ):
                main()
            self.said[command] = "".join(self._capsys.readouterr())
            assert ended.value.code == 0, (command, self.said[command])
        else:
            subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=self._folder,
                env=self._environment,
                check=True,
            )

    @contextlib.contextmanager
    def _simulating(self, command: str) -> Generator[str]:
        # A free port and no waiting; everything else is as printed.
        assert "--port 8000" in command
        line = command.replace("--port 8000", "--port 0") + " --limit 100000 --latency 0"
        with subprocess.Popen(
            shlex.split(line),
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
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


@pytest.mark.parametrize("code", [code for code in PYTHON if "def test_" in code])
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_a_block_with_a_test_passes(code: str, mode: str, tmp_path: Path) -> None:
    if mode == "strict":
        code = "import pytest\npytestmark = pytest.mark.asyncio\n" + code
    (tmp_path / "test_block.py").write_text(code, encoding="utf-8")
    (line,) = re.findall(r"`(pytest_plugins = [^`]*)`", README)
    (tmp_path / "conftest.py").write_text(f"{line}\n", encoding="utf-8")
    options = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    # What else is installed here is loaded by no other project's tests.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin", *options),
            *("-o", f"asyncio_mode={mode}"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in ended.stdout, ended.stdout


def test_the_test_command_is_what_continuous_integration_runs() -> None:
    assert "grep -m1 'bin/pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (line,) = [line for line in README.splitlines() if "bin/pytest" in line]
    assert line in COMMANDS


def test_the_demo_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMANDS[0].endswith(".venv/bin/intercom-async demo")
    monkeypatch.setattr(sys, "argv", ["intercom-async", "demo", "--pairs", "300"])
    with asyncio.Runner(loop_factory=DrivenEventLoop) as runner:
        monkeypatch.setattr(asyncio, "run", runner.run)
        with pytest.raises(SystemExit) as caught:
            main()
    assert caught.value.code == 0
    assert "results agree" in capsys.readouterr().out


def test_the_benchmarks_run(capsys: pytest.CaptureFixture[str]) -> None:
    # The shortest of them; all of them take minutes.
    assert COMMANDS[-1].endswith("-m benchmarks")
    assert benchmark(["start", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "import intercom_async" in printed
    assert "of 2 bounds hold" in printed


def test_no_command_is_left_out() -> None:
    assert len([line for line in COMMANDS if line.startswith(ELSEWHERE)]) == 3


def test_the_reference_names_everything_public() -> None:
    reference = README.split("## Reference\n")[1].split("\n## ")[0]
    missing = [name for name in intercom_async.__all__ if f"`{name}`" not in reference]
    assert missing == ["__version__"]


def test_the_page_is_short_and_its_links_work_wherever_it_is_shown() -> None:
    assert len(README.splitlines()) <= 400
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert all(link.startswith("https://") for link in links)
    for link in links:
        for ours in (RAW, BLOB):
            if link.startswith(ours):
                assert (ROOT / link.removeprefix(ours)).is_file(), link
