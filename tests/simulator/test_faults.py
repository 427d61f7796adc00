"""Each fault as a client meets it, and the plan that decides whom it strikes."""

import asyncio
import errno
from typing import Any

import aiohttp
import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import Fault, FaultPlan, IntercomSimulator, Request
from tests.simulator.asking import Answer, Ask, until

driven = pytest.mark.asyncio(loop_factories=["driven"])

Facts = dict[str, Any]


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


def facts_of(answer: Answer) -> dict[str, object]:
    """What the tables below say of an answer."""
    told = answer.headers
    is_error = answer.status >= 400 and told["Content-Type"].startswith("application/json")
    return {
        "status": answer.status,
        "code": answer.error[1] if is_error else None,
        "html": (told["Content-Type"], answer.body[:6]) == ("text/html", b"<html>"),
        "size": len(answer.body),
        "quota": "X-RateLimit-Limit" in told,
        "left": answer.quota[1] > 0 if "X-RateLimit-Limit" in told else None,
        "date": "Date" in told,
        "retry": told.get("Retry-After"),
        "cookie": told.get("Set-Cookie", "").startswith("intercom-session="),
    }


TOO_MANY: Facts = {"status": 429, "code": "too_many_requests"}
ANSWERS: list[tuple[Fault, Facts, Facts, bool]] = [
    *((Fault.SERVER_ERROR, {"status": n}, {"status": n}, False) for n in (500, 502, 504, 520)),
    (Fault.SERVER_ERROR, {"status": 503}, {"quota": True, "code": "service_unavailable"}, False),
    (Fault.SERVER_ERROR_AFTER_APPLYING, {"status": 503}, {"status": 503, "quota": True}, True),
    (Fault.HTML_ERROR, {}, {"status": 502, "html": True}, False),
    (Fault.HTML_BODY, {}, {"status": 200, "html": True}, True),
    (Fault.UNAUTHORIZED, {}, {"status": 401, "code": "unauthorized", "quota": False}, False),
    (Fault.FORBIDDEN, {}, {"status": 403, "code": "api_plan_restricted"}, False),
    (
        Fault.RATE_LIMIT_WORKSPACE,
        {},
        {"status": 429, "code": "rate_limit_exceeded", "left": True},
        False,
    ),
    (Fault.TOO_MANY_REQUESTS, {}, TOO_MANY | {"retry": None}, False),
    (Fault.TOO_MANY_REQUESTS, {"seconds": 7}, TOO_MANY | {"retry": "7"}, False),
    (Fault.TOO_MANY_REQUESTS, {"seconds": 0.5}, TOO_MANY | {"retry": "0.5"}, False),
    (
        Fault.RETRY_AFTER,
        {"seconds": 3},
        {"status": 503, "code": "service_unavailable", "retry": "3"},
        False,
    ),
    (Fault.EMPTY_BODY, {}, {"status": 200, "size": 0}, True),
    (Fault.HUGE_BODY, {"size": 300_001}, {"status": 200, "size": 300_001}, True),
    (Fault.MISSING_RATE_LIMIT_HEADERS, {}, {"status": 200, "quota": False}, True),
    (Fault.MISSING_DATE, {}, {"status": 200, "date": False}, True),
    (Fault.SET_COOKIE, {}, {"status": 200, "cookie": True}, True),
]


