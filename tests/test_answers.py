"""No label is told that the server's own record does not bear out, whatever the answers claim."""

import asyncio
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
    RateLimitPolicy,
    RateLimitWaitError,
    RetryPolicy,
)
from intercom_async.detaching import ATTACH, DetachResult, settle
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.lying_server import GONE, STAYS, Asked, LyingServer, Said, error, html

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

Answer = Callable[[LyingServer, Asked], Said]

AT_ONCE = RetryPolicy(attempts=4, backoff=0.0, budget=1e9)


def client_for(server: LyingServer, retry: RetryPolicy = AT_ONCE, **more: Any) -> IntercomClient:
    return IntercomClient("token", base_url=server.url, retry=retry, **more)


@asynccontextmanager
async def lying(answer: Answer) -> AsyncGenerator[tuple[LyingServer, IntercomClient]]:
    async with LyingServer(answer) as server, client_for(server) as client:
        yield server, client


async def settled(client: IntercomClient, conversation: str = "7", **more: Any) -> DetachResult:
    return await settle(
        client._transport, Detach(conversation, GONE), "1", client._interactive, **more
    )


async def label(client: IntercomClient, conversation: str) -> Outcome:
    return (await settled(client, conversation)).outcome


async def wrong_labels(server: LyingServer, client: IntercomClient, count: int) -> list[str]:
    """Detach one contact of each conversation, 16 at a time; return what was told wrongly."""
    wrong: list[str] = []
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            told = await label(client, str(number))
            applied = server.applied[str(number), GONE] == 1
            if told is not (Outcome.DETACHED if applied else Outcome.FAILED):
                wrong.append(f"{number}: {told}, applied: {applied}")

    await asyncio.gather(*(work() for _ in range(16)))
    return wrong


def lying_once(lie: Said, *, applied: bool = True) -> Answer:
    """Answer the first write to conversation 7 with a lie, and everything else honestly."""

    def answer(server: LyingServer, asked: Asked) -> Said:
        if asked.conversation != "7" or asked.method == "GET" or asked.before:
            return server.honest(asked)
        if applied:
            server.honest(asked)
        return lie

    return answer


APPLIED_AND_ANSWERED: list[Said] = [
    *(Said(status=status) for status in (201, 202, 204, 206, 207, 302, 408, 425, 499)),
    *(Said(status=status) for status in (500, 501, 520, 524, 599)),
    *map(html, (400, 401, 403, 404, 409, 413, 422, 429, 451)),
]


class TestStatuses:
    """Who answered so may have applied it."""

    @pytest.mark.parametrize("said", APPLIED_AND_ANSWERED, ids=lambda said: str(said.status))
    async def test_a_detach_that_was_applied_and_answered_oddly_is_detached(
        self, said: Said
    ) -> None:
        async with lying(lying_once(said)) as (server, client):
            found = await settled(client)
        assert (found.outcome, found.inferred) == (Outcome.DETACHED, True)
        assert server.applied["7", GONE] == 1

    @pytest.mark.parametrize("said", [Said(status=520), Said(status=524), html(403)])
    @pytest.mark.parametrize("applied", [True, False])
    async def test_of_400_pairs_a_tenth_of_them_answered_so_no_label_is_wrong(
        self, said: Said, *, applied: bool
    ) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            odd = asked.method == "DELETE" and len(server.asked) % 10 == 0
            honest = server.honest(asked) if applied or not odd else said
            return said if odd else honest

        async with lying(answer) as (server, client):
            assert await wrong_labels(server, client, 400) == []
        assert server.applied.total() == 400

    async def test_an_error_that_intercom_words_is_final_and_checked_by_nobody(self) -> None:
        async with lying(lambda _, __: error(422, "No", code="data_invalid")) as (server, client):
            found = await settled(client)
        assert (found.outcome, found.in_doubt) == (Outcome.FAILED, False)
        assert server.methods == ["DELETE"]


