"""The search, with something in atheris' place that searches blindly: it need not be installed."""

from unittest.mock import MagicMock

import pytest

from tests.fuzz import guided
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.target import Target

TRIES = 100


def blind() -> MagicMock:
    """Changes an input some times, whatever the inputs cover."""
    atheris = MagicMock()

    def change(data: bytes, max_size: int) -> bytes:
        return (data + b"?")[:max_size]

    def fuzz() -> None:
        _, check = atheris.Setup.call_args.args
        data = b"{}"
        for seed in range(TRIES):
            data = atheris.Setup.call_args.kwargs["custom_mutator"](data, 40, seed)
            assert len(data) <= 40
            check(data)

    atheris.Mutate, atheris.Fuzz = change, fuzz
    return atheris


def test_the_search_watches_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    monkeypatch.setitem(TARGETS, "pairs", Target(tried.append, [b"word"]))
    atheris = blind()
    guided.search(atheris, "pairs", ["-runs=100"])
    atheris.instrument_imports.assert_called_once_with(include=["intercom_async"])
    assert atheris.Setup.call_args.args[0][1:] == ["-runs=100"]
    assert len(tried) == TRIES
    assert len(set(tried)) > TRIES / 2


def test_an_input_that_breaks_a_promise_stops_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(data: bytes) -> None:
        assert b"?" not in data

    monkeypatch.setitem(TARGETS, "pairs", Target(check, [b"?"]))
    with pytest.raises(AssertionError):
        guided.search(blind(), "pairs", [])
