"""Calls of any endpoint, and what every object that came from a reply knows of it."""

import copy
import pickle
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest

from intercom_async import (
    ContactNotFoundError,
    ContradictoryReplyError,
    Conversation,
    ConversationNotFoundError,
    GatewayError,
    IntercomClient,
    IntercomError,
    InvalidArgumentError,
    Lane,
    LastContactError,
    NotFoundError,
    RateLimitWaitError,
    RawReply,
    RedirectError,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    UnknownOutcomeError,
)
from intercom_async.observing import CallBegan, Event, WaitRefused
from intercom_async.simulator import Fault, IntercomSimulator
from intercom_async.structuring import decode_conversation, encode_conversation
from tests.support.raw_server import RawServer, Script, always, in_turn, reply

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

ERROR = b'{"type": "error.list", "errors": [{"code": "not_found", "message": "Tag not found"}]}'
MISSING = ERROR.replace(b"Tag not found", b"Resource Not Found")
SEARCH = {"query": {"field": "email", "operator": "=", "value": "a@example.com"}}


@asynccontextmanager
async def raw(script: Script, **options: Any) -> AsyncGenerator[tuple[RawServer, IntercomClient]]:
    options = {"token": "token"} | options
    async with (
        RawServer(script) as server,
        IntercomClient(base_url=server.url, **options) as client,
    ):
        yield server, client


async def answered(data: bytes, method: str = "GET") -> RawReply:
    async with raw(always(data), max_retries=0) as (_, client):
        return await client.request(method, "/tags")


PATHS_THAT_COULD_LEAD_ELSEWHERE = [
    *("tags", "", "/", 17, "/tags/", "/a b", "/ü", "/a\\b", "/a\r\nb", "/100%"),
    *("https://api.example.com/tags", "//api.example.com/tags", "/conversations//customers/1"),
    *("/tags?page=2", "/tags#1", "/tags/../admins", "/tags/%2e%2E/admins", "/tags/./1"),
]


