"""The pytest fixture `intercom_simulator`: a running simulator for one test.

Name the plugin in the topmost `conftest.py`:

    pytest_plugins = ["intercom_async.simulator.pytest_plugin"]

The marker of the same name passes options to `IntercomSimulator`:

    @pytest.mark.intercom_simulator(limit=20, latency=0.01)
    async def test_a_small_quota_is_respected(intercom_simulator): ...

The simulator runs in a thread of its own. So the fixture serves tests on any event loop, whatever
its scope, and tests without one.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from intercom_async.simulator import IntercomSimulator

_MARKER = "intercom_simulator"


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker, which `--strict-markers` asks for."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(**options): start the fixture of this name with these options"
    )


@pytest.fixture
def intercom_simulator(request: pytest.FixtureRequest) -> Iterator[IntercomSimulator]:
    """Run a simulator of Intercom for one test; options come from the marker of this name."""
    item: pytest.Item = request.node
    marker = item.get_closest_marker(_MARKER)
    arguments: tuple[Any, ...] = () if marker is None else marker.args
    options: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    try:
        simulator = IntercomSimulator(*arguments, **options)
    except (TypeError, ValueError) as error:
        pytest.fail(f"the marker {_MARKER} has an option that is wrong: {error}", pytrace=False)
    with simulator:
        yield simulator
