"""The pytest fixture `intercom_simulator`: a running simulator for one test.

    async def test_a_contact_is_detached(intercom_simulator):
        sim = intercom_simulator
        conversation_id, contact_id = sim.workspace.populate(conversations=1)[0]
        async with IntercomClient(sim.token, base_url=sim.url) as client:
            await client.detach_contact(conversation_id, contact_id, admin_id=sim.admin_id)
        assert not sim.workspace.attached(conversation_id, contact_id)

The marker of the same name passes arguments to `IntercomSimulator`:

    @pytest.mark.intercom_simulator(limit=20, latency=0.01)
    async def test_a_small_quota_is_respected(intercom_simulator): ...

pytest-asyncio runs the fixture in its auto mode and in its strict one. Without pytest-asyncio it
is a plain asynchronous fixture, which anyio's plugin runs.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from intercom_async.simulator import IntercomSimulator

try:
    from pytest_asyncio import fixture as _fixture
except ImportError:
    _fixture = pytest.fixture  # type: ignore[assignment]  # both take the function alone

MARKER = "intercom_simulator"


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker, which `--strict-markers` asks for."""
    config.addinivalue_line(
        "markers", f"{MARKER}(**options): start the fixture of this name with these options"
    )


@_fixture
async def intercom_simulator(request: pytest.FixtureRequest) -> "AsyncIterator[IntercomSimulator]":
    """Run a simulator of Intercom for one test; options come from the marker of this name."""
    # Imported here so that a pytest run without the simulator loads no web server.
    from intercom_async.simulator import IntercomSimulator  # noqa: PLC0415

    item: pytest.Item = request.node
    marker = item.get_closest_marker(MARKER)
    options: Mapping[str, Any] = {} if marker is None else marker.kwargs
    async with IntercomSimulator(**options) as simulator:
        yield simulator
