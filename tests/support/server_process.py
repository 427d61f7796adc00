"""A server's program, started for a test: to kill, to freeze and to bring back."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import Any, Self

import pytest


def installed(found: str | None, package: str) -> str:
    """Skip the test where a server's program is missing; continuous integration installs it."""
    if found is None:
        assert "CI" not in os.environ, f"install {package}: these tests talk to a real one"
        pytest.skip(f"there is no {package} to talk to")
    return found


class ServerProcess:
    """Has a free port and, while it runs, a process in a group of its own."""

    command: list[str]
    options: dict[str, Any]

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        self._process = subprocess.Popen(self.command, start_new_session=True, **self.options)
        deadline = time.monotonic() + 30.0
        while not self._answers():
            assert time.monotonic() < deadline, f"{self.command[0]} does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal; SIGSTOP leaves connections open and nothing answered until SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        """End it as a crash would, in whichever state it is."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