def check_answered(check: Callable[[LyingServer, Asked], Said], *, applied: bool = False) -> Answer:
    """Answer every detach 502, and every look as told."""

    def answer(server: LyingServer, asked: Asked) -> Said:
        if asked.method == "DELETE":
            if applied and asked.before == 0:
                server.honest(asked)
            return html(502)
        return check(server, asked)

    return answer


CHECKS: dict[str, Callable[[LyingServer, Asked], Said]] = {
    "a gateway's 404": lambda _, __: html(404),
    "a gateway's 404 in JSON": lambda _, __: Said(status=404).with_body({"message": "Not Found"}),
    "404 about a user": lambda _, __: error(404, "User Not Found"),
    "Intercom's own 404": lambda _, __: error(404, "Resource Not Found"),
    "another conversation": lambda server, _: server.conversation("8"),
    "no id": lambda _, __: Said().with_body({"contacts": {"contacts": [{"id": STAYS}]}}),
    "a short list": lambda _, __: Said().with_body(
        {"id": "7", "contacts": {"contacts": [{"id": STAYS}], "total_count": 2}}
    ),
    "a part": lambda server, _: attrs.evolve(server.conversation("7"), status=206),
    "a page": lambda _, __: html(200),
    "nothing": lambda _, __: Said(),
    "an error": lambda _, __: attrs.evolve(error(404, "Resource Not Found"), status=200),
}


class TestChecks:
    """A look is held to the same rule."""

    @pytest.mark.parametrize("name", CHECKS)
    async def test_a_look_that_proves_nothing_leaves_it_unknown(self, name: str) -> None:
        own = name == "Intercom's own 404"
        async with lying(check_answered(CHECKS[name])) as (_, client):
            expected = Outcome.CONVERSATION_MISSING if own else Outcome.UNKNOWN
            assert await label(client, "7") is expected

    async def test_a_replica_that_lags_is_looked_at_again(self) -> None:
        def lagging(server: LyingServer, asked: Asked) -> Said:
            return server.conversation("7", *([GONE] if asked.before < 2 else []))

        async with lying(check_answered(lagging, applied=True)) as (server, client):
            assert await label(client, "7") is Outcome.DETACHED
        assert server.methods == ["DELETE"] * 4 + ["GET"] * 3

    async def test_after_three_looks_in_three_seconds_it_failed_and_stays_in_doubt(self) -> None:
        honest = check_answered(lambda server, asked: server.honest(asked))
        loop = asyncio.get_running_loop()
        async with lying(honest) as (server, client):
            began = loop.time()
            found = await settled(client)
            assert 3.0 <= loop.time() - began < 4.0
        assert (found.outcome, found.in_doubt) == (Outcome.FAILED, True)
        assert found.attempts == len(server.asked) == 7
        assert server.attached["7"] == {GONE, STAYS}

    async def test_a_client_that_is_closed_between_two_looks_leaves_it_unknown(self) -> None:
        looked = asyncio.Event()

        def look(server: LyingServer, asked: Asked) -> Said:
            looked.set()
            return server.honest(asked)

        async with lying(check_answered(look)) as (_, client):
            task = asyncio.create_task(settled(client))
            await looked.wait()
            await client.aclose()
            assert (await task).outcome is Outcome.UNKNOWN


LIES: dict[str, Said] = {
    "still lists the contact": Said().with_body({"customers": [{"id": STAYS}, {"id": GONE}]}),
    "names another conversation": Said().with_body({"id": "8", "customers": [{"id": STAYS}]}),
    "is an error": attrs.evolve(error(404, "User Not Found"), status=200),
    "is a page": html(200),
    "is empty": Said(),
    "is an empty object": Said().with_body({}),
    "is a list": Said().with_body([]),
}


