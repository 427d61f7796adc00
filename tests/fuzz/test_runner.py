"""The search, with something in atheris' place that searches blindly: it need not be installed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.fuzz import guided
from tests.fuzz.targets import TARGETS


class Blind:
    """Tries a hundred inputs, whatever they cover."""

    def __init__(self) -> None:
        self.included: list[str] = []
        self.arguments: list[str] = []
        self.tried: set[bytes] = set()

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        self.included += include
        return nullcontext()

    def Mutate(self, data: bytes, max_size: int) -> bytes:  # noqa: N802  atheris' name
        return (data + b"?")[:max_size]

    def Setup(  # noqa: N802  same
        self,
        arguments: list[str],
        check: Callable[[bytes], None],
        *,
        custom_mutator: Callable[[bytes, int, int], bytes],
    ) -> None:
        self.arguments = arguments
        self._check, self._mutate = check, custom_mutator

    def Fuzz(self) -> None:  # noqa: N802  same
        data = b"{}"
        for seed in range(100):
            data = self._mutate(data, 40, seed)
            assert len(data) <= 40
            self._check(data)
            self.tried.add(data)


def test_the_search_watches_the_package() -> None:
    blind = Blind()
    guided.search(blind, "decoding", ["-runs=100"])
    assert blind.included == ["intercom_async"]
    assert blind.arguments[1:] == ["-runs=100"]
    assert len(blind.tried) > 50


def test_an_input_that_breaks_a_promise_stops_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(data: bytes) -> None:
        assert b"?" not in data

    monkeypatch.setitem(TARGETS, "pairs", type(TARGETS["pairs"])(check, [b"?"]))
    with pytest.raises(AssertionError):
        guided.search(Blind(), "pairs", [])
