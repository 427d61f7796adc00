"""No reply, however broken, raises anything but a documented exception, hangs or fills memory."""

import asyncio
import contextlib
import logging
import pickle
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from intercom_async import (
    Conversation,
    DetachResult,
    IntercomClient,
    IntercomError,
    Outcome,
    RetryPolicy,
)
from intercom_async.errors import ClientStateError
from intercom_async.observing import Observer
from tests.hostile.catalogue import BOMBS, CATALOGUE, MIB, Hostile
from tests.hostile.serving import HostileServer
from tests.support.rows import rows_in
from tests.support.secret_search import texts_of

PATIENCE = 0.1
"""Seconds for one attempt: real ones while a flood comes in."""

TWICE = RetryPolicy(attempts=2, backoff=0.0)


TOKEN = "marked-token-of-a-workspace"


def client_for(
    server: HostileServer, retry: RetryPolicy = TWICE, observer: Observer | None = None
) -> IntercomClient:
    return IntercomClient(
        TOKEN, base_url=server.url, timeout=PATIENCE, retry=retry, observer=observer
    )


async def detach(client: IntercomClient) -> object:
    return await client.detach_contact("1295", "5ba682d2", admin_id="5017690")


async def get(client: IntercomClient) -> object:
    return await client.get_conversation("1295")


async def find(client: IntercomClient) -> object:
    return [found async for found in client.find_conversations("5ba682d2")]


CALLS: list[Callable[[IntercomClient], Awaitable[object]]] = [detach, get, find]


async def result_of(call: Awaitable[object]) -> object:
    """What it returned, or the documented error it raised."""
    try:
        return await call
    except IntercomError as error:
        return error


def named(hostile: Hostile) -> str:
    return hostile.name


@pytest.mark.asyncio(loop_factories=["flooded"])
@pytest.mark.parametrize("hostile", CATALOGUE, ids=named)
async def test_a_hostile_reply_ends_in_a_result_or_a_documented_error_and_shows_no_token(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    loop = asyncio.get_running_loop()
    seen: list[str] = []
    async with (
        HostileServer(hostile) as server,
        client_for(server, observer=lambda event: seen.append(repr(event))) as client,
    ):
        for call in CALLS:
            began = loop.time()
            result = await result_of(call(client))
            # After the request left, the client's state is no excuse.
            assert not isinstance(result, ClientStateError)
            if isinstance(result, IntercomError):
                seen += texts_of(result)
                assert f"{result} {getattr(result, 'request_id', None)}".isprintable()
                assert len(str(result)) < 2000
                assert len(repr(vars(result))) < 100_000  # an error keeps no megabytes
                assert "CancelledError" not in str(result)  # which users did not do
                assert repr(pickle.loads(pickle.dumps(result))) == repr(result)
            else:
                seen.append(repr(result))
            # Two attempts and a check of as many are bounded, however the machine is loaded while
            # it reads a flood; what hangs is not.
            assert loop.time() - began < 60.0
        server.be_good()
        if client.outage is not None:
            await asyncio.sleep(client.outage.next_look)
        conversation = await detach(client.with_options(timeout=10.0))
        assert isinstance(conversation, Conversation)
        assert conversation.id == "1295"
        status = client.rate_limit
        assert status is not None
        assert status.in_flight == 0
        assert status.limit == 167
        assert TOKEN.encode() in server.requests[0]
    assert not [record for record in caplog.records if record.exc_info]
    assert not [text for text in [*seen, caplog.text] if TOKEN in text]
    for line in [record.getMessage() for record in caplog.records]:
        assert line.isprintable()
        assert len(line) < 2000


@pytest.mark.asyncio(loop_factories=["flooded"])
@pytest.mark.parametrize("hostile", BOMBS, ids=named)
async def test_a_bomb_fills_no_memory(hostile: Hostile) -> None:
    async with HostileServer(hostile) as server, client_for(server) as client:
        tracemalloc.start()
        try:
            with contextlib.suppress(IntercomError):
                await detach(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # The bound of a reply, once in pieces and once in one, and the server's own buffers.
        assert peak < 32 * MIB


@pytest.mark.asyncio(loop_factories=["flooded"])
@pytest.mark.parametrize("seed", range(2))
async def test_a_run_has_a_result_for_every_pair_however_odd_the_answers(
    seed: int, tmp_path: Path
) -> None:
    # 401, 403 and 429 end or delay a run, which is another matter.
    replies = [
        hostile
        for hostile in CATALOGUE
        if not hostile.endless
        and not hostile.name.startswith(("status_401", "status_403", "challenge"))
    ]
    replies = replies[seed::2]
    pairs = [(str(number), "5ba682d2") for number in range(len(replies))]
    path = tmp_path / "journal"
    results: dict[str, DetachResult] = {}
    async with (
        HostileServer(*replies, bad=len(replies), tells_who=True) as server,
        client_for(server, retry=RetryPolicy(attempts=3, backoff=0.0, budget=1e6)) as client,
        # A row of replies without one of Intercom's own looks like an outage, however long it is.
        client.detach_contacts(
            pairs, admin_id="5017690", journal=path, concurrency=8, outage_patience=1e9
        ) as run,
    ):
        async for result in run:
            assert result.detach.conversation_id not in results
            results[result.detach.conversation_id] = result
            assert (result.error is None) == (result.outcome is Outcome.DETACHED)
        assert run.summary.total == len(pairs)
    assert len(results) == len(pairs)
    kept = {conversation: row for (conversation, _), row in rows_in(path).items()}
    assert {key: Outcome(row.state) for key, row in kept.items()} == {
        key: result.outcome for key, result in results.items()
    }
