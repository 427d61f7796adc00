"""What the journal's tests share."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intercom_async.detaching import Detach
from intercom_async.journal import Binding, Journal, Row, Session
from tests.support.rows import states_in

ACME = Binding(
    operation="detach", base_url="https://api.intercom.io", app_id="app1", app_name="Acme"
)


def row(number: int, state: str = "detached", **facts: Any) -> Row:
    return Row(conversation_id=f"c{number:04}", contact_id=f"k{number}", state=state, **facts)


def pair(number: int) -> Detach:
    return Detach(f"c{number:04}", f"k{number}")


Place = Journal | Path | None


def journal_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Journal:
    """A journal of one kind, that no other test has."""
    if kind == "postgres":
        url = request.getfixturevalue("postgres").url
        return Journal(url, run=f"run.db {secrets.token_hex(8)}", workspace="acme")
    return Journal(folder / "run.db" if kind == "file" else None)


async def opened(place: Place, binding: Binding = ACME) -> Session:
    journal = place if isinstance(place, Journal) else Journal(place)
    return await journal.open(binding)


async def ran(place: Place, *rows: Row) -> None:
    """One orderly session."""
    session = await opened(place)
    await asyncio.gather(*map(session.write, rows))
    await session.close()


def kept(place: Journal | Path) -> dict[str, str]:
    """States by conversation, as a reader sees them."""
    path, run = (place.path, place.run) if isinstance(place, Journal) else (place, None)
    assert path is not None
    return {conversation: state for (_, conversation, _), state in states_in(path, run).items()}


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the index that SQLite's readers make anew."""
    return {
        one.name: one.read_bytes()
        for one in folder.glob("*")
        if one.is_file() and not one.name.endswith("-shm")
    }


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("intercom-journal")]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  conditions of threads and files too
            await asyncio.sleep(0.001)