class TestContents:
    """A success that contradicts itself or the question proves nothing."""

    @pytest.mark.parametrize("applied", [True, False])
    @pytest.mark.parametrize("name", LIES)
    async def test_a_detach_is_told_as_the_server_has_it(self, name: str, *, applied: bool) -> None:
        async with lying(lying_once(LIES[name], applied=applied)) as (server, client):
            found = await settled(client)
        done = server.applied["7", GONE] == 1
        assert found.outcome is (Outcome.DETACHED if done else Outcome.FAILED)
        assert found.in_doubt is not done
        assert found.inferred is applied

    @pytest.mark.parametrize("name", ["is a page", "is empty", "is an error", "lacks the contact"])
    async def test_an_attach_is_checked_like_a_detach(self, name: str) -> None:
        lacking = Said().with_body({"customers": [{"id": STAYS}]})
        applied = name in LIES
        lie = lying_once(LIES.get(name, lacking), applied=applied)
        async with LyingServer(lie) as server, client_for(server) as client:
            server.attached["7"] = {STAYS}
            found = await settled(client, change=ATTACH)
        assert found.outcome is (Outcome.ATTACHED if applied else Outcome.FAILED)

    async def test_a_reply_that_lists_nobody_contradicts_nothing(self) -> None:
        async with lying(lambda _, __: Said().with_body({"customers": []})) as (server, client):
            assert await label(client, "7") is Outcome.DETACHED
        assert server.methods == ["DELETE"]

    @pytest.mark.parametrize("lie", ["is a page", "is empty", "is an error"])
    @pytest.mark.parametrize("call", ["get", "whoami", "conversations", "contacts"])
    async def test_a_read_that_was_answered_so_is_tried_again(self, call: str, lie: str) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            if len(server.asked) == 1:
                return LIES[lie]
            if asked.conversation != "search":
                return server.honest(asked)
            return Said().with_body({"conversations": [{"id": "7"}], "data": [{"id": GONE}]})

        calls: dict[str, Callable[[IntercomClient], Awaitable[Any]]] = {
            "get": lambda client: client.get_conversation("7"),
            "whoami": lambda client: client.whoami(),
            "conversations": lambda client: anext(client.find_conversations(GONE)),
            "contacts": lambda client: anext(client.find_contacts(email="a@b.example")),
        }
        async with lying(answer) as (server, client):
            assert (await calls[call](client)).id in {"7", "1", GONE}
        assert len(server.asked) == 2

    @pytest.mark.parametrize("listed", [True, False])
    async def test_replies_that_list_the_removed_contact_are_believed_after_three_checks(
        self, caplog: pytest.LogCaptureFixture, *, listed: bool
    ) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            honest = server.honest(asked)
            if asked.method == "GET" or not listed:
                return honest
            return honest.with_body({"customers": [{"id": STAYS}, {"id": GONE}]})

        caplog.set_level(logging.INFO, logger="intercom_async")
        async with lying(answer) as (server, client):
            for number in range(9):
                assert await label(client, str(number)) is Outcome.DETACHED
        assert server.methods.count("GET") == (3 if listed else 0)
        lines = [record.getMessage() for record in caplog.records]
        assert len([line for line in lines if "just removed" in line]) == listed

    async def test_a_check_that_finds_the_contact_there_still_ends_the_row(self) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            lie = Said().with_body({"customers": [{"id": STAYS}, {"id": GONE}]})
            if asked.method == "DELETE" and asked.conversation == "2":
                return lie
            honest = server.honest(asked)
            return lie if asked.method == "DELETE" else honest

        async with lying(answer) as (server, client):
            told = [await label(client, str(number)) for number in range(5)]
        assert told == [Outcome.DETACHED] * 2 + [Outcome.FAILED] + [Outcome.DETACHED] * 2
        assert server.methods.count("GET") == 2 + 3 + 2


