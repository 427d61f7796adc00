"""A real PostgreSQL of a test's own, on a free port: to restart, to freeze and to bring back."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "1",
}


def _programs() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian keeps it out of the path."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class PostgresServer:
    """Starts the program `postgres`, which must be installed, in a temporary folder.

    Args:
        durable: whether what is committed survives a crash of the machine.
        connections: how many it takes.
    """

    def __init__(self, *, durable: bool = False, connections: int = 200) -> None:
        programs = _programs()
        if programs is None:
            # Continuous integration installs it; elsewhere a machine may have Python only.
            assert "CI" not in os.environ, "install postgresql: these tests talk to a real one"
            pytest.skip("there is no PostgreSQL to talk to")
        self._programs = programs
        self._durable = durable
        self._settings = {**_SETTINGS, "max_connections": str(connections)}
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # Not pytest's own folder, which other users may not enter: root cannot run PostgreSQL.
        self._folder = Path(tempfile.mkdtemp(prefix="intercom-async-postgres-"))
        self._user = self._other_user()
        self._run("initdb", "-D", str(self._folder / "data"), "-U", "test", "-A", "trust", "-N")

    def _other_user(self) -> int | None:
        if os.geteuid() != 0:
            return None
        import pwd

        names = {one.pw_name: one for one in pwd.getpwall()}
        user = names.get("postgres") or names["nobody"]
        os.chown(self._folder, user.pw_uid, user.pw_gid)
        return user.pw_uid

    def _run(self, program: str, *options: str) -> None:
        subprocess.run(
            [self._programs / program, *options],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://test@127.0.0.1:{self._port}/{database}"

    @property
    def port(self) -> int:
        return self._port

    def create(self, database: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url_of(database)

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        settings = dict(self._settings)
        if self._durable:
            del settings["fsync"], settings["full_page_writes"]
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._programs / "postgres"), "-D", str(self._folder / "data")),
                    *("-p", str(self._port), "-k", str(self._folder), *options),
                ],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url).close()
                return
            time.sleep(0.02)
        raise AssertionError("PostgreSQL does not answer")

    def stop(self) -> None:
        """End it at once, as a restart or a failover does: connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """End it, in whichever state it is, and remove what it wrote."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
