"""A real PostgreSQL of a test's own."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.support.server_process import ServerProcess, installed

_FAST = ("--fsync=off", "--full_page_writes=off", "--autovacuum=off")
_DURABLE = ("--autovacuum_naptime=1",)


def _initdb() -> str | None:
    """The program's path; Debian keeps it out of the search path."""
    found = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))
    return shutil.which("initdb") or (found[-1] if found else None)


class PostgresServer(ServerProcess):
    """Starts the program `postgres` in a temporary folder.

    Only what a `durable` one has committed survives a crash of the machine, and only a durable
    one tidies up behind what it does, so as to be as fast after an hour.
    """

    def __init__(self, *, durable: bool = False, connections: int = 200) -> None:
        super().__init__()
        initdb = Path(installed(_initdb(), "postgresql")).resolve()
        # Not pytest's own folder, which other users may not enter: root cannot run PostgreSQL.
        self._folder = Path(
            tempfile.mkdtemp(prefix="postgres-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))
        )
        self.options = {"user": self._other_user(), "cwd": self._folder}
        self.options |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(
            [initdb, *["-D", "data", "-U", "test", "-A", "trust", "-N"]],
            check=True,
            **self.options,
        )
        self.command = [
            *(str(initdb.with_name("postgres")), "-D", "data", "-p", str(self.port), "-k", "."),
            *("--listen_addresses=127.0.0.1", "--shared_buffers=64MB"),
            *(f"--max_connections={connections}", *(_DURABLE if durable else _FAST)),
        ]

    def _other_user(self) -> int | None:
        if os.geteuid() != 0:
            return None
        import pwd

        names = {one.pw_name: one for one in pwd.getpwall()}
        user = names.get("postgres") or names["nobody"]
        os.chown(self._folder, user.pw_uid, user.pw_gid)
        return user.pw_uid

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://test@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url_of(database)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url).close()
            return True
        return False

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
        """End it at once, as a crash would, and remove what it wrote."""
        if self._process is not None:  # killed, it would leave its shared memory behind
            self.send(signal.SIGCONT)
            self.send(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)
