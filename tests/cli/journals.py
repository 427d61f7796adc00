"""Journals as a run would leave them, written row by row."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

import intercom_async.journal
from intercom_async.journal import Row

T0 = 1_738_360_800.0
"""2025-01-31 22:00:00 UTC."""

NASTY = "<script>alert('x')</script>&\"\x1b[31m\u202e\n"

SESSION = {"source_kind": "file", "source_name": "/inputs/pairs.csv", "ending": "ended"}
NUMBERS = {"requests": 0, "retries": 0, "refusals": 0, "duplicates": 0, "quota_limit": 250}


def pair(number: int, state: str = "detached", **facts: Any) -> dict[str, Any]:
    """A row whose ids and time follow from its number."""
    row = Row(
        conversation_id=f"c{number}",
        contact_id=f"k{number}",
        state=state,
        attempts=1,
        session=1,
        updated_at=T0 + number / 20,
    )
    return asdict(row) | facts


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
    return SESSION | NUMBERS | times | {"number": number, "input_ended": int(read)} | facts


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
    schema = resources.files(intercom_async.journal).joinpath("schema.sql").read_text("utf-8")
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as connection:
        marks = (
            f"PRAGMA application_id = {int.from_bytes(b'icas', 'big')}; PRAGMA user_version = 1;"
        )
        connection.executescript(f"PRAGMA journal_mode = WAL; {marks} {schema}")
        run = {"operation": operation, "base_url": base_url, "created_at": T0, "library": "0"}
        insert(connection, "run", [run])
        names = ("workspace", "app_id", "app_name")
        insert(connection, "workspace", (dict(zip(names, one, strict=True)) for one in workspaces))
        insert(connection, "session", [session()] if sessions is None else sessions)
        insert(connection, "pair", pairs)
        connection.commit()
    return path


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows that name their columns."""
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
        )
