"""The places where a journal can be."""

from pathlib import Path

import pytest

from intercom_async.journal import Journal
from tests.journal.helpers import journal_of


@pytest.fixture(params=["file", "temporary", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return journal_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """A journal that outlasts its session."""
    return journal_of(request.param, request, tmp_path)
