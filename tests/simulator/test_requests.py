"""The server's own account of what arrived."""

import asyncio

import aiohttp
import pytest

from intercom_async.simulator import Fault
from tests.simulator.asking import Ask

driven = pytest.mark.asyncio(loop_factories=["driven"])


async def test_requests_are_counted_by_method_and_status(ask: Ask) -> None:
    (pair,) = ask.sim.workspace.populate(conversations=1)
    await ask.detach(*pair)
    await ask.detach(*pair)
    await ask("GET", "/me")
    assert ask.sim.requests.total == 3
    assert ask.sim.requests.by_method == {"DELETE": 2, "GET": 1}
    assert ask.sim.requests.by_status == {200: 2, 404: 1}
    assert (ask.sim.requests.in_flight, ask.sim.requests.unanswered) == (0, 0)
    assert ask.sim.requests.log is None  # nobody asked for one


@pytest.mark.intercom_simulator(keep_log=True, clock=lambda: 5.0)
async def test_the_log_holds_requests_in_order_of_arrival(ask: Ask) -> None:
    (pair,) = ask.sim.workspace.populate(conversations=1)
    await ask("GET", "/me?per_page=1")
    await ask.detach(*pair)
    await ask("POST", "/conversations/search", b"{")
    assert ask.sim.requests.log is not None
    listed, detached, searched = ask.sim.requests.log
    assert (listed.method, listed.path, listed.query) == ("GET", "/me", "per_page=1")
    assert (listed.conversation_id, listed.status) == (None, 200)
    assert detached.body == b'{"admin_id":"5017690"}'
    assert detached.headers["Content-Type"] == "application/json"
    assert (detached.conversation_id, detached.time) == (pair[0], 5.0)
    assert (searched.conversation_id, searched.status) == (None, 400)
    assert ask.sim.token not in repr(ask.sim.requests.log)


async def test_a_request_whose_connection_broke_is_unanswered(ask: Ask) -> None:
    ask.sim.faults.add(Fault.RESET_BEFORE_APPLYING)
    with pytest.raises(aiohttp.ClientError):
        await ask("GET", "/me")
    assert (ask.sim.requests.unanswered, ask.sim.requests.in_flight) == (1, 0)
    assert not ask.sim.requests.by_status


@driven
@pytest.mark.intercom_simulator(latency=1.0)
async def test_simultaneous_requests_and_changes_of_one_conversation_are_noticed(ask: Ask) -> None:
    pairs = ask.sim.workspace.populate(conversations=2, contacts_per_conversation=4)
    one, two, three, other, *_ = pairs
    await asyncio.gather(*(ask.detach(*pair) for pair in (one, other)))
    assert (ask.sim.requests.peak_in_flight, ask.sim.requests.overlaps) == (2, 0)
    retrieval = ask("GET", f"/conversations/{two[0]}")
    await asyncio.gather(retrieval, ask.detach(*two), ask.detach(*three))
    assert (ask.sim.requests.peak_in_flight, ask.sim.requests.overlaps) == (3, 1)
