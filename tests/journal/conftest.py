"""The places where a journal can be."""

from pathlib import Path

import pytest

from tests.journal.helpers import InPostgres, Place, place_of


@pytest.fixture(params=["file", "temporary", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Path | InPostgres:
    """A journal that outlasts its session."""
    place = place_of(request.param, request, tmp_path)
    assert place is not None
    return place
