"""Taking over a workspace of a run in PostgreSQL."""

import json
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any

import attrs

from intercom_async._version import __version__
from intercom_async.journal import postgres_sql as sql
from intercom_async.journal.errors import JournalLockedError, JournalMismatchError
from intercom_async.journal.postgres_connection import Connection
from intercom_async.journal.row import Binding, Source, storable_text


@attrs.frozen(kw_only=True)
class Kept:
    """What the session found when it began."""

    number: int
    fence: int
    counts: Mapping[str, int]
    input_ended: bool


def storable(value: Any) -> Any:
    """Escape what no text in PostgreSQL may hold."""
    value = storable_text(value)
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


def compare(name: str, kept: Binding, now: Binding) -> None:
    """Look whether a run belongs to what was there.

    Raises:
        JournalMismatchError: it does not.
    """
    if differs := kept.mismatch(now):
        what, expected, found = differs
        raise JournalMismatchError(name, what=what, expected=expected, found=found)


def facts_of(binding: Binding, source: Source | None) -> dict[str, Any]:
    """Return what the tables keep of a session's beginning."""
    columns = None if source is None or source.columns is None else dict(source.columns)
    process, host = os.getpid(), socket.gethostname()
    return {
        "operation": binding.operation,
        "library": __version__,
        "owner": f"{host}, process {process}, {secrets.token_hex(4)}",
        "base_url": binding.base_url,
        "app_id": binding.app_id,
        "app_name": storable(binding.app_name),
        "process": process,
        "host": host,
        "source_kind": None if source is None else source.kind,
        "source_name": None if source is None else storable(source.name),
        "source_columns": None if columns is None else json.dumps(columns),
    }


async def own(connection: Connection, name: str, facts: dict[str, Any], binding: Binding) -> Kept:
    """Take a workspace over, and begin a session; one that is refused is not changed."""

    async def one(statement: bytes) -> Any:
        return await (await connection.execute(statement, facts)).fetchone()

    async with connection.transaction():
        await connection.execute(sql.SHORTLY)
        await connection.execute(sql.ADD_RUN, facts)
        (operation,) = await one(sql.OPERATION)
        await connection.execute(sql.ADD_WORKSPACE, facts)
        base_url, app_id, app_name, held = await one(sql.WORKSPACE)
        if held:
            raise JournalLockedError(name)
        kept = Binding(
            operation=operation,
            base_url=base_url or binding.base_url,
            app_id=app_id,
            app_name=app_name,
        )
        compare(name, kept, binding)
        (fence,) = await one(sql.OWN)
        (number,) = await one(sql.BEGIN_SESSION)
    # Only now, when nobody else can write any more.
    counts, input_ended = await one(sql.KEPT)
    return Kept(number=number, fence=fence, counts=counts, input_ended=input_ended)
