"""How the process ends: signals, closed and broken streams, narrow terminals, silent pipes."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from intercom_async.cli import main
from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import write_csv
from tests.support.rows import settled_in

COMMAND = (sys.executable, "-m", "intercom_async")
PATIENCE = 30.0


@pytest.fixture
def environment(simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERCOM_ACCESS_TOKEN", "token")
    monkeypatch.setenv("INTERCOM_BASE_URL", simulator.url)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and shells of Unix"),
    pytest.mark.usefixtures("environment"),
]


@contextmanager
def process(
    arguments: Sequence[object],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> Generator["subprocess.Popen[bytes]"]:
    """Start a command in a session of its own; end it, whatever the test does."""
    with subprocess.Popen(
        [*map(str, arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def shell(line: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash in which "$@" is the command."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def source(simulator: IntercomSimulator, tmp_path: Path) -> Path:
    return write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=3))


class TestSignals:
    @pytest.mark.parametrize("in_container", [False, True])
    def test_sigterm_lets_requests_finish_and_ends_in_status_4(
        self, simulator: IntercomSimulator, tmp_path: Path, *, in_container: bool
    ) -> None:
        pairs = simulator.workspace.populate(conversations=20_000)
        source = write_csv(tmp_path / "many.csv", pairs)
        journal = tmp_path / "run.db"
        arguments = [*COMMAND, "detach", source, "--json", "--concurrency", 2]
        arguments += ["--journal", journal]
        if in_container:
            unshare = ["unshare", "--fork", "--pid", "--kill-child"]
            if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
                pytest.skip("no right to make a container")
            arguments = [*unshare, *arguments]
        with process(arguments) as run:
            wait_until(lambda: simulator.applied.total() >= 10)
            os.kill(_child(run.pid) if in_container else run.pid, signal.SIGTERM)
            out, err = run.communicate(timeout=PATIENCE)
        assert run.returncode == 4
        outcomes = json.loads(out)["outcomes"]
        assert outcomes["unknown"] == 0
        assert outcomes["detached"] == simulator.applied.total() < 20_000
        assert f"intercom-async detach {source}" in err.decode()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_second_one_stops_at_once(
        self, simulator: IntercomSimulator, source: Path, number: signal.Signals
    ) -> None:
        simulator.faults.add(Fault.HANG, method="DELETE", probability=1.0)
        with process([*COMMAND, "detach", source, "--json"]) as run:
            assert run.stderr is not None
            wait_until(lambda: simulator.requests.by_method["DELETE"] >= 1)
            run.send_signal(number)
            _read_until(run.stderr.fileno(), "press Ctrl-C again")
            run.send_signal(number)
            out, _ = run.communicate(timeout=PATIENCE)
        assert run.returncode == 4
        assert json.loads(out)["outcomes"]["unknown"] >= 1

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_silent_pipe_holds_nothing_up(
        self, simulator: IntercomSimulator, source: Path, number: signal.Signals
    ) -> None:
        with process([*COMMAND, "detach", "-", "--json"], stdin=subprocess.PIPE) as run:
            assert run.stdin is not None
            run.stdin.write(source.read_bytes())
            run.stdin.flush()
            wait_until(lambda: simulator.applied.total() == 3)
            run.send_signal(number)
            assert run.wait(PATIENCE) == 4
            assert run.stdout is not None
            summary = json.loads(run.stdout.read())
        assert summary["outcomes"]["detached"] == 3
        assert summary["input_ended"] is False


def _child(parent: int) -> int:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return int(path.read_text(encoding="ascii").split()[0])


class TestAtATerminal:
    @pytest.mark.parametrize(
        ("typed", "status"), [("y\n", 0), ("n\n", 4), ("\x04", 4), ("\x03", 4), (None, 4)]
    )
    def test_the_question_names_what_is_about_to_happen(
        self, simulator: IntercomSimulator, source: Path, typed: str | None, status: int
    ) -> None:
        ours, theirs = pty.openpty()
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        with process([*COMMAND, "detach", source], **streams) as run:
            os.close(theirs)
            shown = _read_until(ours, "[y/N]")
            assert (
                "Detach 3 contacts in Simulated workspace (US) as Joe Example "
                f"({simulator.admin_id}), less than a minute at 600,000 a minute? [y/N]"
            ) in shown
            assert "Not all of this can be undone: a contact without an e-mail address" in shown
            if typed is None:
                run.send_signal(signal.SIGTERM)
            elif typed == "\x03":  # the terminal is not that session's own
                run.send_signal(signal.SIGINT)
            else:
                os.write(ours, typed.encode())
            rest = _read_until(ours, None)
            assert run.wait(PATIENCE) == status
        os.close(ours)
        assert ("nothing was done" in rest) is (status == 4)
        assert simulator.applied.total() == (3 if status == 0 else 0)

    def test_a_terminal_as_input_is_told_what_is_waited_for(
        self, simulator: IntercomSimulator, source: Path
    ) -> None:
        ours, theirs = pty.openpty()
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        with process([*COMMAND, "detach", "-", "--yes"], **streams) as run:
            os.close(theirs)
            _read_until(ours, "end with Ctrl-D")
            os.write(ours, source.read_bytes() + b"\x04")
            _read_until(ours, None)
            assert run.wait(PATIENCE) == 0
        os.close(ours)
        assert simulator.applied.total() == 3


def _read_until(fd: int, text: str | None) -> str:
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


class TestStreams:
    @pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
    def test_a_closed_stream_disturbs_nothing(
        self, simulator: IntercomSimulator, source: Path, tmp_path: Path, closed: str
    ) -> None:
        journal = tmp_path / "run.db"
        ended = shell(f'"$@" {closed}', "detach", source, "--json", "--journal", journal)
        assert ended.returncode == 0, ended.stderr
        assert simulator.applied.total() == 3
        assert len(settled_in(journal)) == 3

    def test_a_reader_that_has_gone_is_not_some_failed(self) -> None:
        ended = shell('"$@" | true; exit ${PIPESTATUS[0]}', "find", "--contact", "5ba682d2")
        assert ended.returncode in {0, 4}
        assert "Traceback" not in ended.stderr
        assert "Broken pipe" not in ended.stderr

    def test_a_reader_of_results_that_has_gone_stops_the_run(
        self, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=5000)
        source = write_csv(tmp_path / "many.csv", pairs)
        line = '"$@" | head -1 >/dev/null; exit ${PIPESTATUS[0]}'
        ended = shell(line, "detach", source, "--output", "-")
        assert ended.returncode == 4
        assert "pairs accounted for" in ended.stderr
        assert simulator.applied.total() < 5000

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
    def test_a_full_disk_behind_standard_output_keeps_the_summary(self, source: Path) -> None:
        ended = shell('"$@" > /dev/full', "detach", source, "--json")
        assert ended.returncode == 3
        assert "3 pairs accounted for" in ended.stderr
        assert "standard output: No space left on device" in ended.stderr

    def test_an_encoding_that_lacks_a_letter_spells_it(
        self, simulator: IntercomSimulator, source: Path
    ) -> None:
        simulator.workspace.add_admin(name="Łódź ✓", admin_id=simulator.admin_id)
        ended = shell('PYTHONIOENCODING=cp1252 "$@"', "whoami")
        assert ended.returncode == 0
        assert "\\u0141" in ended.stdout
        assert shell('PYTHONIOENCODING=ascii "$@"', "detach", source).returncode == 0

    def test_a_list_that_is_not_complete_does_not_pass_for_one(
        self, simulator: IntercomSimulator
    ) -> None:
        contact, *others = [simulator.workspace.add_contact() for _ in range(3)]
        for other in others:
            simulator.workspace.add_conversation([contact, other])
        simulator.faults.add(Fault.UNAUTHORIZED, match=lambda _, path: "search" in path)
        line = '"$@" find --contact ' + contact + ' | "$@" detach - --json; exit ${PIPESTATUS[1]}'
        ended = shell(line)
        assert ended.returncode == 1
        assert json.loads(ended.stdout)["bad_lines"] == 1

    @pytest.mark.skipif(shutil.which("script") is None, reason="needs script(1)")
    def test_no_color_is_respected(self, source: Path) -> None:
        quoted = " ".join([*COMMAND, "detach", str(source), "--yes"])
        ended = shell(f'NO_COLOR=1 script -qec "{quoted}" /dev/null')
        assert "3 detached" in ended.stdout
        assert "\x1b[32m" not in ended.stdout
        assert "\x1b[1;32m" not in ended.stdout


def test_ctrl_c_while_the_command_line_is_read_is_told_and_ends_in_status_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    other = typer.Typer()
    other.command()(interrupted)
    monkeypatch.setattr("intercom_async.cli.app.app", other)
    monkeypatch.setattr(sys, "argv", ["intercom-async"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert capsys.readouterr().err == "interrupted\n"
