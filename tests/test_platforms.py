"""What another system or installation lacks is missed nowhere; their answers are faked here."""

import contextlib
import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from intercom_async.integrations import EXTRAS
from intercom_async.journal import Binding
from intercom_async.journal.sqlite import SqliteStore

WINDOWS = """
    import asyncio, multiprocessing, os, sqlite3, ssl, sys, types
    import aiohttp.web, jinja2, opentelemetry.metrics, procrastinate, psycopg, redis.asyncio, rich
    import typer, pytest

    asyncio.new_event_loop().close()  # from 3.14 on, Python picks its kind of loop only now
    for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
        sys.modules[name] = None
    locked = []
    sys.modules["msvcrt"] = types.SimpleNamespace(
        LK_NBLCK=2, locking=lambda fd, mode, count: locked.append(mode)
    )
    for name in ("fchmod", "geteuid", "getuid", "register_at_fork", "fork", "O_NOFOLLOW",
                 "O_CLOEXEC"):
        delattr(os, name)
    sys.platform = "win32"

    def refuse(*_):
        raise NotImplementedError

    asyncio.AbstractEventLoop.add_signal_handler = refuse
    asyncio.SelectorEventLoop.add_signal_handler = refuse

    import importlib, pkgutil, intercom_async

    for module in pkgutil.walk_packages(intercom_async.__path__, "intercom_async."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    from intercom_async import IntercomClient
    from intercom_async.private_files import rewrite
    from intercom_async.simulator import IntercomSimulator

    async def main():
        async with IntercomSimulator() as sim:
            pairs = sim.workspace.populate(conversations=3)
            async with IntercomClient(sim.token, base_url=sim.url) as client:
                summary = await client.detach_contacts(
                    pairs, admin_id=sim.admin_id, journal="run.db"
                )
            assert summary.settled == 3, summary

    with rewrite("file") as file:
        file.write(b"x")
    asyncio.run(main())
    assert locked == [2], locked
    print("fine")
"""


def test_the_package_works_where_unix_calls_and_signals_of_the_loop_are_missing(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WINDOWS)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("SSL_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "fine\n", ended.stderr[-2000:]


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_an_integration_without_its_library_names_the_line_that_installs_it(
    module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = f"intercom_async.integrations.{module}"
    monkeypatch.delitem(sys.modules, full, raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as failed:
        importlib.import_module(full)
    assert f"{full} needs {module}" in str(failed.value)
    assert str(failed.value).endswith(f"pip install 'intercom_async[{extra}]'")


def test_a_mac_is_told_to_flush_the_journal_to_the_disk_itself(tmp_path: Path) -> None:
    binding = Binding(operation="detach", base_url="https://api.intercom.io", app_id="a")
    with contextlib.ExitStack() as undo:
        store = SqliteStore(str(tmp_path / "run.db"), binding, None, 0.0)
        undo.callback(store.let_go)
        assert store.ask("PRAGMA fullfsync", ()) == [(1,)]
        assert store.ask("PRAGMA synchronous", ()) == [(2,)]
