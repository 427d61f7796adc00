"""A simulator in a thread of its own, and the command line called as a shell would."""

import contextlib
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from intercom_async import IntercomClient, RetryPolicy
from intercom_async.cli import main
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator


def serving(**options: Any) -> IntercomSimulator:
    """Return a simulator for `with`: it runs in a thread, so commands can have their own loops."""
    options.setdefault("limit", 100_000)
    return IntercomSimulator(**options)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def press_ctrl_c(when: Callable[[], bool]) -> threading.Thread:
    """Send SIGINT to this process once `when` holds, as a terminal would."""

    def press() -> None:
        with contextlib.suppress(AssertionError):
            wait_until(when)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    lines = ["conversation_id,contact_id", *map(",".join, rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INTERCOM_REGION", "INTERCOM_BASE_URL", "INTERCOM_ADMIN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[IntercomSimulator]:
    """Run the simulator to which commands go unless they are given another address."""
    with serving() as running:
        monkeypatch.setenv("INTERCOM_BASE_URL", running.url)
        yield running


@attrs.frozen
class Ended:
    """A command's output."""

    out: str
    err: str


Shell = Callable[..., Ended]


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """Call `intercom-async` with a line like "report run.db" in a folder of the test's own.

    It must end in a status and without a traceback. Attempts are few and the waits between them
    short: time here is real.
    """

    def call(line: str, status: int = 0) -> Ended:
        monkeypatch.setattr("sys.argv", ["intercom-async", *shlex.split(line)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        ended = Ended(out, err)
        assert caught.value.code == status, ended
        assert "Traceback" not in ended.err
        return ended

    defaults = IntercomClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "retry", RetryPolicy(attempts=3, backoff=0.005))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv(TOKEN_VARIABLE, "token")
    monkeypatch.chdir(tmp_path)
    return call
