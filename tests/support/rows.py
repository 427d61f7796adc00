"""What a journal says, for tests that look inside."""

import os
from pathlib import Path

from intercom_async import DetachResult, Outcome
from intercom_async.journal import Row, reader

Pair = tuple[str, str]

Key = tuple[str, str, str]
"""A workspace and a pair of it."""


def pair_of(result: DetachResult) -> Pair:
    return result.detach.conversation_id, result.detach.contact_id


def rows_in(path: str | os.PathLike[str]) -> dict[Pair, Row]:
    """All rows of a journal by pair; none where there is no journal."""
    if not Path(path).exists():
        return {}
    with reader.open(os.fspath(path)) as journal:
        return {(row.conversation_id, row.contact_id): row for row in journal.rows()}


def states_in(path: str | os.PathLike[str], run: str | None = None) -> dict[Key, str]:
    """The states of all pairs of a journal, in a file or in PostgreSQL."""
    with reader.open(path, run=run) as journal:
        return {row.key: row.state for row in journal.rows()}


def outcomes_in(path: str | os.PathLike[str]) -> dict[Pair, Outcome]:
    """The outcomes that a journal holds, by pair; those without one are left out."""
    return {
        pair: Outcome(row.state)
        for pair, row in rows_in(path).items()
        if row.state not in {"pending", "sending"}
    }


def settled_in(path: str | os.PathLike[str]) -> set[Pair]:
    """The pairs that a journal calls settled."""
    return {pair for pair, row in rows_in(path).items() if row.settled}
