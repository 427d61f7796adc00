"""The public API as a caller's type checker sees it; never run, only checked (mypy, pyright)."""

from collections.abc import AsyncIterator
from typing import Any, assert_type

import intercom_async
from intercom_async import (
    APIError,
    Cause,
    ClientStats,
    Conversation,
    Detach,
    DetachResult,
    DetachRun,
    DetachSummary,
    Identity,
    IntercomClient,
    IntercomError,
    IntercomPool,
    Journal,
    Lane,
    OutageStatus,
    Outcome,
    Pair,
    PairSearch,
    PeopleSummary,
    PoolResult,
    PoolSummary,
    RateLimitStatus,
    RateLimitWaitError,
    RawReply,
    ReplyHead,
    Source,
    WrongInputError,
)
from intercom_async.integrations.opentelemetry import OpenTelemetryObserver
from intercom_async.integrations.redis import RedisBudget
from intercom_async.observing import CallEnded, Event, Observer
from intercom_async.structuring import decode_conversation, encode_conversation


def construct(observer: Observer) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, CallEnded):
            assert_type(event.status, int | None)

    for each in (observer, observe, OpenTelemetryObserver(attributes={"workspace": "acme"})):
        assert_type(IntercomClient("token", region="eu", observer=each), IntercomClient)
    IntercomClient("token", region="mars")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    IntercomClient("token", "eu")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # keywords only
    IntercomClient("token", shared_budget=RedisBudget("redis://localhost"))


async def call(client: IntercomClient) -> None:
    assert_type(await client.detach_contact("1", "2", admin_id="3"), Conversation)
    assert_type(await client.detach_contact("1", "2", missing_ok=True), Conversation | None)
    assert_type(await client.attach_contact("1", "2", admin_id="3"), Conversation)
    assert_type((await client.get_conversation("1", timeout=2)).reply, ReplyHead | None)
    assert_type(await client.request("POST", "/tags", json={"name": "VIP"}), RawReply)
    assert_type(await client.get_conversation("1"), Conversation)
    assert_type(client.find_conversations("2"), AsyncIterator[Conversation])
    assert_type(await client.whoami(), Identity)
    assert_type(client.rate_limit, RateLimitStatus | None)
    assert_type(client.outage, OutageStatus | None)
    assert_type(client.stats(), ClientStats)
    assert_type(client.stats().by_status, dict[int, int])
    assert_type(client.with_options(lane=Lane.BULK, timeout=1.5), IntercomClient)
    assert_type(await intercom_async.detach_contact("1", "2", admin_id="3"), Conversation)
    async with client as entered:
        assert_type(entered, IntercomClient)
    await client.detach_contact("1", "2", "3")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]  # keywords only
    await client.detach_contact(1, "2", admin_id="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]  # ids are texts


async def run_many(client: IntercomClient, later: AsyncIterator[tuple[str, str]]) -> None:
    run: DetachRun = client.detach_contacts([("1", "2")], admin_id="3")
    assert_type(run.rate_limit, RateLimitStatus | None)
    assert_type(await client.detach_contacts([Detach("1", "2"), ("4", "5")]), DetachSummary)
    assert_type(await client.detach_contacts(later, admin_id="3", concurrency=8), DetachSummary)
    async with client.detach_contacts(later) as run:
        async for result in run:
            assert_type(result, DetachResult)
            assert_type(result.outcome, Outcome)
            assert_type(result.conversation, Conversation | None)
            assert_type(result.error, IntercomError | None)
        assert_type(run.summary, DetachSummary)
        assert_type(run.summary.causes, tuple[Cause, ...])
        assert_type(run.outage, OutageStatus | None)
    pairs: list[Pair] = [("1", 2), Detach("1", "2"), {"conversation_id": 1, "contact_id": "2"}]
    kept = Journal("run.db", source=Source(kind="database", name="people"))
    await client.detach_contacts(pairs, journal=kept, stop_after_missing=None)
    assert_type(await client.detach_contacts(journal="run.db"), DetachSummary)
    people = client.find_pairs(["a@b.example"], by="email", one_per_address=True)
    assert_type(people, PairSearch)
    assert_type(await anext(people), Detach)
    assert_type(await client.detach_contacts(people), DetachSummary)
    assert_type(people.summary, PeopleSummary)


async def lend(pool: IntercomPool, mixed: AsyncIterator[tuple[str, str, str]]) -> None:
    async with pool.client("acme") as client:
        assert_type(client, IntercomClient)
    assert_type(await pool.detach_contacts(mixed, admin_id="3"), PoolSummary)
    async with pool.detach_contacts({"acme": [("1", "2")]}) as run:
        async for found in run:
            assert_type(found, PoolResult)
            assert_type(found.result, DetachResult)


async def fail(client: IntercomClient) -> None:
    try:
        await client.whoami()
    except WrongInputError as error:
        assert_type(error.missing, int)
    except RateLimitWaitError as error:
        assert_type(error.wait, float)
    except APIError as error:
        assert_type(error.status, int)
        assert_type(error.reply, ReplyHead | None)
        assert_type(error.request_id, str | None)
        assert_type(error.rate_limit, RateLimitStatus | None)


def convert(body: bytes) -> None:
    conversation = decode_conversation(body)
    assert_type(conversation, Conversation)
    assert_type(encode_conversation(conversation), dict[str, Any])