class TestCalls:
    async def test_an_endpoint_is_called_with_the_token_a_document_and_parameters(self) -> None:
        async with (
            RawServer(always(reply(b'{"id": "17"}', headers="X-Request-Id: abc\r\n"))) as server,
            IntercomClient("token", base_url=f"{server.url}/prefix") as client,
        ):
            params = {"page": 2, "tag": ["a b", "c&d"], "open": True, "none": None, "at": "+ü"}
            found = await client.request(
                "post", "/tags/a%2Fb", json={"day": date(2026, 1, 2)}, params=params
            )
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        query = b"page=2&tag=a+b&tag=c%26d&open=true&at=%2B%C3%BC"
        assert head.startswith(b"POST /prefix/tags/a%2Fb?" + query + b" HTTP/1.1\r\n")
        assert b"\r\nAuthorization: Bearer token\r\n" in head
        assert b"\r\nContent-Type: application/json\r\n" in head
        assert body == b'{"day":"2026-01-02"}'
        assert (found.status, found.request_id, found.json()) == (200, "abc", {"id": "17"})
        assert found.headers["x-request-id"] == found.headers["X-Request-ID"] == "abc"
        assert repr(found) == "RawReply(status=200, request_id='abc', body=<12 bytes>)"

    async def test_the_quota_and_the_events_are_those_of_every_call(
        self, sim: IntercomSimulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        events: list[Event] = []
        async with IntercomClient("token", base_url=sim.url, observer=events.append) as client:
            await client.request("GET", "/me", params={"a": "b"})
            await client.request("GET", "/me", lane=Lane.BULK)
            sim.spend(sim.quota.limit)
            with pytest.raises(RateLimitWaitError) as raised:
                for _ in range(3):
                    await client.with_options(max_wait=0.5).request("GET", "/me")
        began = [(event.path, event.lane) for event in events if isinstance(event, CallBegan)]
        assert began[:2] == [("/me", "interactive"), ("/me", "bulk")]
        (refused,) = [event for event in events if isinstance(event, WaitRefused)]
        assert refused.wait > refused.max_wait == 0.5
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        for told in (str(raised.value), warning.getMessage()):
            assert f"{refused.wait:.2f} s" in told

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (reply(b"", status="204 No Content"), None),
            (reply(b"[1]", status="202 Accepted"), [1]),
            (reply(b"id;name\n", headers="Content-Type: text/csv\r\n"), None),
        ],
    )
    async def test_any_success_returns_whatever_its_body(self, data: bytes, told: object) -> None:
        found = await answered(data)
        assert data.endswith(found.body)
        if told is None:
            with pytest.raises(ResponseDecodeError, match=f"HTTP {found.status}") as raised:
                found.json()
            assert raised.value.reply is found
        else:
            assert found.json() == told

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (reply(MISSING, status="404 Not Found"), NotFoundError),
            (reply(b"", status="302 Found"), RedirectError),
            (reply(b"<html>", status="403 Forbidden"), GatewayError),
            (reply(b"<html>", headers="Content-Type: text/html\r\n"), ResponseDecodeError),
            (reply(b"{}", status="201 C", headers="Content-Type: text/HTML\r\n"), ServerError),
            (reply(ERROR), IntercomError),
            (reply(b"<html>", status="502 Bad Gateway"), ServerError),
        ],
    )
    async def test_what_is_no_success_of_intercom_raises(
        self, data: bytes, kind: type[IntercomError]
    ) -> None:
        with pytest.raises(kind) as raised:
            await answered(data)
        assert raised.value.reply is not None
        assert raised.value.reply.status == int(data[9:12])
        # Nobody knows what is missing.
        assert not isinstance(raised.value, ConversationNotFoundError)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("method", value) for value in ("TRACE", None, "HEAD")),
            *(("path", value) for value in PATHS_THAT_COULD_LEAD_ELSEWHERE),
            *(("json", value) for value in (object(), {"a": {1j}})),
            *(("params", {"a": value}) for value in ("\ud800", {"b": 1}, [{1}])),
            ("params", ["a"]),
            ("lane", "fast"),
            *(("timeout", value) for value in (0, 10**400)),
        ],
    )
    async def test_what_cannot_be_sent_is_refused_by_name(
        self, sim: IntercomSimulator, client: IntercomClient, name: str, value: object
    ) -> None:
        arguments: dict[str, object] = {"method": "GET", "path": "/me"} | {name: value}
        with pytest.raises(InvalidArgumentError) as raised:
            await client.request(**arguments)  # type: ignore[arg-type]  # wrong on purpose
        assert raised.value.name == name
        assert sim.requests.total == 0


class TestRepeating:
    LOST = (None, reply(b"", status="500 Oops"), reply(b"<h1>", status="429 Slow"))

    @pytest.mark.parametrize("lost", LOST, ids=["lost", "500", "foreign_429"])
    @pytest.mark.parametrize(
        ("method", "idempotent", "harmless"),
        [
            *((method, None, True) for method in ("GET", "PUT", "DELETE")),
            *((method, None, False) for method in ("POST", "PATCH")),
            *(("POST", True, True), ("DELETE", False, False)),
        ],
    )
    async def test_what_may_have_been_applied_is_sent_again_only_if_that_does_no_harm(
        self, method: str, idempotent: bool | None, harmless: bool, lost: bytes | None
    ) -> None:
        async with raw(in_turn(lost, reply())) as (server, client):
            call = client.request(method, "/tags", json=SEARCH, idempotent=idempotent)
            if harmless:
                await call
            else:
                kind = UnknownOutcomeError if lost is None else IntercomError
                with pytest.raises(kind, match="may have been applied and is not repeated"):
                    await call
            assert len(server.requests) == 1 + harmless


