"""A journal in numbers, read at one moment, so that no number contradicts another."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import attrs

from intercom_async.cli.inputs import unread_inputs
from intercom_async.cli.report.chart import NARROWEST, Column
from intercom_async.detaching import NEEDS_DECISION, Outcome
from intercom_async.journal.people import PersonState
from intercom_async.journal.reader import KeptSession, Reader
from intercom_async.journal.row import SETTLED, UNSETTLED, Row, Source, State
from intercom_async.journal.store import KEY, NAMES, row_of

STATES: Final = tuple(map(str, (*Outcome, *State)))
_EXPLAINED: Final = (*UNSETTLED, *map(str, NEEDS_DECISION))

_CAUSES: Final = 15
_EXAMPLES: Final = 20  # pairs of each cause; with the number of causes, it bounds the page

_NUMBERS: Final = ("elapsed", "requests", "retries", "refusals", "duplicates")
_RETRIES: Final = "sum(CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END)"


def _one_of(states: Iterable[str]) -> str:
    return "('" + "', '".join(states) + "')"


_COUNTS: Final = f"""
SELECT workspace, state, count(*), sum(CASE WHEN session < ? THEN 1 ELSE 0 END), sum(inferred),
    sum(second_try), sum(attempts), {_RETRIES}, sum(refusals)
FROM pair GROUP BY workspace, state"""  # noqa: S608  names of our own, as everywhere below

_TIMELINE: Final = f"""
SELECT CAST(round(updated_at / {NARROWEST} - 0.5) AS INTEGER) * {NARROWEST}, count(*),
    sum(CASE WHEN state IN {_one_of(SETTLED)} THEN 0 ELSE 1 END), {_RETRIES}, sum(refusals)
FROM pair WHERE state NOT IN {_one_of(State)} GROUP BY 1 ORDER BY 1"""  # noqa: S608

_GROUPS: Final = f"""
SELECT count(*), state, coalesce(error_type, ''), coalesce(status, 0), coalesce(code, '')
FROM pair WHERE state IN {_one_of(_EXPLAINED)}
GROUP BY 2, 3, 4, 5 ORDER BY 1 DESC, 2, 3, 4, 5 LIMIT {_CAUSES}"""  # noqa: S608

_ALIKE: Final = f"""
SELECT {NAMES} FROM pair WHERE state = ? AND coalesce(error_type, '') = ?
    AND coalesce(status, 0) = ? AND coalesce(code, '') = ?
ORDER BY {KEY} LIMIT {_EXAMPLES}"""  # noqa: S608


@attrs.define
class Workspace:
    """A workspace and its pairs; `left` of them are not settled."""

    workspace: str
    app_id: str | None = None
    app_name: str | None = None
    pairs: int = 0
    left: int = 0


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
        elapsed: seconds at work. It, requests, retries, refusals and duplicates are those of the
            pairs' rows where a session that was killed did not note its own.
        moments: first and last update of a pair in Unix seconds; None without pairs.
        workspaces: the ones with the most unsettled pairs come first.
        causes: why pairs are not settled or need a decision; the commonest come first.
        other_causes: pairs whose causes are left out of `causes`.
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
    sessions, people = reader.sessions, reader.people()
    named = reader.query("SELECT workspace, app_id, app_name FROM workspace")
    workspaces = {row[0]: Workspace(*row) for row in named}
    states, kept, counted = Counter[str](), Counter[str](), Counter[str]()
    last = sessions[-1].number if sessions else 0
    for key, state, pairs, earlier, inferred, second, *costs in reader.query(_COUNTS, (last,)):
        settled = state in SETTLED
        workspace = workspaces.setdefault(key, Workspace(key))
        workspace.pairs += pairs
        workspace.left += 0 if settled else pairs
        states[state] += pairs
        counted.update(inferred=inferred, second=second, earlier=earlier if settled else 0)
        counted.update(dict(zip(("requests", "retries", "refusals"), costs, strict=True)))
    for one in sessions:
        kept.update({name: one.facts.get(name, 0) for name in _NUMBERS})
    numbers = kept | counted
    left = sum(states[state] for state in UNSETTLED)
    unread = next(reversed(unread_inputs(sessions)), None)
    known = all(PersonState(state).settled for state in people)
    causes = [
        ErrorGroup(pairs, [row_of(values) for values in reader.query(_ALIKE, alike)])
        for pairs, *alike in reader.query(_GROUPS)
    ]
    explained = sum(states[state] for state in _EXPLAINED)
    return Report(
        path=reader.path,
        operation=reader.binding.operation,
        base_url=reader.binding.base_url,
        complete=bool(sessions) and not left and known and unread is None,
        pairs=states.total(),
        left=left,
        settled_before=counted["earlier"],
        inferred=counted["inferred"],
        second_tries=counted["second"],
        states={state: states[state] for state in STATES if states[state]},
        people=people,
        unread=unread,
        quota=next((q for one in sessions[::-1] if (q := one.facts.get("quota_limit"))), None),
        **{name: numbers[name] for name in _NUMBERS},
        moments=reader.query("SELECT min(updated_at), max(updated_at) FROM pair")[0],
        sessions=sessions,
        workspaces=sorted(workspaces.values(), key=lambda one: (-one.left, -one.pairs)),
        causes=causes,
        other_causes=explained - sum(cause.pairs for cause in causes),
        timeline=[Column(*values) for values in reader.query(_TIMELINE)],
    )
