"""The server's own account of what arrived."""

import asyncio

import aiohttp
import pytest

from intercom_async.simulator import Fault
from tests.simulator.asking import Ask


@pytest.mark.intercom_simulator(keep_log=True)
async def test_requests_are_counted_and_logged_in_order_of_arrival(ask: Ask) -> None:
    (pair,) = ask.sim.workspace.populate(conversations=1)
    await ask("GET", "/me?per_page=1")
    await ask.detach(*pair)
    await ask("POST", "/conversations/search", b"{")
    requests = ask.sim.requests
    assert requests.by_method == {"GET": 1, "DELETE": 1, "POST": 1}
    assert requests.by_status == {200: 2, 400: 1}
    assert (requests.total, requests.in_flight, requests.unanswered) == (3, 0, 0)
    assert requests.log is not None
    listed, detached, searched = requests.log
    assert (listed.path, listed.conversation_id, listed.status) == ("/me", None, 200)
    assert detached.body == b'{"admin_id":"5017690"}'
    assert detached.headers["Content-Type"] == "application/json"
    assert detached.conversation_id == pair[0]
    assert (searched.conversation_id, searched.status) == (None, 400)
    assert ask.sim.token not in repr(requests.log)


async def test_a_request_whose_connection_broke_is_unanswered(ask: Ask) -> None:
    ask.sim.faults.add(Fault.RESET_BEFORE_APPLYING)
    with pytest.raises(aiohttp.ClientError):
        await ask("GET", "/me")
    assert (ask.sim.requests.unanswered, ask.sim.requests.in_flight) == (1, 0)
    assert not ask.sim.requests.by_status


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.intercom_simulator(latency=1.0)
async def test_simultaneous_requests_and_changes_of_one_conversation_are_noticed(ask: Ask) -> None:
    pairs = ask.sim.workspace.populate(conversations=2, contacts_per_conversation=4)
    one, two, three, other, *_ = pairs
    await asyncio.gather(*(ask.detach(*pair) for pair in (one, other)))
    assert (ask.sim.requests.peak_in_flight, ask.sim.requests.overlaps) == (2, 0)
    retrieval = ask("GET", f"/conversations/{two[0]}")
    await asyncio.gather(retrieval, ask.detach(*two), ask.detach(*three))
    assert (ask.sim.requests.peak_in_flight, ask.sim.requests.overlaps) == (3, 1)
