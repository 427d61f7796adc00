"""The journal's front door: where a run's rows are kept."""

import functools
from os import PathLike, fspath
from typing import Final
from urllib.parse import unquote

from intercom_async.errors import InvalidArgumentError
from intercom_async.journal.row import Binding, Source
from intercom_async.journal.session import Session
from intercom_async.runtime import SYSTEM, Runtime

URLS: Final = ("postgresql://", "postgres://")
"""What the URL of a database begins with."""


def split_url(url: str) -> tuple[str, str | None]:
    """Return a database's URL without the name of a run, and that name: `...?run=cleanup-7`."""
    address, _, query = url.partition("?")
    options = query.split("&") if query else []
    named = [option for option in options if option.startswith("run=")]
    kept = "&".join(option for option in options if option not in named)
    run = unquote(named[-1].removeprefix("run=")) if named else None
    return (f"{address}?{kept}" if kept else address), run


class Journal:
    """Where a run keeps its rows.

    Args:
        path: the file, created if need be; a `postgresql://` URL; None for a private temporary
            database.
        source: where this run's pairs come from.
        run: the run's name in PostgreSQL; or in the URL, as `?run=cleanup-7`.
        workspace: key of the workspace, in PostgreSQL; "" in a run of one client. Each workspace
            of a run has one owner at a time; many machines may share a run.

    Raises:
        InvalidArgumentError: `run` is missing beside a URL, or given beside a file.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None,
        *,
        source: Source | None = None,
        run: str | None = None,
        workspace: str = "",
    ) -> None:
        self.path = None if path is None else fspath(path)
        self.source = source
        if self.path is not None and self.path.startswith(URLS):
            self.path, named = split_url(self.path)
            run = run or named
            if not run:
                raise InvalidArgumentError("run", run, "the run's name: PostgreSQL holds many")
        elif run is not None or workspace:
            raise InvalidArgumentError("run", run, "left out: a file holds one run")
        self.run = run
        self.workspace = workspace

    async def open(self, binding: Binding, *, runtime: Runtime = SYSTEM) -> Session:
        """Begin a session: create the journal, or go on with it.

        Raises:
            JournalError: of any kind; an existing journal was not changed.
        """
        now = round(runtime.wall(), 3)
        if self.run is not None:
            from intercom_async.journal.postgres import PostgresStore  # noqa: PLC0415  an extra

            postgres = functools.partial(PostgresStore, self, binding, now)
            return await Session.open(postgres, runtime)
        from intercom_async.journal.sqlite import SqliteStore  # noqa: PLC0415  loads SQLite

        sqlite = functools.partial(SqliteStore, self.path, binding, self.source, now)
        return await Session.open(sqlite, runtime)
