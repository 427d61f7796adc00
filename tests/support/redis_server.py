"""A real redis-server of a test's own."""

import shutil
import subprocess
from pathlib import Path

from tests.support.server_process import ServerProcess, installed


class RedisServer(ServerProcess):
    """Starts the program `redis-server` in a folder, where it keeps nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        program = installed(shutil.which("redis-server"), "redis-server")
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --daemonize no"
        self.command = [program, *options.split(), "--save", "", "--dir", str(folder)]
        self.options = {"stdout": subprocess.DEVNULL}
