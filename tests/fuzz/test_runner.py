"""The runner, with something in atheris' place that searches blindly: it need not be installed."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import corpus, guided
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


def test_what_gives_way_stops_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(data: bytes) -> None:
        assert b"?" not in data

    monkeypatch.setitem(TARGETS, "pairs", type(TARGETS["pairs"])(check, [b"?"]))
    with pytest.raises(AssertionError):
        guided.search(Blind(), "pairs", [])


@pytest.mark.parametrize("name", ["header_quota", "quota_in_doubt", "0123456789aB", "0" * 11])
def test_a_name_is_whatever_is_no_digest(name: str) -> None:
    assert corpus.is_named(Path(name))
    assert not corpus.is_named(Path(corpus.name_of(name.encode())))


def test_new_inputs_join_the_corpus_and_superfluous_ones_leave_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (command, corpus):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    kept, found = tmp_path / "error_bodies", tmp_path / "found"
    shutil.copytree(Path(corpus.__file__).parent / "corpus" / "error_bodies", kept)
    found.mkdir()
    named = {entry.name for entry in kept.iterdir() if corpus.is_named(entry)}
    (kept / corpus.name_of(b"superfluous")).write_bytes(b"500\n{}" + b" " * 100)
    (found / "1").write_bytes(b"500\n{}")
    before = set(kept.iterdir())
    command.keep("error_bodies", found)
    after = {entry.name for entry in kept.iterdir()}
    assert named <= after
    assert corpus.name_of(b"superfluous") not in after
    assert len(after) <= len(before)
    assert f"has {len(after)} files" in capsys.readouterr().out
