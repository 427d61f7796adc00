"""A real redis-server of a test's own, on a free port: to kill, to freeze and to bring back."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RedisServer:
    """Starts the program `redis-server`, which must be installed.

    Args:
        folder: where it may write; it keeps nothing.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            # Continuous integration installs it; elsewhere a machine may have Python only.
            assert "CI" not in os.environ, "install redis-server: these tests talk to a real one"
            pytest.skip("there is no redis-server to talk to")
        self._program = program
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        options = f"--port {self._port} --bind 127.0.0.1 --save '' --appendonly no --daemonize no"
        self._process = subprocess.Popen(
            [self._program, *options.replace("''", "").split(" "), "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
                return
            time.sleep(0.01)
        raise AssertionError("redis-server does not answer")

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it; connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, in whichever state it is."""
        if self._process is not None:
            self.kill()
