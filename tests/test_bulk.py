"""Bulk runs against the simulator: one result per pair, whatever happens."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

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
    UnknownOutcomeError,
)
from intercom_async.journal import Row, Session
from intercom_async.simulator import Fault, IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

Pairs = list[tuple[str, str]]


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(limit=1000, latency=0.05, keep_log=True) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: IntercomSimulator) -> AsyncIterator[IntercomClient]:
    async with IntercomClient("token", base_url=sim.url) as opened:
        yield opened


async def collect(
    client: IntercomClient, sim: IntercomSimulator, pairs: Pairs
) -> list[DetachResult]:
    async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
        return [result async for result in run]


def tasks_of_the_library() -> list[asyncio.Task[object]]:
    return [
        task
        for task in asyncio.all_tasks()
        if "intercom_async/bulk" in str(getattr(task.get_coro(), "cr_code", ""))
    ]


class TestEveryPair:
    async def test_awaiting_a_run_detaches_every_pair(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=300)
        summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
        assert summary.outcomes[Outcome.DETACHED] == summary.total == 300
        assert summary.settled == 300
        assert all(sim.applied[pair] == 1 for pair in pairs)
        assert summary.requests == sim.requests.total - sim.requests.refused
        assert summary.limit == 1000

    async def test_iterating_gives_one_result_per_pair(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=50, contacts_per_conversation=4)
        results = await collect(client, sim, pairs)
        told = Counter((r.detach.conversation_id, r.detach.contact_id) for r in results)
        assert told == Counter(pairs)
        for result in results:
            assert result.outcome is Outcome.DETACHED
            assert result.error is None
            assert result.attempts >= 1
            assert result.elapsed > 0
            assert result.request_id
            conversation = result.conversation
            assert conversation is not None
            assert conversation is result.conversation
            assert conversation.id == result.detach.conversation_id

    async def test_outcomes_tell_what_to_do_next(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        (good,) = sim.workspace.populate(conversations=1)
        ((last_conversation, last_contact),) = sim.workspace.populate(
            conversations=1, contacts_per_conversation=1, kept=0
        )
        results = await collect(
            client,
            sim,
            [good, (good[0], "f" * 24), ("no-such", good[1]), (last_conversation, last_contact)],
        )
        assert {r.detach.contact_id + r.detach.conversation_id: r.outcome for r in results} == {
            good[1] + good[0]: Outcome.DETACHED,
            "f" * 24 + good[0]: Outcome.ALREADY_ABSENT,
            good[1] + "no-such": Outcome.CONVERSATION_MISSING,
            last_contact + last_conversation: Outcome.REFUSED_LAST_CONTACT,
        }
        errors = {r.outcome: r.error for r in results}
        assert isinstance(errors[Outcome.ALREADY_ABSENT], ContactNotFoundError)
        assert isinstance(errors[Outcome.REFUSED_LAST_CONTACT], LastContactError)
        assert all(r.conversation is None for r in results if r.outcome is not Outcome.DETACHED)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.RESET_AFTER_APPLYING,
            Fault.SERVER_ERROR_AFTER_APPLYING,
            Fault.RESET_BEFORE_APPLYING,
            Fault.SERVER_ERROR,
            Fault.HTML_ERROR,
            Fault.TRUNCATED_BODY,
            Fault.RATE_LIMIT_WORKSPACE,
            Fault.MISSING_RATE_LIMIT_HEADERS,
        ],
    )
    async def test_with_faults_the_results_agree_with_the_server_pair_by_pair(
        self, sim: IntercomSimulator, client: IntercomClient, fault: Fault
    ) -> None:
        pairs = sim.workspace.populate(conversations=60)
        sim.faults.add(fault, probability=0.1)
        results = await collect(client, sim, pairs)
        assert len(results) == 60
        for result in results:
            pair = (result.detach.conversation_id, result.detach.contact_id)
            assert result.outcome is Outcome.DETACHED
            assert not sim.workspace.attached(*pair)
            assert sim.applied[pair] == 1
        inferred = sum(result.inferred for result in results)
        unproven = fault.name.endswith("AFTER_APPLYING") or fault is Fault.TRUNCATED_BODY
        assert (inferred > 0) == unproven

    async def test_failed_and_unknown_pairs_are_told_apart(self, sim: IntercomSimulator) -> None:
        pairs = sim.workspace.populate(conversations=60)
        unlucky = pairs[10:50:10]
        for conversation_id, _ in unlucky:
            sim.faults.add(
                Fault.CLOSE_BEFORE_APPLYING, probability=1.0, match=conversation_id, method="DELETE"
            )
        sim.faults.add(Fault.SERVER_ERROR, probability=1.0, match=unlucky[0][0], method="GET")
        async with IntercomClient(
            "token", base_url=sim.url, retry=RetryPolicy(attempts=1)
        ) as client:
            results = await collect(client, sim, pairs)
        outcomes = {r.detach.conversation_id: r for r in results}
        unknown = outcomes[unlucky[0][0]]
        assert unknown.outcome is Outcome.UNKNOWN
        assert isinstance(unknown.error, UnknownOutcomeError)
        assert {outcomes[pair[0]].outcome for pair in unlucky[1:]} == {Outcome.FAILED}
        assert Counter(r.outcome for r in results)[Outcome.DETACHED] == 56

    async def test_a_pair_without_any_admin_is_detached_in_the_name_of_the_tokens_own(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        first, second = sim.workspace.populate(conversations=2)
        summary = await client.detach_contacts([Detach(*first, sim.admin_id), second])
        assert summary.outcomes[Outcome.DETACHED] == 2
        assert [each.path for each in sim.requests.log or ()].count("/me") == 1


class TestInput:
    async def test_input_is_pulled_lazily(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=5000)
        pulled = 0

        def source() -> Iterator[tuple[str, str]]:
            nonlocal pulled
            for pair in pairs:
                pulled += 1
                yield pair

        async with client.detach_contacts(source(), admin_id=sim.admin_id) as run:
            async for _ in run:
                break
            assert pulled < 1000

    async def test_two_pairs_of_one_conversation_are_never_in_flight_together(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=3, contacts_per_conversation=40)
        summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
        assert summary.outcomes[Outcome.DETACHED] == len(pairs) == 117
        assert sim.requests.overlaps == 0
        assert sim.requests.peak_in_flight == 3

    async def test_no_pairs_make_an_empty_summary(self, client: IntercomClient) -> None:
        summary = await client.detach_contacts([], admin_id="1")
        assert summary.total == 0
        assert str(summary).startswith("0 pairs in 0.0 s (none")

    async def test_an_item_that_is_no_pair_ends_the_run_and_names_its_place(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        (good,) = sim.workspace.populate(conversations=1)
        run = client.detach_contacts([good, "1295"], admin_id=sim.admin_id)
        with pytest.raises(InvalidArgumentError, match="item 2"):
            await run
        assert run.summary.outcomes[Outcome.DETACHED] == 1

    async def test_an_input_that_raises_ends_the_run_after_what_is_in_flight(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=3)

        def source() -> Iterator[tuple[str, str]]:
            yield from pairs
            raise OSError("disk gone")

        results: list[DetachResult] = []
        run = client.detach_contacts(source(), admin_id=sim.admin_id)
        with pytest.raises(OSError, match="disk gone"):
            async with run:
                results.extend([result async for result in run])
        assert run.summary.total == 3
        assert run.summary.outcomes[Outcome.DETACHED] >= 1
        assert tasks_of_the_library() == []

    @pytest.mark.parametrize("pairs", [None, 7, "1295", b"12"])
    async def test_what_is_no_iterable_of_pairs_is_refused_at_once(
        self, client: IntercomClient, pairs: object
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="pairs"):
            _ = client.detach_contacts(pairs, admin_id="1")  # type: ignore[arg-type]  # wrong on purpose

    @pytest.mark.parametrize("concurrency", [0, -1, 257, 1.5, True, "4"])
    async def test_an_unusable_concurrency_is_refused_at_once(
        self, client: IntercomClient, concurrency: object
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="concurrency"):
            _ = client.detach_contacts([], admin_id="1", concurrency=concurrency)  # type: ignore[arg-type]  # wrong on purpose

    async def test_concurrency_bounds_the_requests_in_flight(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=60)
        await client.detach_contacts(pairs, admin_id=sim.admin_id, concurrency=3)
        assert sim.requests.peak_in_flight <= 3


class TestStopping:
    @pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN])
    async def test_401_and_403_stop_the_run_and_the_rest_is_not_attempted(
        self, sim: IntercomSimulator, client: IntercomClient, fault: Fault
    ) -> None:
        pairs = sim.workspace.populate(conversations=2000)
        sim.faults.add(fault, after=30)
        summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
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
        journal = tmp_path / "run.db" if named else None
        once = RetryPolicy(attempts=1)
        async with IntercomClient("token", base_url=sim.url, retry=once) as client:
            summary = await client.detach_contacts(
                pairs,
                admin_id=sim.admin_id if named else None,
                journal=journal,
                outage_patience=60.0,
            )
        reason = ConnectionFailedError if away else AuthenticationError
        assert isinstance(summary.stopped_by, reason)
        assert summary.total == summary.outcomes[Outcome.NOT_ATTEMPTED] == 500
        assert {request.path for request in sim.requests.log or ()} == {"/me"}
        assert sim.requests.total == 1 or away  # which may pass

    async def test_a_graceful_stop_lets_requests_finish_and_leaves_the_rest(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=500)
        results: list[DetachResult] = []
        async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
            async for result in run:
                results.append(result)
                if len(results) == 10:
                    run.stop()
        outcomes = Counter(result.outcome for result in results)
        assert set(outcomes) == {Outcome.DETACHED, Outcome.NOT_ATTEMPTED}
        assert outcomes.total() == 500
        assert outcomes[Outcome.DETACHED] == sum(sim.applied.values()) == sim.requests.total

    async def test_a_stop_without_draining_leaves_the_input_unread(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = iter(sim.workspace.populate(conversations=500))
        async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
            async for _ in run:
                run.stop(drain=False)
        assert run.summary.total + len(list(pairs)) == 500

    async def test_a_pair_that_is_read_after_a_stop_is_not_sent(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=10)
        stopped = asyncio.Event()

        async def source() -> AsyncIterator[tuple[str, str]]:
            for pair in pairs[:4]:
                yield pair
            await stopped.wait()
            for pair in pairs[4:]:
                await asyncio.sleep(1.0)
                yield pair

        results: list[DetachResult] = []
        async with client.detach_contacts(source(), admin_id=sim.admin_id) as run:
            async for result in run:
                results.append(result)
                if len(results) == 4:
                    run.stop()
                    stopped.set()
        assert [result.outcome for result in results] == (
            [Outcome.DETACHED] * 4 + [Outcome.NOT_ATTEMPTED] * 6
        )
        assert sim.requests.total == 4

    @pytest.mark.parametrize("drain", [True, False])
    async def test_an_input_that_falls_silent_keeps_no_stopped_run_waiting(
        self, sim: IntercomSimulator, client: IntercomClient, drain: bool
    ) -> None:
        pairs = sim.workspace.populate(conversations=4)
        closed = False

        async def source() -> AsyncIterator[tuple[str, str]]:
            nonlocal closed
            try:
                for pair in pairs:
                    yield pair
                await asyncio.Event().wait()
            finally:
                closed = True

        async with asyncio.timeout(60):
            async with client.detach_contacts(source(), admin_id=sim.admin_id) as run:
                async for _ in run:
                    if run.summary.total == 4:
                        run.stop(drain=drain)
                        if drain:  # the rest is wanted, until nobody listens any more
                            await asyncio.sleep(30)
                            break
        assert closed
        assert run.summary.total == 4
        assert tasks_of_the_library() == []

    async def test_an_immediate_stop_makes_what_is_in_flight_unknown(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=40)
        sim.faults.add(Fault.HANG, probability=1.0, times=10_000)
        results: list[DetachResult] = []

        async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
            asyncio.get_running_loop().call_later(1.0, lambda: run.stop(immediately=True))
            results.extend([result async for result in run])
        outcomes = Counter(result.outcome for result in results)
        assert outcomes[Outcome.UNKNOWN] == sim.requests.total > 0
        assert outcomes[Outcome.NOT_ATTEMPTED] == 40 - outcomes[Outcome.UNKNOWN]

    async def test_closing_the_client_under_a_run_ends_it_with_an_error(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=500)
        run = client.detach_contacts(pairs, admin_id=sim.admin_id)
        with pytest.raises(ClientStateError):
            async with run:
                async for _ in run:
                    await client.aclose()
        assert tasks_of_the_library() == []

    async def test_a_run_that_was_entered_and_never_begun_needs_no_cleanup(
        self, client: IntercomClient
    ) -> None:
        async with client.detach_contacts([("1", "2")], admin_id="1"):
            pass
        gc.collect()

    async def test_a_run_that_was_never_awaited_warns_as_a_coroutine_does(
        self, client: IntercomClient
    ) -> None:
        with pytest.warns(RuntimeWarning, match="DetachRun was never awaited"):
            client.detach_contacts([("1", "2")], admin_id="1")  # type: ignore[unused-awaitable]  # on purpose


class TestPace:
    async def test_a_slow_consumer_slows_the_run(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        sim.quota.limit = 100_000
        pairs = sim.workspace.populate(conversations=3000)
        async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
            async for _ in run:
                await asyncio.sleep(60)
                assert sim.requests.total < 1500
                break

    async def test_replies_that_wait_for_a_slow_consumer_are_bounded_in_bytes(self) -> None:
        served = 0
        body = json.dumps({"customers": [], "extra": "x" * 2_000_000})

        async def serve(_: web.Request) -> web.Response:
            nonlocal served
            served += 1
            return web.Response(text=body, content_type="application/json")

        app = web.Application()
        app.router.add_delete("/{path:.*}", serve)
        pairs = [(str(number), "5ba682d2") for number in range(200)]
        async with (
            TestServer(app) as server,
            IntercomClient(
                "token",
                base_url=str(server.make_url("")).rstrip("/"),
                rate_limit=RateLimitPolicy(fallback_limit=10_000),
            ) as client,
            client.detach_contacts(pairs, admin_id="5017690") as run,
        ):
            async for _ in run:
                await asyncio.sleep(60)
                assert 0 < served * len(body) < 100_000_000
                break

    async def test_the_summary_can_be_read_while_it_runs(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=100)
        run = client.detach_contacts(pairs, admin_id=sim.admin_id)
        assert run.summary.total == 0
        async with run:
            seen = 0
            async for _ in run:
                seen += 1
                assert run.summary.total >= seen
        assert "100 pairs" in str(run.summary)
        assert "100 detached" in str(run.summary)

    async def test_progress_is_told_every_two_seconds_and_at_the_end(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        sim.quota.limit = 100
        pairs = sim.workspace.populate(conversations=250)
        seen: list[DetachSummary] = []
        summary = await client.detach_contacts(pairs, admin_id=sim.admin_id, progress=seen.append)
        assert [one.total for one in seen] == sorted(one.total for one in seen)
        assert len(seen) >= summary.elapsed / 2.0
        assert seen[-1].outcomes == summary.outcomes

    async def test_what_progress_raises_stops_the_run(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=50)

        def fail(summary: DetachSummary) -> None:
            raise ArithmeticError(summary.total)

        with pytest.raises(ArithmeticError):
            await client.detach_contacts(pairs, admin_id=sim.admin_id, progress=fail)
        with pytest.raises(InvalidArgumentError, match="progress"):
            await client.detach_contacts(pairs, progress=1)  # type: ignore[arg-type]  # on purpose


async def test_a_pair_that_comes_while_the_last_worker_ends_is_sent(
    sim: IntercomSimulator, client: IntercomClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sim.workspace.populate(conversations=2)
    sim.faults.add(Fault.HANG, times=1)

    async def pairs() -> AsyncIterator[tuple[str, str]]:
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
    summary = await asyncio.wait_for(
        client.detach_contacts(pairs(), admin_id=sim.admin_id, concurrency=1), 60.0
    )
    assert summary.outcomes[Outcome.DETACHED] == 2
