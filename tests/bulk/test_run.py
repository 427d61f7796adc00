"""A bulk run: one result per pair, whatever happens."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from intercom_async import (
    AuthenticationError,
    ClientStateError,
    ConnectionFailedError,
    ContactNotFoundError,
    Detach,
    DetachResult,
    DetachSummary,
    IntercomClient,
    InvalidArgumentError,
    LastContactError,
    Outcome,
    RateLimitPolicy,
    RetryPolicy,
)
from intercom_async.journal import Row, Session
from intercom_async.simulator import Fault, IntercomSimulator
from tests.journal.helpers import files
from tests.support.raw_server import RawServer, always, reply
from tests.support.rows import Pair, pair_of

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


class TestEveryPair:
    async def test_each_gets_one_result_and_one_request(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=50, contacts_per_conversation=5)
        told = Counter[Pair]()
        async with client.detach_contacts(pairs) as run:
            async for result in run:
                told[pair_of(result)] += 1
                assert (result.outcome, result.error) == (Outcome.DETACHED, None)
                assert result.attempts >= 1
                assert result.elapsed > 0
                assert result.request_id
                assert result.conversation is not None
                assert result.conversation is result.conversation
                assert result.conversation.id == result.detach.conversation_id
                assert run.summary.total >= told.total()
        assert told == Counter(pairs)
        assert run.summary.outcomes[Outcome.DETACHED] == run.summary.settled == 200
        assert run.summary.requests == sim.requests.total - sim.requests.refused
        assert run.summary.limit == 1000
        assert "200 pairs" in str(run.summary)

    async def test_outcomes_tell_what_to_do_next(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        (good,) = sim.workspace.populate(conversations=1)
        (last,) = sim.workspace.populate(conversations=1, contacts_per_conversation=1, kept=0)
        absent, missing = (good[0], "f" * 24), ("no-such", good[1])
        bad: list[Any] = [(1297.0, "a1"), ("nan", "a1"), ("1", float("nan")), ("1", "")]
        run = client.detach_contacts([*bad, good, absent, missing, last])
        found = {pair_of(result): result async for result in run}
        for item in bad:
            no_pair = found.pop((str(item[0]), str(item[1])))
            assert no_pair.outcome is Outcome.FAILED
            assert isinstance(no_pair.error, InvalidArgumentError)
        assert run.summary.causes[0].count == 4
        assert {pair: result.outcome for pair, result in found.items()} == {
            good: Outcome.DETACHED,
            absent: Outcome.ALREADY_ABSENT,
            missing: Outcome.CONVERSATION_MISSING,
            last: Outcome.REFUSED_LAST_CONTACT,
        }
        assert isinstance(found[absent].error, ContactNotFoundError)
        assert isinstance(found[last].error, LastContactError)
        assert [pair for pair, result in found.items() if result.conversation] == [good]

    async def test_attaching_undoes_a_detach_and_a_look_decides_where_no_reply_comes(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=40)
        missing, lost, never = ("no-such", pairs[0][1]), pairs[0], pairs[1]
        await client.detach_contacts(pairs)
        for (conversation, _), fault in (
            (lost, Fault.RESET_AFTER_APPLYING),
            (never, Fault.RESET_BEFORE_APPLYING),
        ):
            sim.faults.add(fault, match=conversation, method="POST", probability=1.0)
        attaching = client.attach_contacts([*pairs, missing])
        found = {pair_of(result): result async for result in attaching}
        assert found.pop(missing).outcome is Outcome.CONVERSATION_MISSING
        assert "not attached" in str(found.pop(never).error)
        assert (found[lost].outcome, found.pop(lost).inferred) == (Outcome.ATTACHED, True)
        assert found.keys() == set(pairs[2:])
        for (_, contact), result in found.items():
            assert (result.outcome, result.inferred) == (Outcome.ATTACHED, False)
            assert result.conversation is not None
            assert contact in {one.id for one in result.conversation.participants}
        assert [pair for pair in pairs if not sim.workspace.attached(*pair)] == [never]

    async def test_a_pair_without_any_admin_is_detached_in_the_name_of_the_tokens_own(
        self, sim: IntercomSimulator
    ) -> None:
        first, second = sim.workspace.populate(conversations=2)
        async with IntercomClient("token", base_url=sim.url) as client:
            summary = await client.detach_contacts([Detach(*first, sim.admin_id), second])
        assert summary.outcomes[Outcome.DETACHED] == 2
        assert [each.path for each in sim.requests.log or ()].count("/me") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("pairs", value) for value in (None, 7, "1295", b"12")],
        *[("concurrency", value) for value in (0, -1, 257, 1.5, True, "4")],
        ("progress", 1),
    ],
)
async def test_an_argument_that_cannot_be_used_is_refused_by_name(
    client: IntercomClient, name: str, value: object
) -> None:
    arguments: dict[str, Any] = {"pairs": [], name: value}
    with pytest.raises(InvalidArgumentError, match=name):
        _ = client.detach_contacts(**arguments)


async def test_a_run_that_was_never_awaited_warns_as_a_coroutine_does(
    client: IntercomClient,
) -> None:
    with pytest.warns(RuntimeWarning, match="DetachRun was never awaited"):
        client.detach_contacts([("1", "2")])  # type: ignore[unused-awaitable]  # on purpose
    async with client.detach_contacts([("1", "2")]):
        pass
    gc.collect()  # one that was entered needs no more


class TestStopping:
    @pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN])
    async def test_401_and_403_stop_the_run_and_the_rest_is_not_attempted(
        self, sim: IntercomSimulator, client: IntercomClient, fault: Fault
    ) -> None:
        pairs = sim.workspace.populate(conversations=2000)
        sim.faults.add(fault, after=30)
        summary = await client.detach_contacts(pairs)
        assert summary.total == 2000
        assert summary.outcomes[Outcome.DETACHED] == sum(sim.applied.values()) == 30
        assert summary.outcomes[Outcome.FAILED] >= 1
        assert summary.outcomes[Outcome.NOT_ATTEMPTED] == 1970 - summary.outcomes[Outcome.FAILED]
        assert summary.stopped_by is not None
        assert isinstance(summary.stopped_by, AuthenticationError) == (fault is Fault.UNAUTHORIZED)
        assert sim.requests.total < 400

    @pytest.mark.parametrize("named", [True, False])
    @pytest.mark.parametrize("away", [True, False])
    async def test_a_run_stops_for_the_reason_why_nobody_can_say_whose_token_it_is(
        self, sim: IntercomSimulator, tmp_path: Path, away: bool, named: bool
    ) -> None:
        pairs = sim.workspace.populate(conversations=500)
        fault = Fault.RESET_BEFORE_APPLYING if away else Fault.UNAUTHORIZED
        sim.faults.add(fault, times=1000, match=lambda _, path: path == "/me")
        once = RetryPolicy(attempts=1)
        async with IntercomClient("token", base_url=sim.url, retry=once) as client:
            summary = await client.detach_contacts(
                pairs,
                admin_id=sim.admin_id if named else None,
                journal=tmp_path / "run.db" if named else None,
                outage_patience=60.0,
            )
        reason = ConnectionFailedError if away else AuthenticationError
        assert isinstance(summary.stopped_by, reason)
        assert summary.total == summary.outcomes[Outcome.NOT_ATTEMPTED] == 500
        assert {request.path for request in sim.requests.log or ()} == {"/me"}
        assert sim.requests.total == 1 or away  # which may pass

    @pytest.mark.parametrize("drain", [True, False])
    async def test_a_graceful_stop_lets_requests_finish_and_sends_no_more(
        self, sim: IntercomSimulator, client: IntercomClient, drain: bool
    ) -> None:
        pairs = iter(sim.workspace.populate(conversations=2000))
        results: list[DetachResult] = []
        async with client.detach_contacts(pairs) as run:
            async for result in run:
                results.append(result)
                if len(results) == 10:
                    run.stop(drain=drain)
        outcomes = Counter(result.outcome for result in results)
        assert set(outcomes) == {Outcome.DETACHED, Outcome.NOT_ATTEMPTED}
        unread = len(list(pairs))
        assert outcomes.total() == 2000 - unread
        assert (unread == 0) is drain
        assert outcomes[Outcome.DETACHED] == sum(sim.applied.values()) == sim.requests.total

    @pytest.mark.parametrize("drain", [True, False])
    async def test_an_input_that_falls_silent_keeps_no_stopped_run_waiting(
        self, sim: IntercomSimulator, client: IntercomClient, drain: bool
    ) -> None:
        pairs = sim.workspace.populate(conversations=4)
        closed = False

        async def source() -> AsyncIterator[Pair]:
            nonlocal closed
            try:
                for pair in pairs:
                    yield pair
                await asyncio.Event().wait()
            finally:
                closed = True

        async with asyncio.timeout(60), client.detach_contacts(source()) as run:
            async for _ in run:
                if run.summary.total == 4:
                    run.stop(drain=drain)
                    if drain:  # the rest is wanted, until nobody listens any more
                        await asyncio.sleep(30)
                        break
        assert closed
        assert run.summary.total == 4

    async def test_an_immediate_stop_makes_what_is_in_flight_unknown(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=40)
        sim.faults.add(Fault.HANG, probability=1.0, times=10_000)
        run = client.detach_contacts(pairs)
        asyncio.get_running_loop().call_later(1.0, lambda: run.stop(immediately=True))
        outcomes = Counter([result.outcome async for result in run])
        assert outcomes[Outcome.UNKNOWN] == sim.requests.total > 0
        assert outcomes[Outcome.NOT_ATTEMPTED] == 40 - outcomes[Outcome.UNKNOWN]

    async def test_closing_the_client_under_a_run_ends_it_with_an_error_and_frees_its_journal(
        self, sim: IntercomSimulator, client: IntercomClient, tmp_path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=500)
        with pytest.raises(ClientStateError):
            async for _ in client.detach_contacts(pairs, journal=tmp_path / "run.db"):
                await client.aclose()
        assert files(tmp_path).keys() == {"run.db"}  # no lock, and no log

    @pytest.mark.parametrize("how", ["breaks", "raises", "is cancelled"])
    async def test_a_consumer_that_leaves_without_async_with_ends_the_run(
        self, sim: IntercomSimulator, client: IntercomClient, how: str
    ) -> None:
        async def consume() -> None:
            async for _ in client.detach_contacts(sim.workspace.populate(conversations=2000)):
                if how == "raises":
                    raise LookupError
                if how == "breaks":
                    break
                await asyncio.sleep(3600)

        task = asyncio.create_task(consume())
        await asyncio.sleep(5.0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or isinstance(task.exception(), LookupError | None)
        sent = sim.requests.total
        await asyncio.sleep(60.0)
        assert sim.requests.total == sent < 1000

    @pytest.mark.parametrize(
        ("options", "known", "stops"),
        [({}, 0, True), ({}, 1, False), ({"stop_after_missing": None}, 0, False)],
    )
    async def test_a_hundred_answers_that_know_no_conversation_stop_it_unless_told_otherwise(
        self,
        sim: IntercomSimulator,
        client: IntercomClient,
        options: dict[str, Any],
        known: int,
        stops: bool,
    ) -> None:
        pairs = sim.workspace.populate(conversations=known)
        pairs += [(f"9{n}", f"{n:024x}") for n in range(1000)]
        summary = await client.detach_contacts(pairs, **options)
        told = "none of the first 100 conversations exist" in str(summary.stopped_by)
        assert told is (sim.requests.total < 500) is stops
        assert (summary.settled == summary.total) is not stops
        assert summary.total == 1000 + known


class TestPace:
    async def test_a_slow_consumer_slows_the_run_and_its_input(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        sim.quota.limit = 100_000
        pulled = 0

        def source() -> Iterator[Pair]:
            nonlocal pulled
            for pair in sim.workspace.populate(conversations=5000):
                pulled += 1
                yield pair

        async with client.detach_contacts(source()) as run:
            async for _ in run:
                assert pulled < 1000
                await asyncio.sleep(60)
                assert sim.requests.total <= pulled < 1500
                break

    async def test_replies_that_wait_for_a_slow_consumer_are_bounded_in_bytes(self) -> None:
        body = json.dumps({"customers": [], "extra": "x" * 2_000_000}).encode()
        pairs = [(str(number), "5ba682d2") for number in range(200)]
        policy = RateLimitPolicy(fallback_limit=10_000)
        async with (
            RawServer(always(reply(body))) as server,
            IntercomClient("token", base_url=server.url, rate_limit=policy) as client,
            client.detach_contacts(pairs, admin_id="5017690") as run,
        ):
            async for _ in run:
                await asyncio.sleep(60)
                assert 0 < len(server.requests) * len(body) < 100_000_000
                break

    async def test_concurrency_bounds_the_requests_in_flight(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        await client.detach_contacts(sim.workspace.populate(conversations=60), concurrency=3)
        assert sim.requests.peak_in_flight <= 3

    async def test_five_thousand_contacts_of_one_conversation_keep_nobody_waiting(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        sim.quota.limit = 100_000
        long = sim.workspace.populate(conversations=1, contacts_per_conversation=5000)
        short = set(sim.workspace.populate(conversations=200))
        told = 0
        async with client.detach_contacts(long + sorted(short)) as run:
            async for result in run:
                told += 1
                short.discard(pair_of(result))
                if not short:
                    break
        assert told < 300
        assert sim.requests.overlaps == 0

    async def test_progress_is_told_every_two_seconds_and_at_the_end(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        sim.quota.limit = 100
        pairs = sim.workspace.populate(conversations=250)
        seen: list[DetachSummary] = []
        summary = await client.detach_contacts(pairs, progress=seen.append)
        assert [one.total for one in seen] == sorted(one.total for one in seen)
        assert len(seen) >= summary.elapsed / 2.0
        assert seen[-1].outcomes == summary.outcomes

    async def test_what_progress_raises_stops_the_run(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        def fail(summary: DetachSummary) -> None:
            raise ArithmeticError(summary.total)

        with pytest.raises(ArithmeticError):
            await client.detach_contacts(sim.workspace.populate(conversations=50), progress=fail)


async def test_a_pair_that_comes_while_the_last_worker_ends_is_sent(
    sim: IntercomSimulator, client: IntercomClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sim.workspace.populate(conversations=2)
    sim.faults.add(Fault.HANG, times=1)

    async def pairs() -> AsyncIterator[Pair]:
        yield first
        await asyncio.sleep(1.0)
        yield second

    look_up = Session.look_up

    async def until_the_worker_ended(
        session: Session, pairs: Sequence[Detach], workspace: str = ""
    ) -> list[Row | None]:
        rows = await look_up(session, pairs, workspace)
        if pairs[0].conversation_id == second[0]:
            (worker,) = (task for task in asyncio.all_tasks() if "DetachRun._work()" in repr(task))
            sim.release()
            while not worker.done():  # noqa: ASYNC110  within the very turn of the loop
                await asyncio.sleep(0)
        return rows

    monkeypatch.setattr(Session, "look_up", until_the_worker_ended)
    summary = await asyncio.wait_for(client.detach_contacts(pairs(), concurrency=1), 60.0)
    assert summary.outcomes[Outcome.DETACHED] == 2
