"""No reply, however broken, raises anything but a documented exception, hangs or fills memory."""

import asyncio
import contextlib
import logging
import pickle
import tracemalloc
from pathlib import Path

import pytest

from intercom_async import Conversation, IntercomClient, IntercomError, Outcome, RetryPolicy
from intercom_async.errors import ClientStateError
from intercom_async.observing import Observer
from tests.hostile.catalogue import BOMBS, CATALOGUE, MIB, Hostile
from tests.hostile.serving import HostileServer
from tests.support.rows import outcomes_in, pair_of
from tests.support.secret_search import texts_of

pytestmark = pytest.mark.asyncio(loop_factories=["flooded"])

TOKEN = "marked-token-of-a-workspace"


def client_for(
    server: HostileServer, *, attempts: int = 2, observer: Observer | None = None
) -> IntercomClient:
    # A tenth of a second for one attempt: a real one while a flood comes in.
    retry = RetryPolicy(attempts=attempts, backoff=0.0, budget=1e6)
    return IntercomClient(TOKEN, base_url=server.url, timeout=0.1, retry=retry, observer=observer)


async def detach(client: IntercomClient) -> object:
    return await client.detach_contact("1295", "5ba682d2", admin_id="5017690")


async def find(client: IntercomClient) -> object:
    return [found async for found in client.find_conversations("5ba682d2")]


def named(hostile: Hostile) -> str:
    return hostile.name


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
        for call in (detach, find):
            began = loop.time()
            try:
                seen.append(repr(await call(client)))
            except IntercomError as error:
                raised = error
                seen += texts_of(raised)
                # After the request left, the client's state is no excuse.
                assert not isinstance(raised, ClientStateError)
                assert f"{raised} {getattr(raised, 'request_id', None)}".isprintable()
                assert len(str(raised)) < 2000
                assert len(repr(vars(raised))) < 100_000  # an error keeps no megabytes
                assert "CancelledError" not in str(raised)  # which users did not do
                assert repr(pickle.loads(pickle.dumps(raised))) == repr(raised)
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
        assert (status.in_flight, status.limit) == (0, 167)
        assert TOKEN.encode() in server.requests[0]
    assert not [record for record in caplog.records if record.exc_info]
    assert not [text for text in [*seen, caplog.text] if TOKEN in text]
    for line in [record.getMessage() for record in caplog.records]:
        assert line.isprintable()
        assert len(line) < 2000


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


async def test_a_run_has_a_result_for_every_pair_however_odd_the_answers(tmp_path: Path) -> None:
    # 401 and 403 end a run, which is another matter.
    ending = ("endless", "status_401", "status_403", "challenge")
    replies = [each for each in CATALOGUE if not each.name.startswith(ending)]
    pairs = [(str(number), "5ba682d2") for number in range(len(replies))]
    async with (
        HostileServer(*replies, once=True, tells_who=True) as server,
        client_for(server, attempts=3) as client,
        # A row of replies without one of Intercom's own looks like an outage, however long it is.
        client.detach_contacts(
            pairs,
            admin_id="5017690",
            journal=tmp_path / "journal",
            concurrency=8,
            outage_patience=1e9,
        ) as run,
    ):
        results = [result async for result in run]
        assert run.summary.total == len(pairs)
    outcomes = {pair_of(result): result.outcome for result in results}
    assert sorted(outcomes) == sorted(map(pair_of, results)) == sorted(pairs)
    for result in results:
        assert (result.error is None) == (result.outcome is Outcome.DETACHED)
    assert outcomes_in(tmp_path / "journal") == outcomes
