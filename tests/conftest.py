"""Fixtures and settings for every test."""

import asyncio
from collections.abc import Callable, Mapping

import hypothesis
import pytest

from tests.support.driven_loop import DrivenEventLoop

hypothesis.settings.register_profile("default", deadline=None, max_examples=100)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("default")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asyncio tests on the system's clock, or on a driven one where a test asks for it."""
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "driven" in (marker.kwargs.get("loop_factories") or ()):
        return {"driven": DrivenEventLoop}
    return {"system": asyncio.SelectorEventLoop}
