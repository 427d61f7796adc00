"""A journal in numbers, read at one moment, so that no number contradicts another."""

import itertools
import operator
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs

from intercom_async.cli.inputs import unread_inputs
from intercom_async.cli.report.chart import Column, base_for
from intercom_async.detaching import Outcome
from intercom_async.journal.people import PersonState
from intercom_async.journal.reader import KeptSession, Reader
from intercom_async.journal.row import SETTLED, Row, Source, State
from intercom_async.journal.store import COLUMNS, row_of

STATES: Final = tuple(map(str, (*Outcome, *State)))
UNSETTLED: Final = tuple(state for state in STATES if state not in SETTLED)
_WITH_ERROR: Final = tuple(
    map(str, (Outcome.FAILED, Outcome.UNKNOWN, Outcome.REFUSED_LAST_CONTACT))
)

NUMBERS: Final = ("elapsed", "requests", "retries", "refusals", "duplicates")
EXAMPLES: Final = 100  # pairs of each cause
_MOST: Final = 50  # causes that a report has

_COUNTS: Final = """
SELECT workspace, state, session, count(*), sum(inferred), sum(second_try), sum(attempts),
    sum(CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END), sum(refusals)
FROM pair GROUP BY workspace, state, session"""

_SLOTS: Final = """
SELECT CAST(round(updated_at - 0.5) AS INTEGER) / ?, state, count(*),
    sum(CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END), sum(refusals)
FROM pair WHERE state NOT IN ('pending', 'sending') GROUP BY 1, 2 ORDER BY 1"""

_CAUSES: Final = f"""
SELECT cause, pairs, {", ".join(COLUMNS)} FROM (
    SELECT *, dense_rank() OVER (ORDER BY pairs DESC, state, error_type, status, code) AS cause
    FROM (
        SELECT *, count(*) OVER alike AS pairs,
            row_number() OVER (alike ORDER BY workspace, conversation_id, contact_id) AS place
        FROM pair WHERE state IN ({", ".join("?" * len(_WITH_ERROR))})
        WINDOW alike AS (PARTITION BY state, error_type, status, code)
    ) AS counted WHERE place <= {EXAMPLES}
) AS ranked WHERE cause <= {_MOST} ORDER BY cause, place"""  # noqa: S608  names of our own


@attrs.define
class Workspace:
    """A workspace and its pairs."""

    workspace: str
    app_id: str | None = None
    app_name: str | None = None
    pairs: int = 0
    left: int = 0


@attrs.frozen
class ErrorGroup:
    """Pairs in one state whose errors have the same class, status and code.

    The error is that of the first of the `examples`.
    """

    pairs: int
    state: str
    error_type: str | None
    status: int | None
    code: str | None
    error: str | None
    examples: list[Row]


@attrs.define
class Report:
    """What a report says.

    Attributes:
        people: how many people have each state; empty in a run of pairs.
        unread: the last input that was not read to its end, None if all of them were.
        quota: the last limit that Intercom named, in requests per ten seconds.
        left: pairs that are not settled.
        workspaces: the ones with the most unsettled pairs come first.
        causes: why pairs are not settled or need a decision; the commonest come first.
        with_cause: the number of pairs that `causes` is about.
        slots: the outcomes over time; slot n begins at n x `base` Unix seconds.
        settled_before: pairs that sessions before the last one settled.
        numbers: seconds at work, requests, retries, refusals and duplicates; those of the pairs'
            rows where a session that was killed did not note its own.
        moments: first and last update of a pair in Unix seconds; empty without pairs.
    """

    path: str
    operation: str
    base_url: str
    sessions: list[KeptSession]
    people: dict[str, int]
    unread: Source | None
    quota: int | None
    pairs: int = 0
    left: int = 0
    with_cause: int = 0
    states: dict[str, int] = attrs.Factory(dict[str, int])
    workspaces: list[Workspace] = attrs.Factory(list[Workspace])
    causes: list[ErrorGroup] = attrs.Factory(list[ErrorGroup])
    slots: dict[int, Column] = attrs.Factory(dict[int, Column])
    base: int = 1
    inferred: int = 0
    settled_before: int = 0
    second_tries: int = 0
    numbers: Counter[str] = attrs.Factory(Counter[str])
    moments: list[float] = attrs.Factory(list[float])

    @property
    def complete(self) -> bool:
        """Whether every pair of the input is settled, as far as the journal knows."""
        people = all(PersonState(state).settled for state in self.people)
        return bool(self.sessions) and not self.left and people and self.unread is None


