"""No label is told that the server's own record does not bear out, whatever the answers claim."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

import intercom_async
from intercom_async import (
    ContradictoryReplyError,
    Detach,
    IntercomClient,
    Outcome,
    PermissionDeniedError,
    RateLimitWaitError,
    RetryPolicy,
)
from intercom_async.detaching import ATTACH, DetachResult, settle
from intercom_async.simulator import Fault, IntercomSimulator
from intercom_async.simulator.requests import Request
from tests.support.lies import Answer, Lie, Lies, always, error, page
from tests.support.raw_server import RawServer, reply

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

GONE, STAYS = "gone", "stays"
"""The contacts of every conversation at first; tests detach the first one."""

AT_ONCE = RetryPolicy(attempts=4, backoff=0.0, budget=1e9)


@asynccontextmanager
async def lying(
    answer: Answer, **options: Any
) -> AsyncGenerator[tuple[IntercomSimulator, IntercomClient]]:
    async with IntercomSimulator(limit=100_000, keep_log=True) as sim:
        sim.faults = Lies(answer)
        sim.workspace.add_contact(contact_id=GONE, email="a@b.example")
        sim.workspace.add_contact(contact_id=STAYS)
        for number in range(200):
            sim.workspace.add_conversation([GONE, STAYS], conversation_id=str(number))
        async with IntercomClient(sim.token, base_url=sim.url, retry=AT_ONCE, **options) as client:
            yield sim, client


async def settled(client: IntercomClient, conversation: str = "7", **more: Any) -> DetachResult:
    pair, admin_id = Detach(conversation, GONE), more.pop("admin_id", "5017690")
    return await settle(client._transport, pair, admin_id, client._interactive, **more)


async def label(client: IntercomClient, conversation: str = "7") -> Outcome:
    return (await settled(client, conversation)).outcome


def log_of(sim: IntercomSimulator) -> list[Request]:
    assert sim.requests.log is not None
    return sim.requests.log


def methods(sim: IntercomSimulator) -> list[str]:
    return [request.method for request in log_of(sim)]


def first_change(lie: Lie) -> Answer:
    """Answer the first request to change a conversation with a lie, and all else honestly."""
    return lambda request, before: None if request.method == "GET" or before else lie


LISTED = [{"id": STAYS}, {"id": GONE}]
STILL_LISTED = Lie({"customers": LISTED})
LIES: dict[str, Lie] = {
    **{
        f"status {status}": Lie(status=status)
        for status in (201, 202, 204, 206, 207, 302, 408, 425, 499, 500, 501, 520, 524, 599)
    },
    **{f"page {status}": page(status) for status in (400, 401, 403, 404, 409, 413, 422, 429, 451)},
    "still lists the contact": STILL_LISTED,
    "names another conversation": Lie({"id": "8", "customers": [{"id": STAYS}]}),
    "is an error": attrs.evolve(error(404, "User Not Found"), status=200),
    "is a page": page(200),
    "is empty": Lie(),
    "is an empty object": Lie({}),
    "is a list": Lie([]),
}


class TestChanges:
    """An answer that contradicts itself or the question proves nothing."""

    @pytest.mark.parametrize("applied", [True, False])
    @pytest.mark.parametrize("name", LIES)
    async def test_a_detach_is_told_as_the_server_has_it(self, name: str, *, applied: bool) -> None:
        lie = attrs.evolve(LIES[name], applied=applied)
        async with lying(first_change(lie)) as (sim, client):
            found = await settled(client)
        done = sim.applied["7", GONE] == 1
        assert found.outcome is (Outcome.DETACHED if done else Outcome.FAILED)
        assert found.in_doubt is not done
        assert found.inferred is applied
        assert done or not applied

    @pytest.mark.parametrize("name", ["is a page", "is empty", "is an error", "lacks the contact"])
    async def test_an_attach_is_checked_like_a_detach(self, name: str) -> None:
        applied = name in LIES
        lie = LIES.get(name, Lie({"customers": [{"id": STAYS}]}))
        async with lying(first_change(attrs.evolve(lie, applied=applied))) as (sim, client):
            sim.workspace.detach("7", GONE)
            found = await settled(client, change=ATTACH)
        assert found.outcome is (Outcome.ATTACHED if applied else Outcome.FAILED)

    @pytest.mark.parametrize(
        ("lie", "outcome"),
        [
            (Lie({"customers": []}), Outcome.DETACHED),  # lists nobody and contradicts nothing
            (error(422, "No", code="data_invalid"), Outcome.FAILED),
        ],
    )
    async def test_what_intercom_words_is_final_and_checked_by_nobody(
        self, lie: Lie, outcome: Outcome
    ) -> None:
        async with lying(always(lie)) as (sim, client):
            found = await settled(client)
        assert (found.outcome, found.in_doubt) == (outcome, False)
        assert methods(sim) == ["DELETE"]

    @pytest.mark.parametrize(("not_applied", "looks"), [(None, 3), ("2", 7)])
    async def test_replies_that_list_the_removed_contact_are_believed_after_three_checks_in_a_row(
        self, caplog: pytest.LogCaptureFixture, not_applied: str | None, looks: int
    ) -> None:
        def answer(request: Request, _: int) -> Lie | None:
            applied = request.conversation_id != not_applied
            lie = attrs.evolve(STILL_LISTED, applied=applied)
            return lie if request.method == "DELETE" else None

        caplog.set_level(logging.INFO, logger="intercom_async")
        async with lying(answer) as (sim, client):
            told = [await label(client, str(number)) for number in range(5)]
        wrong = [str(n) for n, outcome in enumerate(told) if outcome is not Outcome.DETACHED]
        assert wrong == ([] if not_applied is None else [not_applied])
        assert methods(sim).count("GET") == looks
        lines = [record.getMessage() for record in caplog.records]
        assert len([line for line in lines if "just removed" in line]) == (not_applied is None)

    async def test_a_connection_that_contradicts_a_question_is_not_used_again(self) -> None:
        ports: list[int] = []

        async def script(number: int, writer: asyncio.StreamWriter) -> None:
            ports.append(writer.get_extra_info("peername")[1])
            writer.write(reply(b'{"id": "8"}' if number == 2 else b'{"customers": []}'))

        async with (
            RawServer(script) as server,
            IntercomClient("token", base_url=server.url, retry=AT_ONCE) as client,
        ):
            for number in "678":
                await label(client, number)
        assert ports[0] == ports[1]
        assert ports.count(ports[0]) == 2


def conversation(number: str, contacts: dict[str, Any], *, status: int = 200) -> Lie:
    return Lie({"type": "conversation", "id": number, "contacts": contacts}, status)


NO_PROOF: dict[str, Lie] = {
    "a gateway's 404": page(404),
    "a gateway's 404 in JSON": Lie({"message": "Not Found"}, 404),
    "404 about a user": error(404, "User Not Found"),
    "another conversation": conversation("8", {"contacts": [{"id": STAYS}]}),
    "no id": Lie({"contacts": {"contacts": [{"id": STAYS}]}}),
    "a short list": conversation("7", {"contacts": [{"id": STAYS}], "total_count": 2}),
    "a part": conversation("7", {"contacts": [{"id": STAYS}]}, status=206),
    "a page": page(200),
    "nothing": Lie(),
    "an error": attrs.evolve(error(404, "Resource Not Found"), status=200),
}


def looked(look: Answer, *, applied: bool = False) -> Answer:
    """Answer every detach 502, and every look as told."""

    def answer(request: Request, before: int) -> Lie | None:
        if request.method == "DELETE":
            return attrs.evolve(page(502), applied=applied and before == 0)
        return look(request, before)

    return answer


class TestLooks:
    """A look whether the contact is gone is held to the same rule."""

    @pytest.mark.parametrize("name", [*NO_PROOF, "Intercom's own 404"])
    async def test_one_that_proves_nothing_leaves_it_unknown(self, name: str) -> None:
        lie = NO_PROOF.get(name, error(404, "Resource Not Found"))
        async with lying(looked(always(lie))) as (_, client):
            expected = Outcome.UNKNOWN if name in NO_PROOF else Outcome.CONVERSATION_MISSING
            assert await label(client) is expected

    async def test_a_replica_that_lags_is_looked_at_again(self) -> None:
        late = conversation("7", {"contacts": LISTED})
        lagging = looked(lambda _, before: late if before < 2 else None, applied=True)
        async with lying(lagging) as (sim, client):
            assert await label(client) is Outcome.DETACHED
        assert methods(sim) == ["DELETE"] * 4 + ["GET"] * 3

    async def test_after_three_looks_in_three_seconds_it_failed_and_stays_in_doubt(self) -> None:
        loop = asyncio.get_running_loop()
        async with lying(looked(always(None))) as (sim, client):
            began = loop.time()
            found = await settled(client)
            assert 3.0 <= loop.time() - began < 4.0
        assert (found.outcome, found.in_doubt) == (Outcome.FAILED, True)
        assert found.attempts == sim.requests.total == 7
        assert sim.workspace.attached("7", GONE)

    async def test_a_client_that_is_closed_between_two_looks_leaves_it_unknown(self) -> None:
        async with lying(looked(always(None))) as (sim, client):
            task = asyncio.create_task(settled(client))
            while not sim.requests.by_method["GET"]:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
            await client.aclose()
            assert (await task).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("lie", ["is a page", "is empty", "is an error"])
    @pytest.mark.parametrize("call", ["get", "whoami", "conversations", "contacts"])
    async def test_any_read_that_was_answered_so_is_tried_again(self, call: str, lie: str) -> None:
        calls: dict[str, Callable[[IntercomClient], Awaitable[Any]]] = {
            "get": lambda client: client.get_conversation("7"),
            "whoami": lambda client: client.whoami(),
            "conversations": lambda client: anext(client.find_conversations(GONE)),
            "contacts": lambda client: anext(client.find_contacts(email="a@b.example")),
        }
        async with lying(lambda _, before: None if before else LIES[lie]) as (sim, client):
            assert (await calls[call](client)).id in {"7", "5017690", "0", GONE}
        assert sim.requests.total == 2


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_gateway_s_401_or_403_is_tried_again_and_then_named(self, status: int) -> None:
        async with lying(always(page(status))) as (sim, client):
            with pytest.raises(intercom_async.GatewayError, match="server: nginx"):
                await client.whoami()
            assert sim.requests.total == 4
            found = await settled(client)
        assert (found.outcome, found.fatal) == (Outcome.UNKNOWN, None)

    async def test_a_forbidden_conversation_fails_alone(self) -> None:
        forbidden = error(403, "Not yours", code="forbidden")
        async with lying(
            lambda request, _: forbidden if request.conversation_id == "7" else None
        ) as (sim, client):
            found = await settled(client)
            assert await label(client, "8") is Outcome.DETACHED
        assert isinstance(found.error, PermissionDeniedError)
        assert (found.outcome, found.fatal) == (Outcome.FAILED, None)
        assert [request.conversation_id for request in log_of(sim)] == ["7", None, "8"]

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_token_that_may_do_nothing_is_fatal(self, status: int) -> None:
        async with lying(always(error(status, "No", code="forbidden"))) as (sim, client):
            found = await asyncio.gather(*(settled(client) for _ in range(8)))
        assert all(each.fatal is each.error is not None for each in found)
        assert methods(sim).count("GET") == (status == 403)

    async def test_an_admin_whom_intercom_does_not_know_is_fatal(self) -> None:
        async with lying(always(None)) as (_, client):
            found = await settled(client, admin_id="9")
        assert found.outcome is Outcome.FAILED
        assert type(found.fatal) is intercom_async.AdminNotFoundError
        assert "admin_id" in str(found.fatal)


async def test_a_wait_after_a_refusal_tells_what_intercom_said(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=60.0)
    with pytest.raises(RateLimitWaitError, match="too_many_requests") as caught:
        await client.with_options(max_wait=1.0).whoami()
    told = caught.value
    assert (told.code, told.refusals) == ("too_many_requests", 1)
    assert told.message == "Too many requests to this resource"
    assert told.request_id
    assert told.rate_limit is not None
    assert told.rate_limit.limit == sim.quota.limit


def per_page(request: Request) -> int:
    return int(json.loads(request.body)["pagination"]["per_page"])


class TestSearches:
    @pytest.mark.parametrize("status", [502, 504])
    @pytest.mark.parametrize(
        ("bearable", "tried"), [(75, [150, 75]), (10, [150, 75, 37, 18, 10]), (0, [150, 75, 37])]
    )
    async def test_pages_that_a_gateway_gives_up_on_are_asked_for_in_halves(
        self, status: int, bearable: int, tried: list[int]
    ) -> None:
        async with lying(
            lambda request, _: page(status) if per_page(request) > bearable else None
        ) as (sim, client):
            if bearable:
                found = [each.id async for each in client.find_conversations(GONE)]
                assert found == [str(number) for number in range(200)]
                assert sim.requests.total <= 200 // bearable + 1 + 8
            else:
                with pytest.raises(intercom_async.ServerError, match=str(status)):
                    await anext(client.find_conversations(GONE))
                assert sim.requests.total == 4 * 2 + 4
        sizes = dict.fromkeys(map(per_page, log_of(sim)))
        assert [*sizes][: len(tried)] == tried

    async def test_other_failures_of_a_page_get_all_of_their_attempts(self) -> None:
        async with lying(lambda _, before: page(503) if before < 3 else None) as (sim, client):
            assert (await anext(client.find_conversations(GONE))).id == "0"
        assert [*map(per_page, log_of(sim))] == [150] * 4

    @pytest.mark.parametrize(
        ("what", "cursors", "step", "told", "requests"),
        [
            *(
                (what, cursors, 0, "leads back", 2)
                for what in ("conversations", "contacts")
                for cursors in (2, 10**9)
            ),
            ("conversations", 10**9, 150, "far more than it announced", 80),
        ],
    )
    async def test_a_search_that_goes_on_for_ever_is_an_error(
        self, what: str, cursors: int, step: int, told: str, requests: int
    ) -> None:
        def answer(_: Request, before: int) -> Lie:
            assert before < 100, "it goes on and on"
            pages = {"next": {"starting_after": f"c{(before + 1) % cursors}"}}
            listed = [{"id": str(step * before + n)} for n in range(step or 3)]
            document = {"conversations": listed, "data": listed, "pages": pages}
            return Lie(document | {"total_count": 150})

        async with lying(answer) as (sim, client):
            searches: dict[str, AsyncIterator[Any]] = {
                "contacts": client.find_contacts(external_id="7"),
                "conversations": client.find_conversations(GONE),
            }
            with pytest.raises(ContradictoryReplyError, match=told):
                _ = [each async for each in searches[what]]
        assert sim.requests.total <= requests
