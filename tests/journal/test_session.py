"""What a session keeps, and gives back."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import APIError
from intercom_async.journal import (
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
from intercom_async.runtime import Runtime
from tests.journal.helpers import (
    ACME,
    InPostgres,
    Place,
    files,
    journal_at,
    kept,
    opened,
    pair,
    place_of,
    ran,
    row,
    until,
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


async def test_a_row_comes_back_as_it_was_given_with_its_session_and_time(
    place: Place,
) -> None:
    class Noon(Runtime):
        def wall(self) -> float:
            return 1764108891.1234

    session = await journal_at(place).open(ACME, runtime=Noon())
    await session.write(FULL)
    pairs = [Detach("0", "0"), Detach("1295", "5ba682d2", "7"), Detach("1295", "other")]
    assert await session.look_up(pairs, "acme") == [
        None,
        replace(FULL, session=1, updated_at=1764108891.123),
        None,
    ]
    if not isinstance(place, InPostgres):  # where a journal is open for one workspace
        assert await session.look_up(pairs) == [None, None, None]
    assert await session.look_up([]) == []
    await session.close()


async def test_rows_are_seen_as_soon_as_they_are_given(place: Place) -> None:
    session = await opened(place)
    writing = [asyncio.ensure_future(session.write(row(n))) for n in range(300)]
    await asyncio.sleep(0)
    found = await session.look_up([pair(n) for n in range(300)])
    assert [one and one.contact_id for one in found] == [f"k{n}" for n in range(300)]
    await asyncio.gather(*writing)
    await session.close()


async def test_a_new_session_goes_on_where_the_last_one_ended(lasting: Path | InPostgres) -> None:
    first = await opened(lasting)
    assert (first.number, first.resumed, dict(first.before)) == (1, False, {})
    await first.write(row(1))
    await first.write(row(2, "failed", deferred=True))
    await first.write(row(3, State.SENDING))
    await first.close()

    second = await opened(lasting)
    assert (second.number, second.resumed) == (2, True)
    assert second.before == {Outcome.DETACHED: 1, Outcome.FAILED: 1, State.SENDING: 1}
    assert await second.rows(Wanted.DEFERRED, after=None) == []
    left = await second.rows(Wanted.LEFT, after=None)
    assert [(one.conversation_id, one.state) for one in left] == [
        ("c0002", "failed"),
        ("c0003", "sending"),
    ]
    await second.write(row(2, "failed"))
    assert await second.rows(Wanted.LEFT, after=left[0]) == left[1:]
    assert [one.conversation_id for one in await second.rows(Wanted.LEFT, after=None)] == ["c0003"]
    await second.close()


async def test_pages_of_rows_that_wait_for_their_second_try_cover_each_once(
    place: Place,
) -> None:
    session = await opened(place)
    for number in range(25):
        await session.write(row(number, "failed", deferred=number % 2 == 0))
    seen: list[str] = []
    after = None
    while page := await session.rows(Wanted.DEFERRED, after=after, limit=4):
        seen += [one.conversation_id for one in page]
        after = page[-1]
        await session.write(replace(page[0], state="detached", deferred=False))
    assert seen == [f"c{number:04}" for number in range(0, 25, 2)]
    await session.close()


async def test_texts_that_no_database_takes_are_escaped(place: Place) -> None:
    session = await opened(place)
    error = APIError(status=400, code="\ud800\0", message="odd \udc80 text")
    result = DetachResult(detach=pair(1), outcome=Outcome.FAILED, error=error)
    await session.write(Row.of(result, admin_id=None, workspace="", deferred=False))
    (found,) = await session.look_up([pair(1)])
    assert found is not None
    assert found.code == r"\ud800\x00"
    assert r"odd \udc80 text" in (found.error or "")
    await session.close(stopped_by="\0\udc80")


async def test_a_large_batch_is_written_whole_or_not_at_all(path: Path) -> None:
    session = await opened(path)
    rows = [row(number) for number in range(500)]
    bad = replace(rows[-1], attempts=2**70)  # no database holds such a number
    told = await asyncio.gather(*map(session.write, [*rows, bad]), return_exceptions=True)
    assert all(isinstance(one, OverflowError) for one in told)
    assert kept(path) == {}
    await session.write(rows[0])
    assert len(kept(path)) == 1
    await session.close()


async def test_rows_that_nobody_waits_for_are_told_when_they_are_kept(
    place: Place,
) -> None:
    session = await opened(place)
    told: list[BaseException | None] = []
    for number in range(3):
        session.record(row(number), told.append)
    assert told == ([] if place else [None, None, None])
    assert None not in await session.look_up([pair(number) for number in range(3)])
    assert told == [None, None, None]
    await session.close()
    session.record(row(4), told.append)
    assert "is closed" in str(told[3])


async def test_few_rows_of_a_temporary_journal_wait_in_memory() -> None:
    session = await opened(None)
    for number in range(3000):
        await session.write(row(number))
    await until(lambda: len(session._rows) < 500)
    await session.close()


async def pending(session: Session, workspace: str, *, limit: int = 1000) -> list[str]:
    found: list[Row] = []
    while page := await session.rows(
        Wanted.PLANNED, after=found[-1] if found else None, limit=limit, workspace=workspace
    ):
        found += page
    return [one.conversation_id for one in found]


async def test_new_pairs_are_kept_as_pending_and_known_ones_stay_as_they_are(
    place: Place,
) -> None:
    session = await opened(place)
    await session.write(row(1, workspace="acme"))
    asked = [
        row(1, "pending", workspace="acme"),
        row(1, "pending", workspace="umbrella"),
        row(2, "pending", workspace="acme"),
        row(2, "pending", workspace="acme"),
    ]
    known, other, new, again = await session.plan(asked)
    assert known is not None
    assert known.state == "detached"
    assert other is None
    assert new is None
    assert again is not None
    assert (again.state, again.session) == ("pending", -session.number)
    assert await session.plan([]) == []
    assert await pending(session, "acme") == ["c0002"]
    assert await pending(session, "umbrella") == ["c0001"]
    await session.plan([row(number, "pending", workspace="acme") for number in range(3, 30)])
    numbers = range(2, 30)
    assert await pending(session, "acme", limit=7) == [f"c{number:04}" for number in numbers]
    await session.close()


async def test_workspaces_are_those_of_which_earlier_sessions_left_something(
    lasting: Path | InPostgres,
) -> None:
    first = await opened(lasting)
    await first.plan([row(1, "pending", workspace="left"), row(1, "pending", workspace="again")])
    await first.write(row(1, workspace="done"))
    await first.close()
    second = await opened(lasting)
    assert await second.workspaces() == ["again", "left"]
    assert await pending(second, "left") == []
    await second.close()


class TestNumbers:
    async def test_a_closed_session_has_its_numbers_and_source(self, path: Path) -> None:
        source = Source(
            kind="file", name="/data/pairs.csv", columns={"conversation_id": "Conversation"}
        )
        session = await Journal(path, source=source).open(ACME)
        await session.end_input()
        await session.close(requests=7, retries=1, ending="stopped", stopped_by="a 401")
        await session.close(requests=9)
        with journal_reader.open(path) as reader:
            (found,) = reader.sessions
        assert (found.number, found.source, found.input_ended) == (1, source, True)
        assert found.ended_at is not None
        assert found.started_at <= found.ended_at
        assert found.facts == {
            "requests": 7,
            "retries": 1,
            "ending": "stopped",
            "stopped_by": "a 401",
        }


class TestBinding:
    @pytest.mark.parametrize(
        ("change", "what", "told"),
        [
            ({"operation": "attach"}, "operation", "detach.*attach"),
            (
                {"base_url": "https://api.eu.intercom.io"},
                "base_url",
                r"api\.intercom\.io.*api\.eu\.intercom\.io",
            ),
            (
                {"app_id": "app2", "app_name": "Globex"},
                "workspace",
                r"Acme \(app1\).*Globex \(app2\)",
            ),
        ],
    )
    async def test_a_run_of_another_kind_is_refused_naming_both_and_changes_nothing(
        self,
        lasting: Path | InPostgres,
        tmp_path: Path,
        change: dict[str, str],
        what: str,
        told: str,
    ) -> None:
        await ran(lasting, row(1))
        before = files(tmp_path)
        with pytest.raises(JournalMismatchError, match=told) as caught:
            await opened(lasting, attrs.evolve(ACME, **change))
        assert caught.value.what == what
        assert files(tmp_path) == before
        await ran(lasting)

    async def test_an_unknown_workspace_is_accepted_and_filled_in_once_known(
        self, lasting: Path | InPostgres
    ) -> None:
        unknown = attrs.evolve(ACME, app_id=None, app_name=None)
        for binding in (unknown, unknown, ACME, unknown, ACME):
            await (await opened(lasting, binding)).close()
        with pytest.raises(JournalMismatchError, match=r"Acme \(app1\).*app2"):
            await opened(lasting, attrs.evolve(unknown, app_id="app2"))

    async def test_each_key_of_a_run_of_many_stands_for_one_workspace(
        self, lasting: Path | InPostgres
    ) -> None:
        session = await opened(lasting, attrs.evolve(ACME, app_id=None))
        await session.bind("a", "app1", "Acme")
        await session.bind("b", "app2", None)
        await session.bind("a", "app1", "Acme, renamed")
        with pytest.raises(JournalMismatchError, match=r"Acme \(app1\).*Globex \(app3\)"):
            await session.bind("a", "app3", "Globex")
        await session.write(row(1))
        await session.close()


_IDS = st.tuples(st.sampled_from(["1", "2", "0x", "é"]), st.sampled_from(["a", "b", "A"]))
_STATES = st.sampled_from([*map(str, State), *(str(one) for one in Outcome)])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.tuples(_IDS, _STATES), max_size=5)),
        st.tuples(st.just("reopen"), st.just([])),
        st.tuples(st.just("look"), st.just([])),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", ["file", "postgres"])
@given(steps=_STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_the_journal_equals_a_dictionary(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    steps: list[tuple[str, Any]],
) -> None:
    place = place_of(kind, request, tmp_path_factory.mktemp("model"))
    model: dict[tuple[str, str], tuple[str, int]] = {}

    async def agree(session: Session) -> None:
        pairs = [Detach(c, k) for c in ("1", "2", "0x", "é") for k in ("a", "b", "A")]
        found = await session.look_up(pairs)
        assert {
            (one.conversation_id, one.contact_id): (one.state, one.session)
            for one in found
            if one is not None
        } == model
        settled = {str(one) for one in Outcome if one.settled}
        left = {
            key
            for key, (state, number) in model.items()
            if state not in settled and number < session.number
        }
        listed = await session.rows(Wanted.LEFT, after=None)
        assert [(one.conversation_id, one.contact_id) for one in listed] == sorted(left)

    async def play() -> None:
        session = await opened(place)
        for step, rows in steps:
            if step == "reopen":
                await session.close()
                session = await opened(place)
                counts = [state for state, _ in model.values()]
                assert session.before == {state: counts.count(state) for state in set(counts)}
            elif step == "write":
                model.update({key: (state, session.number) for key, state in rows})
                await asyncio.gather(
                    *(
                        session.write(Row(conversation_id=c, contact_id=k, state=state))
                        for (c, k), state in rows
                    )
                )
            await agree(session)
        await session.close()

    asyncio.run(play())


async def test_the_tables_can_be_queried_by_people(path: Path) -> None:
    await ran(
        path,
        row(1, inferred=True),
        row(2, "failed", status=503, error="HTTP 503"),
        row(3, "sending"),
    )
    with sqlite3.connect(path) as connection:
        outcomes = connection.execute("SELECT state, pairs, inferred FROM outcomes").fetchall()
        failures = connection.execute("SELECT conversation_id, error FROM failures").fetchall()
        ((when,),) = connection.execute("SELECT max(updated_at) FROM failures")
        timeline = connection.execute("SELECT state, pairs FROM timeline").fetchall()
        ((number,),) = connection.execute("PRAGMA application_id")
    connection.close()
    assert sorted(outcomes) == [("detached", 1, 1), ("failed", 1, 0), ("sending", 1, 0)]
    assert failures == [("c0002", "HTTP 503"), ("c0003", None)]
    assert when.endswith("Z")
    assert "T" in when
    assert sorted(timeline) == [("detached", 1), ("failed", 1)]
    assert number.to_bytes(4, "big") == b"icas"


async def test_a_closed_session_refuses_everything_by_name(lasting: Path | InPostgres) -> None:
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
