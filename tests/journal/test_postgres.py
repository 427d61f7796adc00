"""A run in a real PostgreSQL: who owns it, and what an outage of the database does."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psycopg
import pytest

from intercom_async import IntercomClient, InvalidArgumentError, RetryPolicy
from intercom_async.journal import (
    Journal,
    JournalError,
    JournalLockedError,
    JournalLostError,
    JournalWriteError,
    State,
    Wanted,
    postgres,
    reader,
    session,
)
from intercom_async.simulator import Fault, IntercomSimulator
from tests.journal.helpers import ACME, kept, opened, pair, ran, row, until
from tests.support.postgres_server import PostgresServer

EXPIRE = "UPDATE intercom_session SET expires_at = clock_timestamp() WHERE run = %s"
OUST = EXPIRE.replace("clock_timestamp()", "'-infinity'")


@pytest.fixture
def place(postgres: PostgresServer) -> Journal:
    return Journal(postgres.url, run=secrets.token_hex(8), workspace="acme")


@pytest.fixture
def fragile() -> Iterator[PostgresServer]:
    """A server of this test's own, to be harmed."""
    with PostgresServer() as server:
        yield server


def change(place: Journal, statement: str) -> None:
    with psycopg.connect(place.path or "", autocommit=True) as connection:
        assert connection.execute(statement.encode(), [place.run]).rowcount == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time for which a test has `frozen` the process, on the system's clock."""
    clock = SimpleNamespace(frozen=0.0)
    for module in (postgres, session):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + clock.frozen)
    return clock


class TestOwners:
    async def test_a_workspace_of_a_run_has_one_owner_at_a_time(self, place: Journal) -> None:
        first = await opened(place)
        with pytest.raises(JournalLockedError, match=rf"run={place.run} \(workspace acme\)"):
            await opened(place)
        other = await opened(Journal(place.path, run=place.run, workspace="globex"))
        await first.close()
        second = await opened(place)
        assert first.number < other.number < second.number
        await second.close()
        await other.close()

    async def test_an_owner_that_was_silent_for_too_long_writes_nothing_more(
        self, place: Journal
    ) -> None:
        silent = await opened(place)
        await silent.write(row(1, State.SENDING))
        await asyncio.to_thread(change, place, EXPIRE)
        came = await asyncio.gather(*(opened(place) for _ in range(8)), return_exceptions=True)
        (second,) = (one for one in came if not isinstance(one, JournalLockedError))
        assert not isinstance(second, BaseException)
        (left,) = await second.rows(Wanted.LEFT, after=None)
        assert (left.conversation_id, left.state) == ("c0001", State.SENDING)

        told: list[BaseException | None] = []
        silent.record(row(1), told.append)
        with pytest.raises(JournalLostError, match="another worker has taken over"):
            await silent.write(row(2, State.SENDING))
        for call in (silent.end_input(), silent.bind("", "app1", None), silent.look_up([pair(1)])):
            with pytest.raises(JournalLostError):
                await call
        await silent.close(requests=7)
        assert [type(error) for error in told] == [JournalLostError]
        assert await asyncio.to_thread(kept, place) == {"c0001": State.SENDING}
        await second.write(row(1))
        await second.close()

    @pytest.mark.parametrize("asking", [False, True], ids=["idle", "asking for another's"])
    async def test_an_owner_that_writes_nothing_keeps_its_lease(
        self, place: Journal, monkeypatch: pytest.MonkeyPatch, asking: bool
    ) -> None:
        monkeypatch.setattr(postgres, "LEASE", 0.3)
        session, other = (
            await opened(place),
            await opened(Journal(place.path, run=place.run, workspace="beta")),
        )
        end = asyncio.get_running_loop().time() + 0.6
        while asyncio.get_running_loop().time() < end:
            if asking:
                with pytest.raises(JournalLockedError):
                    await session.take("beta", after=None, limit=1)
            await asyncio.sleep(0.02)
        with pytest.raises(JournalLockedError):
            await opened(place)
        await session.close()
        await other.close()

    async def test_a_pair_is_announced_only_while_the_lease_surely_holds(
        self, place: Journal, clock: SimpleNamespace
    ) -> None:
        session = await opened(place)

        def freeze(_: object) -> None:
            """Be frozen after the row was written and before its writer knows."""
            clock.frozen += 2 * postgres.LEASE
            change(place, EXPIRE)

        session.record(row(1), freeze)
        await session.write(row(2, State.SENDING))  # nobody took it over: announced once more
        with pytest.raises(JournalLockedError):
            await opened(place)

        def lose(_: object) -> None:
            freeze(_)
            change(place, OUST)

        session.record(row(1), lose)
        with pytest.raises(JournalLostError):
            await session.write(row(3, State.SENDING))
        await session.close()

    async def test_two_that_come_first_make_the_tables_once(self, postgres: PostgresServer) -> None:
        url = await asyncio.to_thread(postgres.create, secrets.token_hex(8))
        sessions = await asyncio.gather(
            *(opened(Journal(url, run="run", workspace=workspace)) for workspace in "abcdef")
        )
        await asyncio.gather(*(session.close() for session in sessions))

    async def test_tables_of_a_newer_version_are_refused(self, postgres: PostgresServer) -> None:
        url = await asyncio.to_thread(postgres.create, secrets.token_hex(8))
        place = Journal(url, run="run")
        await ran(place, row(1))
        await asyncio.to_thread(
            change, place, "UPDATE intercom_schema SET version = 9 WHERE %s <> ''"
        )
        with pytest.raises(JournalError, match="their schema is 9, this version reads 1"):
            await opened(place)

    async def test_a_cancelled_opening_leaves_no_lease(self, place: Journal) -> None:
        for turns in range(0, 40, 3):
            opening = asyncio.ensure_future(opened(place))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            if opening.done():
                await opening.result().close()
                continue
            opening.cancel()
            await asyncio.wait([opening])
        await (await opened(place)).close()