class TestErrors:
    @pytest.mark.parametrize(("fault", "options", "expected", "applied"), ANSWERS)
    async def test_a_fault_answers_and_applies_as_the_table_says(
        self, fault: Fault, options: Facts, expected: Facts, applied: bool, scene: Scene
    ) -> None:
        scene.sim.faults.add(fault, **options)
        facts = facts_of(await scene.detach())
        assert {name: facts[name] for name in expected} == expected
        assert scene.applied is applied

    @pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN])
    async def test_a_token_that_may_not_may_not_until_the_fault_is_removed(
        self, fault: Fault, scene: Scene
    ) -> None:
        order = scene.sim.faults.add(fault)
        assert [(await scene.detach()).status // 100 for _ in range(3)] == [4, 4, 4]
        assert not scene.applied
        scene.sim.faults.remove(order)
        assert (await scene.detach()).status == 200

    async def test_a_redirect_leads_to_a_call_that_succeeds(
        self, scene: Scene, session: aiohttp.ClientSession
    ) -> None:
        scene.sim.faults.add(Fault.REDIRECT, times=2)
        answer = await scene.detach()
        assert (answer.status, answer.headers["Location"]) == (303, "/me")
        headers = {"Authorization": f"Bearer {scene.sim.token}"}
        url = f"{scene.sim.url}/conversations/{scene.pair[0]}/customers/{scene.pair[1]}"
        async with session.delete(url, headers=headers) as followed:
            assert (followed.status, followed.method) == (200, "GET")
        assert not scene.applied


class TestConnections:
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
        self, fault: Fault, error: type[Exception], applied: bool, scene: Scene
    ) -> None:
        scene.sim.faults.add(fault)
        with pytest.raises(error) as caught:
            await scene.detach()
        if error is aiohttp.ClientOSError:
            reset = isinstance(caught.value, ConnectionResetError)
            assert reset or getattr(caught.value, "errno", None) == errno.ECONNRESET
        assert scene.applied is applied
        assert scene.sim.requests.by_status[200] == (fault is Fault.TRUNCATED_BODY)

    async def test_a_kept_connection_survives_every_fault_that_answers(self, ask: Ask) -> None:
        for fault in (Fault.SERVER_ERROR, Fault.HTML_ERROR, Fault.EMPTY_BODY, Fault.MISSING_DATE):
            ask.sim.faults.add(fault)
            assert "Connection" not in (await ask("GET", "/me")).headers

    async def test_a_hanging_request_is_applied_and_answered_once_released(
        self, scene: Scene
    ) -> None:
        scene.sim.faults.add(Fault.HANG)
        detaching = asyncio.create_task(scene.detach())
        await until(lambda: scene.sim.faults.struck[Fault.HANG] == 1)
        assert not scene.applied
        scene.sim.release()
        assert (await detaching).status == 200
        assert scene.applied

    async def test_a_reply_hangs_although_the_request_was_applied(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.HANG_AFTER_APPLYING)
        detaching = asyncio.create_task(scene.detach())
        await until(lambda: scene.applied)
        assert not detaching.done()
        scene.sim.release()
        assert (await detaching).status == 200

    @driven
    async def test_a_client_that_left_cannot_be_reset(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.RESET_AFTER_APPLYING)
        scene.sim.faults.add(Fault.LATENCY, seconds=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(scene.detach(), 1)
        await asyncio.sleep(10)
        assert (scene.applied, scene.sim.requests.in_flight) == (True, 0)

    @driven
    async def test_a_late_reply_is_late(self, scene: Scene) -> None:
        loop = asyncio.get_running_loop()
        scene.sim.faults.add(Fault.LATENCY, seconds=30)
        began = loop.time()
        assert (await scene.detach()).status == 200
        assert loop.time() - began == pytest.approx(30, abs=1)


class TestReplies:
    async def test_ids_come_as_numbers_at_every_depth(self, ask: Ask) -> None:
        contact = ask.sim.workspace.add_contact(contact_id="5012")
        conversation = ask.sim.workspace.add_conversation([contact], parts=1)
        ask.sim.faults.add(Fault.NUMERIC_IDS)
        document = (await ask("GET", f"/conversations/{conversation}")).json
        assert document["id"] == int(conversation)
        assert document["contacts"]["contacts"][0]["id"] == 5012
        assert isinstance(document["conversation_parts"]["conversation_parts"][0]["id"], int)

    async def test_every_object_has_a_field_nobody_documented(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.UNKNOWN_FIELDS)
        document = (await scene.detach()).json
        assert "undocumented" in document
        assert "undocumented" in document["customers"][0]

    async def test_what_alters_json_leaves_other_bodies_alone(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.HTML_BODY)
        scene.sim.faults.add(Fault.NUMERIC_IDS)
        assert (await scene.detach()).body.startswith(b"<html>")

    async def test_a_huge_body_nobody_reads_keeps_nobody_from_closing(
        self, session: aiohttp.ClientSession
    ) -> None:
        async with IntercomSimulator() as sim:
            sim.faults.add(Fault.HUGE_BODY)
            headers = {"Authorization": f"Bearer {sim.token}"}
            response = await session.get(f"{sim.url}/me", headers=headers)
            assert response.status == 200
        assert sim.requests.in_flight == 0
        response.close()


def draw(
    method: str = "GET", path: str = "/me", *, plan: FaultPlan, count: int = 1
) -> list[list[Fault]]:
    """The faults that strike so many requests, one after the other."""
    asked = Request(method=method, path=path, query="", time=0.0, headers={})
    return [[order.fault for order in plan.draw(asked)] for _ in range(count)]


class TestPlan:
    def test_a_fault_strikes_once_unless_told_otherwise(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.SERVER_ERROR)
        plan.add(Fault.HTML_ERROR, times=2, after=1)
        assert draw(plan=plan, count=5) == [
            [Fault.SERVER_ERROR],
            [],
            [Fault.HTML_ERROR],
            [Fault.HTML_ERROR],
            [],
        ]
        assert plan.struck == {Fault.SERVER_ERROR: 1, Fault.HTML_ERROR: 2}

    def test_a_probability_strikes_a_reproducible_part_of_all_requests(self) -> None:
        def strikes(seed: int, probability: float = 0.3) -> list[list[Fault]]:
            plan = FaultPlan(seed)
            plan.add(Fault.SERVER_ERROR, probability=probability)
            return draw(plan=plan, count=1000)

        assert 230 < sum(map(len, strikes(1))) < 370
        assert strikes(1) == strikes(1) != strikes(2)
        assert all(strikes(1, 1.0))

    def test_a_fault_can_be_for_one_method_or_conversation_or_predicate(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.LATENCY, probability=1.0, method="DELETE")
        plan.add(Fault.SET_COOKIE, probability=1.0, match="7")
        plan.add(
            Fault.MISSING_DATE,
            probability=1.0,
            match=lambda method, path: "search" in method + path,
        )
        assert draw("DELETE", "/conversations/8", plan=plan) == [[Fault.LATENCY]]
        assert draw("DELETE", "/conversations/7", plan=plan) == [[Fault.LATENCY, Fault.SET_COOKIE]]
        assert draw("POST", "/conversations/search", plan=plan) == [[Fault.MISSING_DATE]]
        plan.clear()
        assert draw("DELETE", "/conversations/7", plan=plan) == [[]]

    def test_of_faults_that_decide_only_the_first_strikes_beside_all_that_alter(self) -> None:
        plan = FaultPlan()
        for fault in (Fault.SET_COOKIE, Fault.RESET_AFTER_APPLYING, Fault.HANG, Fault.MISSING_DATE):
            plan.add(fault)
        assert draw(plan=plan, count=2) == [
            [Fault.RESET_AFTER_APPLYING, Fault.SET_COOKIE, Fault.MISSING_DATE],
            [Fault.HANG],
        ]

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"probability": -0.1}, "probability"),
            ({"probability": 1.1}, "probability"),
            ({"times": 0}, "times"),  # it would never strike
            ({"status": 500}, "status"),  # no option of this fault
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, options: Facts, name: str) -> None:
        with pytest.raises(InvalidArgumentError, match=name):
            FaultPlan().add(Fault.HANG, **options)

    @pytest.mark.intercom_simulator(limit=1)
    async def test_a_request_the_quota_refused_changes_nothing_and_uses_up_no_fault(
        self, scene: Scene
    ) -> None:
        scene.sim.spend(1)
        scene.sim.faults.add(Fault.SERVER_ERROR)
        assert (await scene.detach()).status == 429
        assert not scene.sim.faults.struck
        assert not scene.applied
