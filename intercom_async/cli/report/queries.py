"""A journal in numbers, read within one transaction: no number contradicts another."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from intercom_async.cli.report.causes import Cause, Left, Unsettled, grouped
from intercom_async.cli.report.timeline import Column, base_for
from intercom_async.detaching import Outcome

SETTLED: Final = frozenset(outcome.value for outcome in Outcome if outcome.settled)

_SESSIONS: Final = """
SELECT number, started_at, ended_at, source_kind, source_name, input_ended, coalesce(requests, 0),
    coalesce(retries, 0), coalesce(refusals, 0), coalesce(duplicates, 0), coalesce(elapsed, 0),
    quota_limit, ending, stopped_by
FROM session ORDER BY number"""

_COUNTS: Final = """
SELECT workspace, state, session, count(*), sum(inferred), sum(second_try), min(updated_at),
    max(updated_at)
FROM pair GROUP BY workspace, state, session"""

_LEFT: Final = """
SELECT state, error_type, status, code, workspace, conversation_id, contact_id, request_id,
    substr(error, 1, 400), updated_at
FROM pair WHERE state NOT IN ('detached', 'attached', 'already_absent', 'conversation_missing')"""

_SLOTS: Final = """
SELECT CAST(updated_at / ? AS INTEGER), state, count(*),
    sum(CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END), sum(refusals)
FROM pair WHERE state NOT IN ('pending', 'sending') GROUP BY 1, 2 ORDER BY 1"""


@attrs.frozen
class Session:
    """One process's time with the journal, as it counted itself. Times are Unix seconds."""

    number: int
    started_at: float
    ended_at: float | None
    source_kind: str | None
    source_name: str | None
    input_ended: bool
    requests: int
    retries: int
    refusals: int
    duplicates: int
    elapsed: float
    quota: int | None
    ending: str | None
    stopped_by: str | None


@attrs.define
class Workspace:
    """A workspace and its pairs by state."""

    workspace: str
    app_id: str | None = None
    app_name: str | None = None
    states: dict[str, int] = attrs.Factory(dict[str, int])

    @property
    def pairs(self) -> int:
        """All of them."""
        return sum(self.states.values())

    @property
    def left(self) -> int:
        """Those that are not settled."""
        return sum(count for state, count in self.states.items() if state not in SETTLED)


@attrs.frozen(kw_only=True)
class Facts:
    """What a report says.

    Attributes:
        states: pairs by state, in the order of `Outcome`, then sending and pending.
        settled_before: pairs that sessions before the last one settled.
        second_tries: pairs whose fate is that of a second try.
        first_record: Unix seconds, None without a pair; so `last_record`.
        causes: why pairs are not settled or need a decision, the most frequent first.
        slots: what became of pairs over time, by `base` seconds.
    """

    operation: str
    base_url: str
    created_at: float
    workspaces: tuple[Workspace, ...]
    sessions: tuple[Session, ...]
    states: Mapping[str, int]
    inferred: int
    settled_before: int
    second_tries: int
    first_record: float | None
    last_record: float | None
    causes: tuple[Cause, ...]
    slots: Mapping[int, Column]
    base: int

    @property
    def pairs(self) -> int:
        """All pairs of the journal."""
        return sum(self.states.values())

    @property
    def left(self) -> int:
        """Pairs that are not settled."""
        return sum(count for state, count in self.states.items() if state not in SETTLED)

    @property
    def input_ended(self) -> bool:
        """Whether the last session read its input to its end."""
        return bool(self.sessions) and self.sessions[-1].input_ended

    @property
    def complete(self) -> bool:
        """Whether every pair of the input is settled, as far as the journal knows."""
        return self.input_ended and not self.left

    @property
    def elapsed(self) -> float:
        """Seconds at work, all sessions together."""
        return sum(session.elapsed for session in self.sessions)

    @property
    def quota(self) -> int | None:
        """The last known limit in requests per ten seconds."""
        return next((one.quota for one in reversed(self.sessions) if one.quota), None)

    def total(self, name: str) -> int:
        """The sum of a member of `Session`."""
        return sum(getattr(session, name) for session in self.sessions)


def gather(connection: sqlite3.Connection) -> Facts:
    """Read a journal as it is now; memory is bounded whatever the number of pairs."""
    connection.execute("BEGIN")
    try:
        return _gather(connection)
    finally:
        connection.execute("ROLLBACK")


def _gather(connection: sqlite3.Connection) -> Facts:
    operation, base_url, created_at = connection.execute(
        "SELECT operation, base_url, created_at FROM run"
    ).fetchone()
    sessions = tuple(Session(*row) for row in connection.execute(_SESSIONS))
    last = sessions[-1].number if sessions else 0
    rows = connection.execute("SELECT workspace, app_id, app_name FROM workspace")
    workspaces = {row[0]: Workspace(*row) for row in rows}
    states = dict.fromkeys((*(outcome.value for outcome in Outcome), "sending", "pending"), 0)
    before = inferred = second_tries = 0
    times: list[float] = []
    for key, state, session, count, concluded, second, first, latest in connection.execute(_COUNTS):
        one = workspaces.setdefault(key, Workspace(key))
        one.states[state] = one.states.get(state, 0) + count
        states[state] = states.get(state, 0) + count
        before += count if state in SETTLED and session < last else 0
        inferred += concluded
        second_tries += second
        times += (first, latest)
    times = [min(times), max(times)] if times else []
    span = times[1] - times[0] if times else 0.0
    base = base_for(sum(session.elapsed for session in sessions) or span, span)
    return Facts(
        operation=operation,
        base_url=base_url,
        created_at=created_at,
        workspaces=tuple(workspaces.values()),
        sessions=sessions,
        states={state: count for state, count in states.items() if count},
        inferred=inferred,
        settled_before=before,
        second_tries=second_tries,
        first_record=times[0] if times else None,
        last_record=times[1] if times else None,
        causes=tuple(grouped(_left(connection))),
        slots=_slots(connection, base),
        base=base,
    )


def _left(connection: sqlite3.Connection) -> Iterator[Unsettled]:
    for state, error_type, status, code, *facts in connection.execute(_LEFT):
        yield state, error_type, status, code, Left(*facts)


def _slots(connection: sqlite3.Connection, base: int) -> dict[int, Column]:
    slots: dict[int, Column] = {}
    for slot, state, count, retries, refusals in connection.execute(_SLOTS, (float(base),)):
        settled = state in SETTLED
        column = Column(count if settled else 0, 0 if settled else count, retries, refusals)
        slots.setdefault(slot, Column()).add(column)
    return slots
