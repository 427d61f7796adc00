"""Bulk work cut into chunks on disk, for many workers: no queue, broker or engine in here.

A plan is a folder. Each workspace has a folder in it, each chunk of at most `CHUNK` pairs a file
in that, and beside it, once somebody works on it, its journal. Running a chunk twice is harmless:
its journal tells what is settled, and only one process at a time can hold it.

    plan.json
    ws-acme/1.pairs     one JSON object a line
    ws-acme/1.journal   see `intercom_async.journal`

Workers on several machines need the folder in common. Reading and writing block, a few
milliseconds for a chunk.
"""

import contextlib
import os
from collections.abc import AsyncIterable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import attrs
import msgspec

from intercom_async.bulk.results import DetachSummary
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import IntercomError, InvalidArgumentError
from intercom_async.journal import JournalLockedError, latest
from intercom_async.pool import IntercomPool
from intercom_async.pool_run import PoolSummary, Routed, as_routed, each
from intercom_async.private_files import rewrite

CHUNK: Final = 1000
"""Pairs of a chunk at most: about a minute's work on a small quota."""

_PLAN: Final = "plan.json"


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pair in a chunk's file."""

    conversation_id: str
    contact_id: str
    admin_id: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan's folder holds.

    Attributes:
        chunks: number of chunks of each workspace; they are numbered from 1.
        pairs: pairs in all.
        admin_id: for pairs without an admin of their own, in workspaces without one.
    """

    chunks: dict[str, int]
    pairs: int
    admin_id: str | None = None


@attrs.frozen(kw_only=True)
class Progress:
    """How far a plan is.

    Attributes:
        pairs: pairs in all.
        summary: what became of those that have a fate; see `PoolSummary`.
    """

    pairs: int
    summary: PoolSummary

    @property
    def finished(self) -> bool:
        """Whether no pair needs another run."""
        return self.summary.settled == self.pairs


ChunkState = Literal["done", "busy", "stopped"]
"""How a chunk's run ended: gone through; another process has it; its workspace refused."""


def chunk_files(folder: Path, workspace: str, number: int) -> tuple[Path, Path]:
    """Return a chunk's pairs and its journal."""
    home = folder / f"ws-{quote(workspace, safe='')}"
    return home / f"{number}.pairs", home / f"{number}.journal"


async def write_plan(
    pairs: Iterable[Routed] | AsyncIterable[Routed],
    folder: str | os.PathLike[str],
    *,
    admin_id: str | None = None,
    size: int = CHUNK,
) -> Plan:
    """Sort pairs by workspace and write them down in chunks.

    Args:
        pairs: triples `(workspace, conversation_id, contact_id)` or `(workspace, Detach)`.
        folder: a new one; what it holds is readable by its owner alone.
        admin_id: for pairs without an admin of their own, in workspaces without one.
        size: pairs of a chunk at most.

    Raises:
        InvalidArgumentError: an item that is no pair, or a folder that holds a plan already.
    """
    home = Path(folder)
    if not 1 <= size <= CHUNK:
        raise InvalidArgumentError("size", size, f"a number from 1 to {CHUNK}")
    _begin(home)
    chunks: dict[str, int] = {}
    begun: dict[str, list[bytes]] = {}
    read = 0
    async with contextlib.aclosing(each(pairs)) as items:
        async for item in items:
            read += 1
            workspace, pair = as_routed(item, read)
            lines = begun.setdefault(workspace, [])
            lines.append(msgspec.json.encode(_Line(*attrs.astuple(pair))))
            if len(lines) == size:
                _write_chunk(home, workspace, chunks, begun.pop(workspace))
    for workspace, lines in begun.items():
        _write_chunk(home, workspace, chunks, lines)
    plan = Plan(chunks=chunks, pairs=read, admin_id=admin_id)
    _finish(home, plan)
    return plan


def read_plan(folder: str | os.PathLike[str]) -> Plan:
    """Read what `write_plan` wrote."""
    return msgspec.json.decode((Path(folder) / _PLAN).read_bytes(), type=Plan)


async def run_chunk(
    pool: IntercomPool, folder: str | os.PathLike[str], workspace: str, number: int
) -> ChunkState:
    """Detach the pairs of one chunk that are not settled yet.

    Args:
        pool: lends the workspace's client.
        folder: the plan's.
        workspace: whose chunk.
        number: which of its chunks, from 1.

    Raises:
        IntercomError: the workspace cannot be reached, or the journal cannot be used.
    """
    plan = read_plan(folder)
    pairs, journal = chunk_files(Path(folder), workspace, number)
    async with pool.lend(workspace) as (client, admin_id):
        try:
            summary = await client.detach_contacts(
                list(_read_chunk(pairs)),
                admin_id=admin_id if admin_id is not None else plan.admin_id,
                journal=journal,
            )
        except JournalLockedError:
            return "busy"
    return "done" if summary.stopped_by is None else "stopped"


def progress(folder: str | os.PathLike[str]) -> Progress:
    """Add up the journals of a plan, finished or not; safe while workers write them."""
    plan = read_plan(folder)
    found: dict[str, DetachSummary] = {}
    for workspace, count in plan.chunks.items():
        outcomes = dict.fromkeys(Outcome, 0)
        inferred = requests = retries = refusals = 0
        for number in range(1, count + 1):
            journal = chunk_files(Path(folder), workspace, number)[1]
            if not journal.exists():
                continue
            with contextlib.suppress(IntercomError):  # a first line that is not written yet
                for record in latest(journal):
                    outcomes[record.outcome] += 1
                    inferred += record.inferred
                    requests += record.attempts
                    retries += max(0, record.attempts - 1)
                    refusals += record.refusals
        found[workspace] = DetachSummary(
            outcomes=outcomes,
            inferred=inferred,
            requests=requests,
            retries=retries,
            refusals=refusals,
        )
    return Progress(pairs=plan.pairs, summary=PoolSummary(workspaces=found))


def _begin(home: Path) -> None:
    if (home / _PLAN).exists():
        raise InvalidArgumentError("folder", str(home), "a folder without a plan")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)


def _finish(home: Path, plan: Plan) -> None:
    draft = home / f"{_PLAN}.new"
    with rewrite(draft) as file:
        file.write(msgspec.json.encode(plan))
    draft.rename(home / _PLAN)  # complete or not there


def _write_chunk(home: Path, workspace: str, chunks: dict[str, int], lines: list[bytes]) -> None:
    chunks[workspace] = number = chunks.get(workspace, 0) + 1
    pairs, _ = chunk_files(home, workspace, number)
    pairs.parent.mkdir(mode=0o700, exist_ok=True)
    with rewrite(pairs) as file:
        file.write(b"\n".join(lines) + b"\n")


def _read_chunk(pairs: Path) -> Iterator[Detach]:
    with pairs.open("rb") as file:
        for line in file:
            found = msgspec.json.decode(line, type=_Line)
            yield Detach(found.conversation_id, found.contact_id, found.admin_id)
