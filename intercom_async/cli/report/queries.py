"""A journal in numbers, read at one moment, so that no number contradicts another."""

from collections.abc import Iterable
from typing import Final

import attrs

from intercom_async.cli.inputs import unread_inputs
from intercom_async.cli.report.chart import NARROWEST, Column
from intercom_async.detaching import NEEDS_DECISION, Outcome
from intercom_async.journal.people import PersonState
from intercom_async.journal.reader import KeptSession, Reader
from intercom_async.journal.row import UNSETTLED, Row, Source, State
from intercom_async.journal.store import KEY, NAMES, row_of

STATES: Final = tuple(map(str, (*Outcome, *State)))
_EXPLAINED: Final = (*UNSETTLED, *map(str, NEEDS_DECISION))

_CAUSES: Final = 15
_EXAMPLES: Final = 20  # pairs of each cause; with the number of causes, it bounds the page


def _one_of(states: Iterable[str]) -> str:
    return "('" + "', '".join(states) + "')"


_LEFT: Final = f"CASE WHEN state IN {_one_of(UNSETTLED)} THEN 1 ELSE 0 END"
_RETRIES: Final = "CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END"
_ADDENDS: Final = {
    "pairs": "1",
    "left": _LEFT,
    "settled_before": f"CASE WHEN session < ? THEN 1 - {_LEFT} ELSE 0 END",
    "inferred": "inferred",
    "second_tries": "second_try",
    "requests": "attempts",
    "retries": _RETRIES,
    "refusals": "refusals",
}
"""What a pair adds to each of these numbers, for the run and for its workspace."""

_WORKSPACES: Final = f"""
SELECT pair.workspace, max(app_id), max(app_name), min(updated_at), max(updated_at),
    {", ".join(f"sum({one})" for one in _ADDENDS.values())}
FROM pair LEFT JOIN workspace ON workspace.workspace = pair.workspace
GROUP BY 1"""  # noqa: S608  names of our own, as everywhere below

_TIMELINE: Final = f"""
SELECT CAST(round(updated_at / {NARROWEST} - 0.5) AS INTEGER) * {NARROWEST},
    count(*), sum({_LEFT}), sum({_RETRIES}), sum(refusals)
FROM pair WHERE state NOT IN {_one_of(State)} GROUP BY 1 ORDER BY 1"""  # noqa: S608

_GROUPS: Final = f"""
SELECT count(*), state, coalesce(error_type, ''), coalesce(status, 0), coalesce(code, '')
FROM pair WHERE state IN {_one_of(_EXPLAINED)}
GROUP BY 2, 3, 4, 5 ORDER BY 1 DESC, 2, 3, 4, 5 LIMIT {_CAUSES}"""  # noqa: S608

_ALIKE: Final = f"""
SELECT {NAMES} FROM pair WHERE state = ? AND coalesce(error_type, '') = ?
    AND coalesce(status, 0) = ? AND coalesce(code, '') = ?
ORDER BY {KEY} LIMIT {_EXAMPLES}"""  # noqa: S608


@attrs.frozen
class Workspace:
    """A workspace and its pairs; `left` of them are not settled."""

    workspace: str
    app_id: str | None
    app_name: str | None
    pairs: int
    left: int


@attrs.frozen
class ErrorGroup:
    """Pairs in one state whose errors have the same class, status and code; the first of them."""

    pairs: int
    examples: list[Row]


@attrs.frozen(kw_only=True)
class Report:
    """What a report says.

    Attributes:
        complete: whether every pair of the input is settled, as far as the journal knows.
        left: pairs that are not settled.
        settled_before: pairs that sessions before the last one settled.
        people: how many people have each state; empty in a run of pairs.
        unread: the last input that was not read to its end, None if all of them were.
        quota: the last limit that Intercom named, in requests per ten seconds.
        elapsed: seconds at work. For a session that was killed before it noted its numbers, this,
            requests, retries, refusals and duplicates come from the pairs' rows.
        moments: first and last update of a pair in Unix seconds; None without pairs.
        workspaces: those of the pairs; the ones with the most unsettled pairs come first.
        causes: why pairs are not settled or need a decision; the commonest come first.
        other_causes: pairs with causes that `causes` leaves out.
    """

    path: str
    operation: str
    base_url: str
    complete: bool
    pairs: int
    left: int
    settled_before: int
    inferred: int
    second_tries: int
    states: dict[str, int]
    people: dict[str, int]
    unread: Source | None
    quota: int | None
    elapsed: float
    requests: int
    retries: int
    refusals: int
    duplicates: int
    moments: tuple[float | None, float | None]
    sessions: list[KeptSession]
    workspaces: list[Workspace]
    causes: list[ErrorGroup]
    other_causes: int
    timeline: list[Column]


def gather(reader: Reader) -> Report:
    """Read a journal."""
    sessions, people, counts = reader.sessions, reader.people(), reader.counts()
    last = sessions[-1].number if sessions else 0
    totals = reader.query(_WORKSPACES, (last,))
    numbers = {name: sum(row[at] for row in totals) for at, name in enumerate(_ADDENDS, start=5)}
    workspaces = [Workspace(*row[:3], *row[5:7]) for row in totals]
    for name in ("elapsed", "requests", "retries", "refusals", "duplicates"):
        kept = sum(one.facts.get(name, 0) for one in sessions)
        numbers[name] = max(kept, numbers.get(name, 0))
    unread = next(reversed(unread_inputs(sessions)), None)
    known = all(PersonState(state).settled for state in people)
    causes = [
        ErrorGroup(pairs, [row_of(values) for values in reader.query(_ALIKE, alike)])
        for pairs, *alike in reader.query(_GROUPS)
    ]
    explained = sum(counts.get(state, 0) for state in _EXPLAINED)
    return Report(
        path=reader.path,
        operation=reader.binding.operation,
        base_url=reader.binding.base_url,
        complete=bool(sessions) and not numbers["left"] and known and unread is None,
        states={state: counts[state] for state in STATES if state in counts},
        people=people,
        unread=unread,
        quota=next((q for one in sessions[::-1] if (q := one.facts.get("quota_limit"))), None),
        **numbers,
        moments=(
            min((row[3] for row in totals), default=None),
            max((row[4] for row in totals), default=None),
        ),
        sessions=sessions,
        workspaces=sorted(workspaces, key=lambda one: (-one.left, -one.pairs)),
        causes=causes,
        other_causes=explained - sum(cause.pairs for cause in causes),
        timeline=[Column(*values) for values in reader.query(_TIMELINE)],
    )
