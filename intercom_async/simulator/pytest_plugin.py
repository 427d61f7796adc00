"""The pytest fixture `intercom_simulator`: a running simulator for one test.

Name the plugin in the topmost `conftest.py`:

    pytest_plugins = ["intercom_async.simulator.pytest_plugin"]

    async def test_a_contact_is_detached(intercom_simulator):
        sim = intercom_simulator
        (pair, *_) = sim.workspace.populate(conversations=1)
        async with IntercomClient(sim.token, base_url=sim.url) as client:
            await client.detach_contact(*pair, admin_id=sim.admin_id)
        assert sim.applied[pair] == 1

The marker of the same name passes arguments to `IntercomSimulator`:

    @pytest.mark.intercom_simulator(limit=20, latency=0.01)
    async def test_a_small_quota_is_respected(intercom_simulator): ...

The simulator runs in a thread of its own. So the fixture serves tests on any event loop, whatever
its scope, and tests without one.
"""

from collections.abc import Iterator

import pytest

from intercom_async.simulator import IntercomSimulator

MARKER = "intercom_simulator"


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker, which `--strict-markers` asks for."""
    config.addinivalue_line(
        "markers", f"{MARKER}(**options): start the fixture of this name with these options"
    )


@pytest.fixture
def intercom_simulator(request: pytest.FixtureRequest) -> Iterator[IntercomSimulator]:
    """Run a simulator of Intercom for one test; options come from the marker of this name."""
    with _simulator(request.node.get_closest_marker(MARKER)) as simulator:
        yield simulator


def _simulator(marker: pytest.Mark | None) -> IntercomSimulator:
    if marker is None:
        return IntercomSimulator()
    if marker.args:
        pytest.fail(f"the marker {MARKER} takes options by name, such as limit=20", pytrace=False)
    try:
        return IntercomSimulator(**marker.kwargs)
    except (TypeError, ValueError) as error:
        pytest.fail(f"the marker {MARKER} has an option that is wrong: {error}", pytrace=False)
