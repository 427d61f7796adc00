"""What a session keeps, and gives back."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import APIError
from intercom_async.journal import (
    Facts,
    Journal,
    JournalError,
    JournalMismatchError,
    Row,
    Session,
    Source,
    State,
    Wanted,
)
from intercom_async.journal import reader as journal_reader
from intercom_async.journal.row import UNSETTLED
from intercom_async.runtime import Runtime
from tests.journal.helpers import (
    ACME,
    files,
    journal_of,
    opened,
    pair,
    ran,
    row,
)

FULL = Row(
    conversation_id="1295",
    contact_id="5ba682d2",
    admin_id="5017690",
    workspace="acme",
    state="failed",
    inferred=True,
    in_doubt=True,
    attempts=3,
    refusals=2,
    status=503,
    code="server_error",
    error_type="ServerError",
    error="HTTP 503, „später“ 🕊",
    request_id="r-1",
    deferred=True,
    second_try=True,
)


async def test_a_row_comes_back_as_it_was_given_with_its_session_and_time(place: Journal) -> None:
    class Noon(Runtime):
        def wall(self) -> float:
            return 1764108891.1234

    session = await place.open(ACME, runtime=Noon())
    await session.write(FULL)
    pairs = [Detach("0", "0"), Detach("1295", "5ba682d2", "7"), Detach("1295", "other")]
    kept = replace(FULL, session=1, updated_at=1764108891.123)
    assert await session.look_up(pairs, "acme") == [None, kept, None]
    assert await session.look_up([]) == []
    await session.close()


async def test_texts_that_no_database_takes_are_escaped(place: Journal) -> None:
    session = await opened(place)
    error = APIError(status=400, code="\ud800\0", message="odd \udc80 text")
    result = DetachResult(detach=pair(1), outcome=Outcome.FAILED, error=error)
    await session.write(Row.of(result, admin_id=None, workspace="", deferred=False))
    (found,) = await session.look_up([pair(1)])
    assert found is not None
    assert found.code == r"\ud800\x00"
    assert r"odd \udc80 text" in (found.error or "")
    await session.close(stopped_by="\0\udc80")


async def test_rows_that_nobody_waits_for_are_told_when_they_are_kept(
    place: Journal,
) -> None:
    session = await opened(place)
    told: list[BaseException | None] = []
    for number in range(3):
        session.record(row(number), told.append)
    assert told == ([] if place.path else [None, None, None])
    assert None not in await session.look_up([pair(number) for number in range(3)])
    assert told == [None, None, None]
    await session.close()
    session.record(row(4), told.append)
    assert "is closed" in str(told[3])


async def test_new_pairs_are_kept_as_pending_until_they_are_taken_and_known_ones_stay_as_they_are(
    lasting: Journal,
) -> None:
    session = await opened(lasting)
    await session.write(row(1, workspace="acme"))
    asked = [row(1, "pending", workspace="umbrella")]
    asked += [row(number, "pending", workspace="acme") for number in (1, 2, 2, *range(3, 30))]
    other, known, new, again, *_ = await session.plan(asked)
    assert (other, new) == (None, None)
    assert known is not None
    assert again is not None
    assert (known.state, again.state, again.session) == ("detached", "pending", -session.number)
    taken: list[Row] = []
    while page := await session.take("acme", after=taken[-1] if taken else None, limit=7):
        taken += page
    assert [one.conversation_id for one in taken] == [f"c{number:04}" for number in range(2, 30)]
    assert await session.take("acme", after=None, limit=7) == []
    await session.close()
    session = await opened(lasting)
    assert await session.workspaces() == ["acme", "umbrella"]
    assert await session.take("umbrella", after=None, limit=7) == []
    (left,) = await session.plan(asked[:1])
    assert left is not None
    assert session.leaves(left)
    assert len(await session.take("umbrella", after=None, limit=7)) == 1
    await session.close()


async def test_a_closed_session_has_its_numbers_and_source(path: Path) -> None:
    source = Source(kind="file", name="/data/pairs.csv", columns={"conversation_id": "Id"})
    facts: Facts = {"requests": 7, "ending": "stopped", "stopped_by": "a 401"}
    session = await Journal(path, source=source).open(ACME)
    await session.end_input()
    await session.close(**facts)
    await session.close(requests=9)
    with journal_reader.open(path) as reader:
        (found,) = reader.sessions
    assert (found.source, found.input_ended, found.facts) == (source, True, facts)
    assert found.ended_at is not None
    assert found.started_at <= found.ended_at


GLOBEX = {"app_id": "app2", "app_name": "Globex"}


@pytest.mark.parametrize(
    ("change", "what", "told"),
    [
        ({"operation": "attach"}, "operation", "detach.*attach"),
        ({"base_url": "https://api.eu.x"}, "base_url", r"api\.intercom\.io.*api\.eu\.x"),
        (GLOBEX, "workspace", r"Acme \(app1\).*Globex \(app2\)"),
    ],
)
async def test_a_run_of_another_kind_is_refused_naming_both_and_changes_nothing(
    lasting: Journal, tmp_path: Path, change: dict[str, str], what: str, told: str
) -> None:
    unknown = attrs.evolve(ACME, app_id=None, app_name=None)
    renamed = attrs.evolve(ACME, app_name="Acme, renamed")
    for binding in (unknown, ACME, renamed, unknown):  # an unknown workspace is no other one
        await (await opened(lasting, binding)).close()
    before = files(tmp_path)
    with pytest.raises(JournalMismatchError, match=told) as caught:
        await opened(lasting, attrs.evolve(ACME, **change))
    assert caught.value.what == what
    assert files(tmp_path) == before
    await ran(lasting)


_CONVERSATIONS, _CONTACTS = ("0x", "1", "2", "é"), ("A", "a", "b")
_PAIRS = [Detach(*ids) for ids in itertools.product(_CONVERSATIONS, _CONTACTS)]
_ROWS = st.builds(
    Row,
    conversation_id=st.sampled_from(_CONVERSATIONS),
    contact_id=st.sampled_from(_CONTACTS),
    state=st.sampled_from([*map(str, State), *map(str, Outcome)]),
    deferred=st.booleans(),
)
_STEPS = st.lists(st.none() | st.lists(_ROWS, max_size=5), max_size=12)
"""What is written at once; None for a new session."""


@pytest.mark.parametrize("kind", ["file", "temporary", "postgres"])
@given(steps=_STEPS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_the_journal_equals_a_dictionary(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    steps: list[list[Row] | None],
) -> None:
    place = journal_of(kind, request, tmp_path_factory.mktemp("model"))
    model: dict[Detach, tuple[str, bool, int]] = {}

    async def pages(session: Session, wanted: Wanted) -> list[Detach]:
        found: list[Row] = []
        while page := await session.rows(wanted, after=found[-1] if found else None, limit=2):
            found += page
        return [one.pair for one in found]

    async def agree(session: Session) -> None:
        found = [one for one in await session.look_up(_PAIRS) if one is not None]
        assert {one.pair: (one.state, one.deferred, one.session) for one in found} == model
        own = {pair for pair, (_, _, number) in model.items() if number == session.number}
        left = {pair for pair, (state, *_) in model.items() if state in UNSETTLED} - own
        deferred = {pair for pair in own if model[pair][1]}
        assert await pages(session, Wanted.LEFT) == [one for one in _PAIRS if one in left]
        assert await pages(session, Wanted.DEFERRED) == [one for one in _PAIRS if one in deferred]

    async def play() -> None:
        session = await opened(place)
        for step in steps:
            rows = step or []
            writing = [asyncio.ensure_future(session.write(one)) for one in rows]
            await asyncio.sleep(0)
            model.update({one.pair: (one.state, one.deferred, session.number) for one in rows})
            if step is None and place.path is not None:
                await session.close()
                session = await opened(place)
                assert session.resumed
                assert session.before == Counter(state for state, *_ in model.values())
            await agree(session)  # before the rows are on the disk
            await asyncio.gather(*writing)
        await session.close()

    asyncio.run(play())


async def test_the_tables_can_be_queried_by_people(path: Path) -> None:
    failed = row(2, "failed", status=503, error="HTTP 503")
    await ran(path, row(1, inferred=True), failed, row(3, "sending"))

    with journal_reader.open(path) as journal:
        outcomes = journal.query("SELECT state, pairs, inferred FROM outcomes ORDER BY state")
        assert outcomes == [("detached", 1, 1), ("failed", 1, 0), ("sending", 1, 0)]
        text = "SELECT conversation_id, error, updated_at LIKE '2%T%Z' FROM failures"
        assert journal.query(text) == [("c0002", "HTTP 503", 1), ("c0003", None, 1)]
        timeline = journal.query("SELECT state, pairs FROM timeline ORDER BY state")
        assert timeline == [("detached", 1), ("failed", 1)]
        assert journal.query("PRAGMA application_id") == [(int.from_bytes(b"icas", "big"),)]


async def test_a_closed_session_refuses_everything_by_name(lasting: Journal) -> None:
    session = await opened(lasting)
    await session.close()
    for call in (
        session.write(row(1)),
        session.look_up([pair(1)]),
        session.rows(Wanted.LEFT, after=None),
        session.end_input(),
        session.note(),
        session.bind("", "app1", None),
    ):
        with pytest.raises(JournalError, match="is closed"):
            await call
    await session.close()
