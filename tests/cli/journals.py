"""Journals as a run would leave them, written row by row."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from intercom_async.journal import Binding, Row
from intercom_async.journal.sqlite_file import create

T0 = 1_738_360_800.0
"""2025-01-31 22:00:00 UTC."""

NASTY = "<script>alert('x')</script>&\"\x1b[31m\u202e\n"


def pair(number: int, state: str = "detached", **facts: Any) -> dict[str, Any]:
    """A row whose ids and time follow from its number."""
    ids: dict[str, Any] = {"conversation_id": f"c{number}", "contact_id": f"k{number}"}
    at = T0 + number / 20
    return asdict(Row(**ids, state=state, attempts=1, session=1, updated_at=at)) | facts


def failed(number: int, **facts: Any) -> dict[str, Any]:
    """A row of a pair that a fault of the server kept from being settled."""
    error = {
        "status": 503,
        "error_type": "ServerError",
        "error": f"HTTP 503, no code: no message (request id r{number}x)",
        "request_id": f"r{number}x",
    }
    return pair(number, "failed", **(error | facts))


def session(number: int = 1, *, ended: bool = True, read: bool = True, **facts: Any) -> Any:
    """A session of a minute, an hour after the one before."""
    start = T0 + 3600 * (number - 1)
    times = {"started_at": start, "ended_at": start + 60 if ended else None, "elapsed": 60.0}
    source = {"source_kind": "file", "source_name": "/inputs/pairs.csv", "input_ended": int(read)}
    numbers = dict.fromkeys(("requests", "retries", "refusals", "duplicates"), 0)
    return {"number": number, **times, **source, **numbers, "quota_limit": 250} | facts


def write(
    path: Path,
    pairs: Iterable[dict[str, Any]],
    sessions: Iterable[dict[str, Any]] | None = None,
    *,
    operation: str = "detach",
    base_url: str = "https://api.eu.intercom.io",
    workspaces: Iterable[tuple[str, str, str | None]] = (("", "ab12cd", "Acme"),),
) -> Path:
    """Make a journal, for its owner alone."""
    create(path, Binding(operation=operation, base_url=base_url), T0)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO workspace VALUES (?, ?, ?)", workspaces)
        insert(connection, "session", [session()] if sessions is None else sessions)
        insert(connection, "pair", pairs)
    return path


def cut_off(
    path: Path, url: str, *sources: tuple[str, str | None], operation: str = "detach"
) -> None:
    """Make the journal of a simulator's workspace and of sources that nobody read to their ends."""
    sessions = [
        session(number, read=False, source_kind=kind, source_name=name)
        for number, (kind, name) in enumerate(sources, 1)
    ]
    workspaces = [("", "simulator", None)]
    write(path, [], sessions, operation=operation, base_url=url, workspaces=workspaces)


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows that name their columns."""
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
        )