class TestConnections:
    """A connection that got a reply twice answers the question before the last."""

    async def test_behind_a_proxy_that_repeats_replies_no_label_is_wrong(self) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            if asked.method == "DELETE" and int(asked.conversation) % 3 == 0:
                return error(422, "No", code="data_invalid")  # so that answers differ
            return attrs.evolve(server.honest(asked), twice=len(server.asked) % 7 == 0)

        async with lying(answer) as (server, client):
            assert await wrong_labels(server, client, 300) == []
        assert server.applied.total() == 200

    async def test_a_connection_that_contradicts_a_question_is_not_used_again(self) -> None:
        lie = LIES["names another conversation"]
        async with lying(lying_once(lie)) as (server, client):
            await label(client, "6")
            await label(client, "7")
            await label(client, "8")
        first, *_ = [asked.port for asked in server.asked if asked.conversation == "7"]
        assert first == server.asked[0].port
        assert [asked.port for asked in server.asked].count(first) == 2


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_gateway_s_401_or_403_is_tried_again_and_then_named(self, status: int) -> None:
        async with lying(lambda _, __: html(status)) as (server, client):
            with pytest.raises(intercom_async.GatewayError, match=r"server: awselb/2\.0"):
                await client.whoami()
            assert len(server.asked) == 4
            found = await settled(client)
        assert found.outcome is Outcome.UNKNOWN
        assert found.fatal is None

    async def test_a_forbidden_conversation_fails_alone(self) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            if asked.conversation == "7":
                return error(403, "Not yours", code="forbidden")
            return server.honest(asked)

        async with lying(answer) as (server, client):
            found = await settled(client)
            assert await label(client, "8") is Outcome.DETACHED
        assert isinstance(found.error, PermissionDeniedError)
        assert (found.outcome, found.fatal) == (Outcome.FAILED, None)
        assert [asked.conversation for asked in server.asked] == ["7", "me", "8"]

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_token_that_may_do_nothing_is_fatal(self, status: int) -> None:
        async with lying(lambda _, __: error(status, "No", code="forbidden")) as (server, client):
            found = await asyncio.gather(*(settled(client) for _ in range(8)))
        assert all(each.fatal is each.error is not None for each in found)
        looks = [asked for asked in server.asked if asked.conversation == "me"]
        assert len(looks) == (status == 403)

    async def test_an_admin_whom_intercom_does_not_know_is_fatal(self) -> None:
        async with IntercomSimulator() as sim:
            ((conversation, contact),) = sim.workspace.populate(conversations=1)
            async with IntercomClient("token", base_url=sim.url) as client:
                found = await settle(
                    client._transport, Detach(conversation, contact), "9", client._interactive
                )
        assert found.outcome is Outcome.FAILED
        assert type(found.fatal) is intercom_async.AdminNotFoundError
        assert "admin_id" in str(found.fatal)


class TestQuota:
    async def test_a_429_with_nothing_but_its_reset_is_waited_out(self) -> None:
        moments: list[float] = []

        def answer(server: LyingServer, asked: Asked) -> Said:
            now = 1_790_000_000 + asyncio.get_running_loop().time()
            moments.append(now)
            if len(moments) > 1:
                return server.honest(asked)
            reset = {"X-RateLimit-Reset": str(int(now) + 8)}
            names = ("X-RateLimit-Limit", "X-RateLimit-Remaining")
            said = error(429, "Exceeded rate limit", code="rate_limit_exceeded")
            return attrs.evolve(said, headers=reset | dict.fromkeys(names, ""))

        async with (
            LyingServer(answer) as server,
            client_for(server, rate_limit=RateLimitPolicy(max_wait=None)) as client,
        ):
            assert await label(client, "7") is Outcome.DETACHED
        assert len(moments) == 2
        assert moments[1] >= int(moments[0]) + 8

    async def test_a_wait_after_a_refusal_tells_what_intercom_said(self) -> None:
        async with IntercomSimulator() as sim:
            sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=60.0)
            policy = RateLimitPolicy(max_wait=1.0)
            async with IntercomClient("token", base_url=sim.url, rate_limit=policy) as client:
                with pytest.raises(RateLimitWaitError, match="too_many_requests") as caught:
                    await client.whoami()
        told = caught.value
        assert (told.code, told.refusals) == ("too_many_requests", 1)
        assert told.message == "Too many requests to this resource"
        assert told.request_id
        assert told.rate_limit is not None
        assert told.rate_limit.limit == 167


