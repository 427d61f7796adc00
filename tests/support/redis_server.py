"""A real redis-server of a test's own."""

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.server_process import ServerProcess, installed


class RedisServer(ServerProcess):
    """Starts the program `redis-server` in a folder, where it keeps nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        found = shutil.which("redis-server")
        self._program = installed(None if found is None else Path(found), "redis-server")
        self._folder = folder

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --daemonize no --save"
        command = [str(self._program), *options.split(" "), "", "--dir", str(self._folder)]
        self._run(command, self._answers, stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False
