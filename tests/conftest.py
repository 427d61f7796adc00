"""Fixtures and settings for every test."""

import asyncio
import functools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path

import coverage
import hypothesis
import pytest
import uvloop

from intercom_async import IntercomClient, RetryPolicy
from intercom_async.simulator import IntercomSimulator
from tests.support.driven_loop import DrivenEventLoop
from tests.support.postgres_server import PostgresServer

pytest_plugins = ["intercom_async.simulator.pytest_plugin"]

# Journals are written through to the disk: in memory, where there is room, nobody waits for that.
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 1 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
hypothesis.settings.register_profile(  # one process runs the tests again and again
    "mutants",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.differing_executors],
)
hypothesis.settings.load_profile("default")


# Counting what is covered makes tests take two to three times as long. So it is not done in the
# processes that tests start, nor in what takes longest and goes the ways that the rest goes, too.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_START", None)
_NOT_COUNTED = ("chaos", "fuzz", "hostile", "pacing/test_quota_use.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    counting = coverage.Coverage.current()
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    if counting is None or not place.startswith(_NOT_COUNTED):
        return (yield)
    counting.stop()
    try:
        return (yield)
    finally:
        counting.start()


class _EagerLoop(asyncio.SelectorEventLoop):
    """Runs a task's first step as it is made, where Python can do that (3.12 and later)."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(getattr(asyncio, "eager_task_factory", None))


_LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "driven": DrivenEventLoop,
    "flooded": functools.partial(DrivenEventLoop, turn=1.0),  # what never ends takes its time
    "uvloop": uvloop.new_event_loop,
    "eager": _EagerLoop,
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asyncio tests on the system's clock, or on the loop that a test asks for."""
    marker = item.get_closest_marker("asyncio")
    asked = () if marker is None else marker.kwargs.get("loop_factories") or ()
    return {name: _LOOPS[name] for name in asked} or {"system": asyncio.SelectorEventLoop}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "run.db"


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(limit=100_000, keep_log=True) as running:
        yield running


@pytest.fixture
async def client(sim: IntercomSimulator) -> AsyncIterator[IntercomClient]:
    policy = RetryPolicy(backoff=0.0)
    async with IntercomClient(sim.token, base_url=sim.url, retry=policy) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that no test harms."""
    with PostgresServer() as server:
        yield server