class TestSearches:
    @pytest.mark.parametrize("status", [502, 504])
    @pytest.mark.parametrize("bearable", [75, 10])
    async def test_pages_that_a_gateway_gives_up_on_are_asked_for_in_halves(
        self, status: int, bearable: int
    ) -> None:
        def answer(server: LyingServer, asked: Asked) -> Said:
            pagination = asked.body["pagination"]
            if pagination["per_page"] > bearable:
                return html(status)
            first = int(pagination.get("starting_after", 0))
            last = min(200, first + pagination["per_page"])
            pages = {"next": {"starting_after": str(last)}} if last < 200 else {}
            listed = [{"id": str(number)} for number in range(first, last)]
            return Said().with_body({"conversations": listed, "total_count": 200, "pages": pages})

        async with lying(answer) as (server, client):
            found = [each.id async for each in client.find_conversations(GONE)]
        assert found == [str(number) for number in range(200)]
        sizes = [asked.body["pagination"]["per_page"] for asked in server.asked]
        tried = [150, 75] if bearable == 75 else [150, 75, 37, 18, 10]
        assert list(dict.fromkeys(sizes)) == tried
        assert len(sizes) <= 200 // bearable + 1 + 8

    async def test_a_search_whose_smallest_pages_fail_says_so(self) -> None:
        async with lying(lambda _, __: html(504)) as (server, client):
            with pytest.raises(intercom_async.ServerError, match="504"):
                _ = [each async for each in client.find_conversations(GONE)]
        assert len(server.asked) == 4 * 2 + 4

    async def test_other_failures_of_a_page_get_all_of_their_attempts(self) -> None:
        def answer(server: LyingServer, _: Asked) -> Said:
            if len(server.asked) < 4:
                return html(503)
            return Said().with_body({"conversations": [{"id": "7"}]})

        async with lying(answer) as (server, client):
            assert [each.id async for each in client.find_conversations(GONE)] == ["7"]
        assert {asked.body["pagination"]["per_page"] for asked in server.asked} == {150}

    @pytest.mark.parametrize("cursors", [2, 10**9])
    @pytest.mark.parametrize("what", ["conversations", "contacts"])
    async def test_a_search_that_leads_back_to_what_it_had_is_an_error(
        self, what: str, cursors: int
    ) -> None:
        def answer(server: LyingServer, _: Asked) -> Said:
            assert len(server.asked) < 20, "it goes on and on"
            number = len(server.asked)
            pages = {"next": {"starting_after": f"c{number % cursors}"}}
            listed = [{"id": str(n)} for n in range(3)]
            document = {"conversations": listed, "data": listed, "total_count": 9, "pages": pages}
            return Said().with_body(document)

        found: list[str | None] = []
        async with lying(answer) as (server, client):
            searches: dict[str, AsyncIterator[Any]] = {
                "contacts": client.find_contacts(external_id="7"),
                "conversations": client.find_conversations(GONE),
            }
            with pytest.raises(ContradictoryReplyError, match="leads back"):
                found += [each.id async for each in searches[what]]
        assert len(server.asked) == 2

    async def test_a_search_that_invents_a_new_page_for_ever_is_an_error(self) -> None:
        def answer(server: LyingServer, _: Asked) -> Said:
            first = 150 * len(server.asked)
            pages = {"next": {"starting_after": str(first)}}
            listed = [{"id": str(number)} for number in range(first, first + 150)]
            document = {"conversations": listed, "total_count": 150, "pages": pages}
            return Said().with_body(document)

        async with lying(answer) as (server, client):
            with pytest.raises(ContradictoryReplyError, match="far more than it announced"):
                _ = [each async for each in client.find_conversations(GONE)]
            assert len(server.asked) < 80
