"""Each fault as a client meets it, and the plan that decides whom it strikes."""

import asyncio
from typing import Any

import aiohttp
import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import Fault, FaultPlan, Request
from tests.simulator.asking import Answer, Ask, until


class Scene:
    """One pair to detach, and what became of it."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.sim = ask.sim
        (self.pair,) = ask.sim.workspace.populate(conversations=1)

    async def detach(self) -> Answer:
        return await self.ask.detach(*self.pair)

    @property
    def applied(self) -> bool:
        return self.sim.applied[self.pair] == 1


@pytest.fixture
def scene(ask: Ask) -> Scene:
    return Scene(ask)


Facts = dict[str, Any]

NO_QUOTA: Facts = {"X-RateLimit-Limit": None}
TOO_MANY = (429, "too_many_requests")
UNAVAILABLE = (503, "service_unavailable")
ANSWERS: list[tuple[Fault, Facts, tuple[int, str | None], Facts, bool]] = [
    (Fault.SERVER_ERROR, {}, (500, "server_error"), {"X-RateLimit-Limit": "167"}, False),
    (Fault.SERVER_ERROR, {"status": 503}, UNAVAILABLE, {}, False),
    (Fault.SERVER_ERROR_AFTER_APPLYING, {"status": 502}, (502, "server_error"), {}, True),
    (Fault.HTML_ERROR, {}, (502, None), {"Content-Type": "text/html"}, False),
    (Fault.UNAUTHORIZED, {}, (401, "unauthorized"), NO_QUOTA, False),
    (Fault.FORBIDDEN, {}, (403, "api_plan_restricted"), {}, False),
    (Fault.RATE_LIMIT_WORKSPACE, {}, (429, "rate_limit_exceeded"), {"Retry-After": None}, False),
    (Fault.TOO_MANY_REQUESTS, {}, TOO_MANY, {"Retry-After": None}, False),
    (Fault.TOO_MANY_REQUESTS, {"seconds": 0.5}, TOO_MANY, {"Retry-After": "0.5"}, False),
    (Fault.RETRY_AFTER, {"seconds": 3}, UNAVAILABLE, {"Retry-After": "3"}, False),
    (Fault.MISSING_RATE_LIMIT_HEADERS, {}, (200, None), NO_QUOTA, True),
]


@pytest.mark.parametrize(("fault", "options", "expected", "headers", "applied"), ANSWERS)
async def test_a_fault_answers_and_applies_as_the_table_says(
    fault: Fault,
    options: Facts,
    expected: tuple[int, str | None],
    headers: Facts,
    applied: bool,
    scene: Scene,
) -> None:
    scene.sim.faults.add(fault, **options)
    answer = await scene.detach()
    code = answer.error[1] if b'"errors"' in answer.body else None
    assert (answer.status, code) == expected
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert scene.applied is applied


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN])
async def test_a_token_that_may_not_may_not_until_the_fault_is_removed(
    fault: Fault, scene: Scene
) -> None:
    order = scene.sim.faults.add(fault)
    assert [(await scene.detach()).status // 100 for _ in range(3)] == [4, 4, 4]
    scene.sim.faults.remove(order)
    assert (await scene.detach()).status == 200


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [
        (Fault.RESET_BEFORE_APPLYING, aiohttp.ClientOSError, False),
        (Fault.RESET_AFTER_APPLYING, aiohttp.ClientOSError, True),
        (Fault.CLOSE_BEFORE_APPLYING, aiohttp.ServerDisconnectedError, False),
        (Fault.CLOSE_AFTER_APPLYING, aiohttp.ServerDisconnectedError, True),
        (Fault.TRUNCATED_BODY, aiohttp.ClientPayloadError, True),
    ],
)
async def test_a_connection_breaks_before_or_after_applying(
    fault: Fault, error: type[Exception], applied: bool, scene: Scene
) -> None:
    scene.sim.faults.add(fault)
    with pytest.raises(error):
        await scene.detach()
    assert scene.applied is applied
    answered = fault is Fault.TRUNCATED_BODY
    assert scene.sim.requests.by_status[200] == answered
    assert scene.sim.requests.unanswered == (not answered)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER_APPLYING])
async def test_a_hanging_request_is_answered_once_released(fault: Fault, scene: Scene) -> None:
    scene.sim.faults.add(fault)
    detaching = asyncio.create_task(scene.detach())
    await until(lambda: scene.sim.faults.struck[fault] == 1)
    assert scene.applied is (fault is Fault.HANG_AFTER_APPLYING)
    assert not detaching.done()
    scene.sim.release()
    assert (await detaching).status == 200
    assert scene.applied


def draw(
    method: str = "GET", path: str = "/me", *, plan: FaultPlan, count: int = 1
) -> list[Fault | None]:
    """The faults that strike so many requests, one after the other."""
    asked = Request(method=method, path=path, headers={})
    drawn = [plan.draw(asked) for _ in range(count)]
    return [None if order is None else order.fault for order in drawn]


class TestPlan:
    def test_a_request_is_struck_once_and_a_fault_strikes_once_unless_told_otherwise(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.SERVER_ERROR)
        plan.add(Fault.HTML_ERROR, times=2, after=1)
        expected = [Fault.SERVER_ERROR, None, Fault.HTML_ERROR, Fault.HTML_ERROR, None]
        assert draw(plan=plan, count=5) == expected
        assert plan.struck == {Fault.SERVER_ERROR: 1, Fault.HTML_ERROR: 2}

    def test_a_probability_strikes_a_reproducible_part_of_all_requests(self) -> None:
        def strikes(seed: int, probability: float = 0.3) -> list[Fault | None]:
            plan = FaultPlan(seed)
            plan.add(Fault.SERVER_ERROR, probability=probability)
            return draw(plan=plan, count=1000)

        assert 230 < strikes(1).count(Fault.SERVER_ERROR) < 370
        assert strikes(1) == strikes(1) != strikes(2)
        assert all(strikes(1, 1.0))

    def test_a_fault_can_be_for_one_method_or_conversation_or_predicate(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.LATENCY, times=2, method="DELETE")
        plan.add(Fault.SERVER_ERROR, probability=1.0, match="7")
        plan.add(Fault.HANG, probability=1.0, match=lambda _, path: path.endswith("search"))
        assert draw("GET", "/conversations/8", plan=plan) == [None]
        assert draw("DELETE", "/conversations/7", plan=plan, count=2) == [Fault.LATENCY] * 2
        assert draw("DELETE", "/conversations/7", plan=plan) == [Fault.SERVER_ERROR]
        assert draw("POST", "/conversations/search", plan=plan) == [Fault.HANG]
        plan.clear()
        assert draw("DELETE", "/conversations/7", plan=plan) == [None]

    def test_what_makes_no_sense_is_refused_by_name(self) -> None:
        with pytest.raises(InvalidArgumentError, match="probability"):
            FaultPlan().add(Fault.HANG, probability=1.1)
        with pytest.raises(InvalidArgumentError, match="times"):
            FaultPlan().add(Fault.HANG, times=0)

    @pytest.mark.intercom_simulator(limit=1)
    async def test_a_request_the_quota_refused_changes_nothing_and_uses_up_no_fault(
        self, scene: Scene
    ) -> None:
        scene.sim.spend(1)
        scene.sim.faults.add(Fault.SERVER_ERROR)
        assert (await scene.detach()).status == 429
        assert not scene.sim.faults.struck
        assert not scene.applied
