"""Each fault as a client meets it, and the plan that decides whom it strikes."""

import asyncio
import email.utils
import errno
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import Fault, FaultPlan, IntercomSimulator
from intercom_async.simulator.faults import BEHAVIOURS, When
from tests.simulator.asking import Answer, Ask, until

driven = pytest.mark.asyncio(loop_factories=["driven"])


@pytest.fixture
async def raw() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that leaves bodies as they came."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        session._retry_connection = False
        yield session


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


def test_every_fault_has_a_row_in_the_table() -> None:
    assert set(BEHAVIOURS) == set(Fault)


class TestErrors:
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    @pytest.mark.parametrize(
        ("fault", "applied"),
        [(Fault.SERVER_ERROR, False), (Fault.SERVER_ERROR_AFTER_APPLYING, True)],
    )
    async def test_a_server_error_comes_before_or_after_applying(
        self, fault: Fault, applied: bool, status: int, scene: Scene
    ) -> None:
        scene.sim.faults.add(fault, status=status)
        answer = await scene.detach()
        assert answer.error[0] == status
        assert "X-RateLimit-Limit" in answer.headers
        assert scene.applied is applied

    async def test_a_status_without_a_name_can_be_sent_too(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.SERVER_ERROR, status=520)
        assert (await scene.detach()).status == 520

    @pytest.mark.parametrize(
        ("fault", "status", "applied"),
        [(Fault.HTML_ERROR, 502, False), (Fault.HTML_BODY, 200, True)],
    )
    async def test_html_comes_as_an_error_or_as_a_body(
        self, fault: Fault, status: int, applied: bool, scene: Scene
    ) -> None:
        scene.sim.faults.add(fault)
        answer = await scene.detach()
        assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html")
        assert answer.body.startswith(b"<html>")
        assert scene.applied is applied

    async def test_a_revoked_token_stays_revoked(self, scene: Scene) -> None:
        order = scene.sim.faults.add(Fault.UNAUTHORIZED)
        for _ in range(3):
            answer = await scene.detach()
            assert answer.error == (401, "unauthorized", "Access Token Invalid")
            assert "X-RateLimit-Limit" not in answer.headers
        scene.sim.faults.remove(order)
        assert (await scene.detach()).status == 200

    async def test_a_restricted_plan_stays_restricted(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.FORBIDDEN)
        for _ in range(2):
            answer = await scene.detach()
            assert answer.error == (403, "api_plan_restricted", "Active subscription needed.")
        assert not scene.applied

    @pytest.mark.intercom_simulator(counter_lag=0, limit=1)
    async def test_the_budget_of_the_workspace_can_be_gone_before_that_of_the_app(
        self, scene: Scene
    ) -> None:
        scene.sim.faults.add(Fault.RATE_LIMIT_WORKSPACE)
        answer = await scene.detach()
        assert answer.error[:2] == (429, "rate_limit_exceeded")
        assert answer.quota[1] > 0
        assert not scene.applied

    @pytest.mark.parametrize(("seconds", "header"), [(None, None), (7, "7"), (0.5, "0.5")])
    async def test_too_many_requests_to_a_resource_may_say_when_to_return(
        self, seconds: float | None, header: str | None, scene: Scene
    ) -> None:
        scene.sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=seconds)
        answer = await scene.detach()
        assert answer.error[:2] == (429, "too_many_requests")
        assert answer.headers.get("Retry-After") == header

    async def test_an_unavailable_service_says_when_to_return(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.RETRY_AFTER, seconds=3)
        answer = await scene.detach()
        assert answer.error[:2] == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "3"

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
        ("fault", "applied"),
        [(Fault.RESET_BEFORE_APPLYING, False), (Fault.RESET_AFTER_APPLYING, True)],
    )
    async def test_a_reset_is_a_reset(self, fault: Fault, applied: bool, scene: Scene) -> None:
        scene.sim.faults.add(fault)
        with pytest.raises(aiohttp.ClientOSError) as caught:
            await scene.detach()
        assert (
            isinstance(caught.value, ConnectionResetError) or caught.value.errno == errno.ECONNRESET
        )
        assert scene.applied is applied

    @pytest.mark.parametrize(
        ("fault", "applied"),
        [(Fault.CLOSE_BEFORE_APPLYING, False), (Fault.CLOSE_AFTER_APPLYING, True)],
    )
    async def test_a_connection_closes_without_a_reply(
        self, fault: Fault, applied: bool, scene: Scene
    ) -> None:
        scene.sim.faults.add(fault)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await scene.detach()
        assert scene.applied is applied

    async def test_a_body_ends_in_its_middle(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.TRUNCATED_BODY)
        with pytest.raises(aiohttp.ClientPayloadError):
            await scene.detach()
        assert scene.applied
        assert scene.sim.requests.by_status[200] == 1

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
    async def test_a_body_is_empty(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.EMPTY_BODY)
        answer = await scene.detach()
        assert (answer.status, answer.body, scene.applied) == (200, b"", True)

    async def test_rate_limit_headers_are_missing(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.MISSING_RATE_LIMIT_HEADERS)
        answer = await scene.detach()
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
        assert answer.status == 200

    async def test_the_date_is_missing(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.MISSING_DATE)
        assert "Date" not in (await scene.detach()).headers

    @pytest.mark.intercom_simulator(clock=lambda: 1_700_000_000.0)
    async def test_date_and_reset_are_skewed_together(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.SKEWED_HEADERS, seconds=-90)
        answer = await scene.detach()
        assert answer.quota[2] == 1_700_000_010 - 90
        date = email.utils.parsedate_to_datetime(answer.headers["Date"])
        assert date.timestamp() == 1_700_000_000 - 90

    async def test_headers_that_are_missing_cannot_be_skewed(self, scene: Scene) -> None:
        for fault in (Fault.MISSING_DATE, Fault.MISSING_RATE_LIMIT_HEADERS, Fault.SKEWED_HEADERS):
            scene.sim.faults.add(fault)
        answer = await scene.detach()
        assert answer.status == 200
        assert "Date" not in answer.headers

    async def test_a_cookie_is_set(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.SET_COOKIE)
        assert (await scene.detach()).headers["Set-Cookie"].startswith("intercom-session=")

    async def test_ids_come_as_numbers_at_every_depth(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        contact = sim.workspace.add_contact(contact_id="5012")
        conversation = sim.workspace.add_conversation([contact], parts=1)
        sim.faults.add(Fault.NUMERIC_IDS)
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

    async def test_a_gzip_bomb_is_small_until_it_is_unpacked(
        self, sim: IntercomSimulator, raw: aiohttp.ClientSession
    ) -> None:
        sim.faults.add(Fault.GZIP_BOMB, size=1 << 20)
        answer = await Ask(sim, raw)("GET", "/me")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(answer.body) < 5_000
        assert len(gzip.decompress(answer.body)) == 1 << 20

    async def test_a_huge_body_has_the_size_asked_for(self, scene: Scene) -> None:
        scene.sim.faults.add(Fault.HUGE_BODY, size=300_001)
        answer = await scene.detach()
        assert (len(answer.body), answer.json, scene.applied) == (300_001, {}, True)

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


class TestPlan:
    def test_a_fault_strikes_once_unless_told_otherwise(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.SERVER_ERROR)
        plan.add(Fault.HTML_ERROR, times=2)
        struck = [[order.fault for order in plan.draw("GET", "/", None)] for _ in range(4)]
        assert struck == [[Fault.SERVER_ERROR], [Fault.HTML_ERROR], [Fault.HTML_ERROR], []]
        assert plan.struck == {Fault.SERVER_ERROR: 1, Fault.HTML_ERROR: 2}

    def test_a_probability_strikes_a_reproducible_part_of_all_requests(self) -> None:
        def strikes(seed: int) -> list[int]:
            plan = FaultPlan(seed)
            plan.add(Fault.SERVER_ERROR, probability=0.3)
            return [number for number in range(1000) if plan.draw("GET", "/", None)]

        assert 230 < len(strikes(1)) < 370
        assert strikes(1) == strikes(1) != strikes(2)

    def test_a_probability_of_one_strikes_every_request(self) -> None:
        plan = FaultPlan()
        order = plan.add(Fault.LATENCY, probability=1.0)
        assert all(plan.draw("GET", "/", None) for _ in range(50))
        assert (order.struck, order.spent) == (50, False)

    def test_a_fault_can_wait_until_some_requests_have_passed(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.SERVER_ERROR, after=2)
        assert [bool(plan.draw("GET", "/", None)) for _ in range(4)] == [False, False, True, False]

    def test_a_fault_can_be_for_one_method_or_conversation_or_predicate(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.LATENCY, probability=1.0, method="DELETE")
        plan.add(Fault.SET_COOKIE, probability=1.0, match="7")
        plan.add(
            Fault.MISSING_DATE,
            probability=1.0,
            match=lambda method, path: "search" in method + path,
        )

        def drawn(method: str, path: str, conversation_id: str | None) -> set[Fault]:
            return {order.fault for order in plan.draw(method, path, conversation_id)}

        assert drawn("DELETE", "/conversations/8", "8") == {Fault.LATENCY}
        assert drawn("DELETE", "/conversations/7", "7") == {Fault.LATENCY, Fault.SET_COOKIE}
        assert drawn("POST", "/conversations/search", None) == {Fault.MISSING_DATE}
        plan.clear()
        assert drawn("DELETE", "/conversations/7", "7") == set()

    def test_of_faults_that_decide_only_the_first_strikes_beside_all_that_alter(self) -> None:
        plan = FaultPlan()
        plan.add(Fault.SET_COOKIE)
        plan.add(Fault.RESET_AFTER_APPLYING)
        plan.add(Fault.HANG)
        plan.add(Fault.MISSING_DATE)
        first = plan.draw("GET", "/", None)
        assert [order.fault for order in first] == [
            Fault.RESET_AFTER_APPLYING,
            Fault.SET_COOKIE,
            Fault.MISSING_DATE,
        ]
        assert [order.when for order in plan.draw("GET", "/", None)] == [When.HOLDING]

    @pytest.mark.parametrize("probability", [-0.1, 1.1])
    def test_an_impossible_probability_is_refused(self, probability: float) -> None:
        with pytest.raises(InvalidArgumentError, match="probability"):
            FaultPlan().add(Fault.HANG, probability=probability)

    def test_a_fault_that_never_strikes_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="times"):
            FaultPlan().add(Fault.HANG, times=0)

    def test_an_option_the_fault_does_not_have_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="status"):
            FaultPlan().add(Fault.HANG, status=500)

    @pytest.mark.intercom_simulator(limit=1)
    async def test_a_request_the_quota_refused_uses_up_no_fault(self, scene: Scene) -> None:
        scene.sim.spend(1)
        scene.sim.faults.add(Fault.SERVER_ERROR)
        assert (await scene.detach()).status == 429
        assert not scene.sim.faults.struck