def gather(reader: Reader) -> Report:
    """Read a journal in bounded memory."""
    sessions = reader.sessions
    facts = Report(
        path=reader.path,
        operation=reader.binding.operation,
        base_url=reader.binding.base_url,
        sessions=sessions,
        people=reader.people(),
        unread=next(reversed(unread_inputs(sessions)), None),
        quota=next((q for one in sessions[::-1] if (q := one.facts.get("quota_limit"))), None),
    )
    _count(reader, facts)
    facts.causes = _causes(reader, facts.states)
    if facts.pairs:
        facts.moments = [*reader.query("SELECT min(updated_at), max(updated_at) FROM pair")[0]]
    span = facts.moments[-1] - facts.moments[0] if facts.moments else 0.0
    facts.base = base_for(facts.numbers["elapsed"] or span, span)
    for slot, state, count, retries, refusals in reader.query(_SLOTS, (facts.base,)):
        column = facts.slots.setdefault(slot, Column())
        column.update(pairs=count, retries=retries, refusals=refusals)
        column["settled" if state in SETTLED else "unsettled"] += count
    return facts


def _count(reader: Reader, facts: Report) -> None:
    last = facts.sessions[-1].number if facts.sessions else 0
    named = reader.query("SELECT workspace, app_id, app_name FROM workspace")
    workspaces = {row[0]: Workspace(*row) for row in named}
    states, spent = Counter[str](), Counter[str]()
    for key, state, session, count, inferred, second_tries, *costs in reader.query(_COUNTS):
        settled = count if state in SETTLED else 0
        workspace = workspaces.setdefault(key, Workspace(key))
        workspace.pairs += count
        workspace.left += count - settled
        states[state] += count
        spent.update(dict(zip(("requests", "retries", "refusals"), costs, strict=True)))
        facts.settled_before += settled if session < last else 0
        facts.inferred += inferred
        facts.second_tries += second_tries
    kept = Counter[str]()
    for one in facts.sessions:
        kept.update({name: one.facts.get(name, 0) for name in NUMBERS})
    facts.numbers = kept | spent
    facts.states = {state: states[state] for state in STATES if states[state]}
    facts.workspaces = sorted(workspaces.values(), key=lambda one: (-one.left, -one.pairs))
    facts.pairs = states.total()
    facts.left = sum(states[state] for state in UNSETTLED)
    facts.with_cause = facts.left + states[Outcome.REFUSED_LAST_CONTACT]


def _causes(reader: Reader, states: Mapping[str, int]) -> list[ErrorGroup]:
    causes: list[ErrorGroup] = []
    for state in State:  # there may be millions, all for one reason
        rows = [*itertools.islice(reader.rows([state]), EXAMPLES)]
        causes += [_cause(states[state], rows)] if rows else []
    examples = reader.query(_CAUSES, _WITH_ERROR)
    for (_, pairs), alike in itertools.groupby(examples, key=operator.itemgetter(0, 1)):
        causes.append(_cause(pairs, [row_of(values[2:]) for values in alike]))
    return sorted(causes, key=lambda cause: -cause.pairs)


def _cause(pairs: int, rows: list[Row]) -> ErrorGroup:
    one = rows[0]
    return ErrorGroup(pairs, one.state, one.error_type, one.status, one.code, one.error, rows)