class TestReplies:
    async def test_everything_that_came_from_a_reply_knows_its_head(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        first = sim.workspace.add_contact(email="a@example.com")
        second = sim.workspace.add_contact()
        conversation = sim.workspace.add_conversation([first, second])
        large = sim.workspace.add_conversation([first, second], parts=500)
        pairs, admin = [(large, first), ("404", first)], sim.admin_id
        async with client.detach_contacts(pairs, admin_id=admin) as run:
            results = [result async for result in run]
        with pytest.raises(ContactNotFoundError) as raised:
            await client.detach_contact(large, first, admin_id=admin)
        heads = [
            (await client.whoami()).reply,
            (await client.get_conversation(conversation)).reply,
            (await client.get_conversation(large)).reply,
            (await anext(client.find_conversations(first))).reply,
            (await anext(client.find_contacts(email="a@example.com"))).reply,
            (await client.detach_contact(conversation, first, admin_id=admin)).reply,
            (await client.attach_contact(conversation, first, admin_id=admin)).reply,
            await client.request("GET", "/me"),
            *(result.conversation.reply for result in results if result.conversation is not None),
            *(result.reply for result in results if result.error is not None),
            pickle.loads(pickle.dumps(raised.value)).reply,
        ]
        assert [head and head.status for head in heads] == [200] * 9 + [404] * 2
        assert len({head and head.request_id for head in heads}) == len(heads)
        for head in heads:
            assert head is not None
            assert head.headers["X-RATELIMIT-LIMIT"] == str(sim.quota.limit)
            assert head.headers["x-request-id"] == head.request_id
        for result in results:
            assert result.reply in heads
            assert result.reply is not None
            assert result.request_id == result.reply.request_id

    async def test_the_head_is_no_part_of_the_document(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        conversation = sim.workspace.add_conversation([sim.workspace.add_contact()])
        found = await client.get_conversation(conversation)
        assert found.reply is not None
        document = encode_conversation(found)
        assert "reply" not in document
        again = decode_conversation(document)
        assert isinstance(again, Conversation)
        assert (again, hash(again), repr(again)) == (found, hash(found), repr(found))
        assert again.reply is None
        assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found

    async def test_a_contradiction_and_a_body_that_is_no_json_tell_theirs(self) -> None:
        odd = b'{"id": "1", "title": "\xff"}'  # found out only when it is decoded
        cases: list[tuple[bytes, type[IntercomError]]] = [
            *((body, ResponseDecodeError) for body in (b"[]", odd)),
            (b'{"id": "2"}', ContradictoryReplyError),
        ]
        for body, kind in cases:
            headers = "X-Request-Id: abc-7\r\nX-Mark: 7\r\n"
            async with raw(always(reply(body, headers=headers)), max_retries=0) as (_, client):
                with pytest.raises(kind, match="HTTP 200, request id abc-7") as raised:
                    await client.get_conversation("1")
            assert raised.value.reply is not None
            assert raised.value.reply.headers["x-mark"] == "7"

    async def test_a_token_that_a_header_repeats_is_taken_out(self) -> None:
        token = "dG9rOmxvbmctZW5vdWdoLXRvLWJlLXJlYWw="
        data = reply(b'{"id": "1"}', headers=f"X-Echo: Bearer {token}\r\nX-Other: 1\r\n")
        async with raw(always(data), token=token) as (_, client):
            head = (await client.whoami()).reply
        assert head is not None
        assert (head.headers["x-echo"], head.headers["x-other"]) == ("Bearer [token]", "1")


async def test_missing_ok_excuses_what_is_gone_and_nothing_else(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    (pair,) = sim.workspace.populate(conversations=1)
    only = sim.workspace.add_contact()
    conversation = sim.workspace.add_conversation([only])

    async def detach(conversation_id: str, contact_id: str) -> Conversation | None:
        return await client.detach_contact(
            conversation_id, contact_id, admin_id=sim.admin_id, missing_ok=True
        )

    found = await detach(*pair)
    assert found is not None
    assert found.id == pair[0]
    assert await detach(*pair) is await detach("404", pair[1]) is None
    with pytest.raises(LastContactError):
        await detach(conversation, only)
    sim.faults.add(Fault.CLOSE_AFTER_APPLYING, probability=1.0)
    with pytest.raises(UnknownOutcomeError):
        await detach("404", only)


class TestOptions:
    async def test_headers_and_a_suffix_go_with_every_request(self) -> None:
        async with raw(
            always(reply(b'{"id": "1"}')),
            default_headers={"x-team": "billing", "accept": "application/vnd.api+json"},
            user_agent_suffix=" acme-sync/2.1 ",
        ) as (server, client):
            await client.whoami()
            await client.request("POST", "/tags", json={})
        for request in server.requests:
            assert b"\r\nX-Team: billing\r\n" in request
            assert b"\r\nAccept: application/vnd.api+json\r\n" in request
            assert request.lower().count(b"\r\naccept:") == 1
            assert b"\r\nUser-Agent: intercom_async/" in request
            assert b" acme-sync/2.1\r\n" in request

    @pytest.mark.parametrize("version", ["1.0", "2.14", "2.99", "Preview", "Unstable"])
    async def test_documented_and_newer_versions_are_taken(self, version: str) -> None:
        async with raw(always(reply(b'{"id": "1"}')), version=version) as (server, client):
            await client.whoami()
        assert f"\r\nIntercom-Version: {version}\r\n".encode() in server.requests[0]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(
                ("default_headers", {header: "hidden-word"})
                for header in (
                    *("authorization", "Cookie", "Proxy-Authorization", "Intercom-Version", "X A"),
                    7,
                )
            ),
            ("default_headers", {"X-A": "hidden-word\r\nX-B: c"}),
            ("default_headers", {"X-A": 7}),
            ("default_headers", "X-A: hidden-word"),
            *(("user_agent_suffix", value) for value in ("a\nb", " ", 7)),
            *(("max_retries", value) for value in (-1, True, 1.5)),
            ("region", "mars"),
            ("base_url", "http://example.com"),
            *(("version", value) for value in ("", "3", "2", "2.014", "1.5", "preview", "2.1\n")),
            *(("version", value) for value in ("latest", 2.14, None)),
            *(("timeout", value) for value in (0, "soon")),
            ("retry", 3),
            ("rate_limit", 3),
            ("observer", 3),
        ],
    )
    async def test_what_cannot_be_used_is_refused_by_name(self, name: str, value: object) -> None:
        with pytest.raises(InvalidArgumentError) as raised:
            IntercomClient("token", **{name: value})  # type: ignore[arg-type]  # wrong on purpose
        assert raised.value.name == name
        assert "hidden-word" not in str(raised.value)

    @pytest.mark.parametrize("retries", [0, 2])
    async def test_max_retries_are_the_attempts_after_the_first(
        self, sim: IntercomSimulator, retries: int
    ) -> None:
        policy = RetryPolicy(attempts=9, backoff=0.01)
        sim.faults.add(Fault.SERVER_ERROR, probability=1.0)
        async with (
            IntercomClient("token", base_url=sim.url, retry=policy, max_retries=retries) as client,
            IntercomClient("token", base_url=sim.url, retry=policy) as other,
        ):
            for view in (client, other.with_options(max_retries=retries)):
                with pytest.raises(ServerError) as raised:
                    await view.whoami()
                assert raised.value.attempts == retries + 1

    async def test_a_call_s_own_timeout_is_for_this_call_alone(
        self, sim: IntercomSimulator
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        policy = RetryPolicy(attempts=1)
        sim.faults.add(Fault.LATENCY, probability=1.0, seconds=1.0)
        async with IntercomClient("token", base_url=sim.url, retry=policy) as client:
            for call in (
                client.whoami(timeout=0.5),
                client.get_conversation(pair[0], timeout=0.5),
                anext(client.find_conversations(pair[1], timeout=0.5)),
                anext(client.find_contacts(email="a@example.com", timeout=0.5)),
                client.request("GET", "/me", timeout=0.5),
                client.detach_contact(*pair, timeout=0.5),
                client.attach_contact(*pair, timeout=0.5),
            ):
                with pytest.raises(IntercomError, match=r"no reply within 0\.5 s"):
                    await call
            await client.whoami()
            with pytest.raises(IntercomError, match=r"no reply within 0\.5 s"):
                await client.with_options(timeout=0.5).whoami()
