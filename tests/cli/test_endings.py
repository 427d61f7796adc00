"""How the process ends: signals, closed and broken streams, narrow terminals, silent pipes."""

import asyncio
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import typer

from intercom_async.cli.signals import interruptible, interrupts
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Shell, wait_until, write_csv
from tests.cli.journals import pair, write
from tests.support.rows import settled_in

COMMAND = f"{sys.executable} -m intercom_async"
PATIENCE = 30.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and shells of Unix")


@pytest.fixture(autouse=True)
def _python_path(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes run in the test's folder and environment, as lines of `shell` do."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def pairs(simulator: IntercomSimulator) -> Path:
    return write_csv(Path("pairs.csv"), simulator.workspace.populate(conversations=3))


@pytest.fixture
def many_pairs(simulator: IntercomSimulator) -> Path:
    """A thousand pairs, of which each takes a while."""
    simulator.faults.add(Fault.LATENCY, method="DELETE", probability=1.0, seconds=0.02)
    return write_csv(Path("pairs.csv"), simulator.workspace.populate(conversations=1000))


@contextmanager
def process(
    line: str, *, container: str = "", stdin: int = subprocess.DEVNULL, out: int = subprocess.PIPE
) -> Generator["subprocess.Popen[bytes]"]:
    """Start `intercom-async` in a session of its own; end it, whatever the test does."""
    command = shlex.split(f"{container} {COMMAND} {line}")
    with subprocess.Popen(
        command, stdin=stdin, stdout=out, stderr=out, start_new_session=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def piped(line: str, source: Path) -> Generator["subprocess.Popen[bytes]"]:
    """Start a command whose standard input has a file's lines and is then silent."""
    with process(line, stdin=subprocess.PIPE) as run:
        assert run.stdin is not None
        run.stdin.write(source.read_bytes())
        run.stdin.flush()
        yield run


@contextmanager
def at_terminal(line: str) -> Generator[tuple["subprocess.Popen[bytes]", int]]:
    """Start a command at a terminal of its own; yield our end of that, too."""
    ours, theirs = pty.openpty()
    with process(line, stdin=theirs, out=theirs) as started:
        os.close(theirs)
        yield started, ours
    os.close(ours)


def read_until(fd: int, text: str | None) -> str:
    """Read a terminal until it shows a text, or to its end."""
    shown = ""
    while text is None or text not in shown:
        assert select.select([fd], [], [], PATIENCE)[0], shown
        try:
            piece = os.read(fd, 65536)
        except OSError:  # the other side has gone
            break
        shown += piece.decode()
    assert text is None or text in shown
    return shown


def bash(line: str, status: int) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash, which must end in a status."""
    ended = subprocess.run(
        ["bash", "-c", line.replace("intercom-async", COMMAND)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == status, ended
    return ended


def test_a_signal_is_heeded_although_what_it_interrupted_ignored_it() -> None:
    async def command() -> None:
        with interrupts(list):
            pass

    with interruptible():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(command())
    asyncio.run(command())


async def test_a_signal_that_does_not_wake_the_loop_by_itself_is_heard() -> None:
    heard, inner = asyncio.Event(), asyncio.Event()

    def signal_this_thread() -> None:
        # As if it came just before the loop's thread began to wait: that wait goes on.
        time.sleep(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with interrupts(heard.set):
        with interrupts(inner.set):  # as a run has it within its command
            pass
        thread = threading.Thread(target=signal_this_thread)
        thread.start()
        async with asyncio.timeout(5.0):
            await heard.wait()
    thread.join()
    assert not inner.is_set()


@pytest.mark.parametrize("in_container", [False, True])
def test_sigterm_lets_requests_finish_and_ends_in_status_4(
    simulator: IntercomSimulator, many_pairs: Path, *, in_container: bool
) -> None:
    container = "unshare --fork --pid --kill-child" if in_container else ""
    if subprocess.run([*container.split(), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to make a container")
    line = f"detach {many_pairs} --json --concurrency 2 --journal run.db"
    with process(line, container=container) as run:
        wait_until(lambda: simulator.applied.total() >= 4)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        first = children.read_text(encoding="ascii").split()[0] if in_container else run.pid
        os.kill(int(first), signal.SIGTERM)
        out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 4
    outcomes = json.loads(out)["outcomes"]
    assert outcomes["unknown"] == 0
    assert outcomes["detached"] == simulator.applied.total() < 1000
    assert f"intercom-async detach {many_pairs}" in err.decode()


def test_a_second_signal_of_either_kind_stops_at_once(
    simulator: IntercomSimulator, pairs: Path
) -> None:
    simulator.faults.add(Fault.HANG, method="DELETE", probability=1.0)
    with process(f"detach {pairs} --json") as run:
        assert run.stderr is not None
        wait_until(lambda: simulator.requests.by_method["DELETE"] >= 1)
        run.send_signal(signal.SIGTERM)
        read_until(run.stderr.fileno(), "press Ctrl-C again")
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 4
    assert json.loads(out)["outcomes"]["unknown"] >= 1


def test_a_silent_pipe_holds_nothing_up(simulator: IntercomSimulator, pairs: Path) -> None:
    with piped("detach - --json", pairs) as run:
        wait_until(lambda: simulator.applied.total() == 3)
        run.send_signal(signal.SIGINT)
        assert run.stdout is not None
        summary = json.loads(run.stdout.read())
        assert run.wait(PATIENCE) == 4
    assert (summary["outcomes"]["detached"], summary["input_ended"]) == (3, False)


def test_a_limit_waits_for_no_line_behind_it(simulator: IntercomSimulator, pairs: Path) -> None:
    with piped("detach - --limit 3", pairs) as run:
        assert run.wait(PATIENCE) == 0
    assert simulator.applied.total() == 3


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\x04", 4), (signal.SIGTERM, 4)])
def test_the_question_names_what_is_about_to_happen(
    simulator: IntercomSimulator, pairs: Path, answer: str | int, status: int
) -> None:
    with at_terminal(f"detach {pairs}") as (run, ours):
        shown = read_until(ours, "[y/N]")
        assert (
            "Detach 3 contacts in Simulated workspace (US) as Joe Example "
            f"({simulator.admin_id}), less than a minute at 600,000 a minute? [y/N]"
        ) in shown
        assert "An undo cannot put everything back: a contact without an e-mail address" in shown
        if isinstance(answer, str):
            os.write(ours, answer.encode())
        else:  # the terminal is not that session's own
            run.send_signal(answer)
        rest = read_until(ours, None)
        assert run.wait(PATIENCE) == status
    assert ("nothing was done" in rest) is (status == 4)
    assert simulator.applied.total() == (3 if status == 0 else 0)


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize(
    ("typed", "said", "status"),
    [("token\n", "Joe Example", 0), ("\x04", "--token-file must be given", 2)],
)
def test_the_token_comes_from_a_hidden_prompt(
    typed: str, said: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    with at_terminal("whoami") as (run, ours):
        read_until(ours, "Intercom access token:")
        os.write(ours, typed.encode())
        shown = read_until(ours, None)
        assert run.wait(PATIENCE) == status
    assert said in shown
    assert typed not in shown


def test_a_terminal_as_input_is_told_what_is_waited_for(
    simulator: IntercomSimulator, pairs: Path
) -> None:
    with at_terminal("detach - --yes") as (run, ours):
        read_until(ours, "end with Ctrl-D")
        os.write(ours, pairs.read_bytes() + b"\x04")
        read_until(ours, None)
        assert run.wait(PATIENCE) == 0
    assert simulator.applied.total() == 3


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_disturbs_nothing(pairs: Path, closed: str) -> None:
    bash(f"intercom-async detach {pairs} --json --journal run.db {closed}", 0)
    assert len(settled_in("run.db")) == 3


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize(
    "line",
    [
        "detach nowhere",
        "find --email nobody@x.example",
        "simulate --port 0",
        "report run.db",
        "export run.db --jsonl",
    ],
)
def test_a_reader_that_has_gone_ends_a_command_in_status_4(line: str) -> None:
    write(Path("run.db"), map(pair, range(5000)))
    ours, theirs = os.pipe()
    os.close(ours)
    with process(line, out=theirs) as run:
        os.close(theirs)
        assert run.wait(PATIENCE) == 4


def test_a_reader_of_results_that_has_gone_stops_the_run(
    simulator: IntercomSimulator, many_pairs: Path
) -> None:
    detach = f"intercom-async detach {many_pairs} --output - --concurrency 4"
    ended = bash(f"{detach} | head -1 >/dev/null; exit ${{PIPESTATUS[0]}}", 4)
    assert "pairs accounted for" in ended.stderr
    assert simulator.applied.total() < 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize(
    ("options", "full"),
    [("--json > /dev/full", "standard output"), ("--output /dev/full", "/dev/full")],
)
def test_a_full_disk_is_named_and_keeps_the_summary(pairs: Path, options: str, full: str) -> None:
    said = bash(f"intercom-async detach {pairs} {options}", 3).stderr
    assert "3 pairs accounted for" in said
    assert f"{full}: No space left on device" in said


def test_an_encoding_that_lacks_a_letter_spells_it(simulator: IntercomSimulator) -> None:
    simulator.workspace.add_admin(name="Łódź ✓", admin_id=simulator.admin_id)
    assert "\\u0141" in bash("PYTHONIOENCODING=cp1252 intercom-async whoami", 0).stdout


def test_ctrl_c_while_the_command_line_is_read_is_told_and_ends_in_status_4(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    other = typer.Typer()
    other.command()(interrupted)
    monkeypatch.setattr("intercom_async.cli.app.app", other)
    assert shell("", 4).err == "interrupted\n"


@pytest.mark.usefixtures("simulator")
def test_ctrl_c_after_the_end_changes_no_exit_status(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(status: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise SystemExit(status)

    monkeypatch.setattr(sys, "exit", leave)
    shell("whoami")