class TestOutages:
    async def test_a_restart_of_the_database_loses_nothing_and_tells_nothing_early(
        self, fragile: PostgresServer
    ) -> None:
        place = Journal(fragile.url, run="run")
        session = await opened(place)
        told = list[int]()

        async def give(numbers: range) -> None:
            for number in numbers:
                await session.write(row(number, State.SENDING))
                done = asyncio.get_running_loop().create_future()
                session.record(row(number), done.set_result)
                assert await done is None
                told.append(number)

        giving = [
            asyncio.ensure_future(give(range(start, start + 100))) for start in range(0, 800, 100)
        ]
        for most in (100, 300, 500):
            await until(lambda most=most: len(told) >= most)  # type: ignore[misc]  # of a default
            await asyncio.to_thread(fragile.stop)
            before = len(told)
            await asyncio.sleep(0.03)
            assert len(told) == before
            await asyncio.to_thread(fragile.start)
            states = await asyncio.to_thread(kept, place)
            assert all(states[f"c{number:04}"] == "detached" for number in told[:before])
        await asyncio.gather(*giving)
        assert await session.look_up([pair(0), pair(799)]) != [None, None]
        await session.close()
        assert set((await asyncio.to_thread(kept, place)).values()) == {"detached"}

    async def test_an_outage_beyond_patience_is_told_and_the_next_session_need_not_wait(
        self, fragile: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "PATIENCE", 0.1)
        place = Journal(fragile.url, run="run")
        session = await opened(place)
        await session.write(row(1, State.SENDING))
        await asyncio.to_thread(fragile.stop)
        told: list[BaseException | None] = []
        session.record(row(1), told.append)
        with pytest.raises(JournalWriteError, match="every result so far is safe"):
            await session.write(row(2))
        assert [type(error) for error in told] == [JournalWriteError]
        await asyncio.to_thread(fragile.start)
        await session.close()
        second = await opened(place)
        (left,) = await second.rows(Wanted.LEFT, after=None)
        assert left.state == State.SENDING
        await second.close()


async def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    url = "postgresql://me:marked-password@127.0.0.1:9/db"
    with pytest.raises(JournalWriteError, match="nothing was sent") as caught:
        await Journal(url, run="run").open(ACME)
    assert "marked-password" not in str(caught.value) + caught.value.path


@pytest.mark.parametrize("url", ["me:marked%zz@db/x", "db/x?a=marked"])
async def test_a_url_that_cannot_be_read_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="postgresql:// URL") as caught:
        await Journal(f"postgresql://{url}", run="run").open(ACME)
    with pytest.raises(InvalidArgumentError, match="postgresql:// URL"):
        reader.open(f"postgresql://{url}", run="run")
    assert "marked" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_database_needs_a_name_of_the_run_which_may_stand_in_the_url() -> None:
    options = "sslmode=require&options=-c%20search_path%3Dours"
    journal = Journal(f"postgresql://db/x?{options}&run=cleanup%20%237")
    assert (journal.path, journal.run) == (f"postgresql://db/x?{options}", "cleanup #7")
    assert Journal("postgresql://db/x?run=7").path == "postgresql://db/x"
    with pytest.raises(InvalidArgumentError, match="PostgreSQL holds many"):
        Journal("postgresql://127.0.0.1/db")
    with pytest.raises(InvalidArgumentError, match="a file holds one run"):
        Journal("run.db", run="cleanup")


@pytest.mark.parametrize(
    ("lease", "pause"), [(0.3, 60.0), (30.0, 0.3)], ids=["called back", "asked before each attempt"]
)
async def test_a_run_sends_nothing_again_once_another_may_own_it(
    place: Journal,
    clock: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    lease: float,
    pause: float,
) -> None:
    monkeypatch.setattr(postgres, "LEASE", lease)
    async with IntercomSimulator(limit=100_000) as sim:
        pairs = sim.workspace.populate(conversations=20, contacts_per_conversation=2)
        sim.faults.add(Fault.SERVER_ERROR, probability=1.0, method="DELETE")
        patient = RetryPolicy(attempts=8, backoff=pause, backoff_max=60.0, jitter=0.0, budget=1000)
        async with IntercomClient("token", base_url=sim.url, retry=patient) as client:
            run = client.detach_contacts(pairs, admin_id=sim.admin_id, journal=place, concurrency=2)
            running = asyncio.ensure_future(run)
            requests = 3  # one of them asks whose token it is; two wait to be sent again
            await until(lambda: sim.requests.total == requests)
            await asyncio.sleep(0.03)
            change(place, OUST)
            clock.frozen = 100.0
            with pytest.raises(JournalLostError):
                await asyncio.wait_for(running, 10)
            assert sim.requests.total == requests
    assert set((await asyncio.to_thread(kept, place)).values()) == {State.SENDING}
