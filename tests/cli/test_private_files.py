"""What the command line writes is for its owner alone, and shows foreign text as text."""

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intercom_async.private_files import rewrite
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Command, write_csv

MARKUP = "<img src=x onerror=alert(1)>"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no modes and other names there")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Everything that is created is for everybody, unless the program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def pairs(simulator: IntercomSimulator) -> list[tuple[str, str]]:
    return simulator.workspace.populate(conversations=2)


@pytest.fixture
def source(pairs: list[tuple[str, str]], tmp_path: Path) -> Path:
    return write_csv(tmp_path / "pairs.csv", pairs)


@pytest.mark.parametrize("older", [False, True])
def test_every_file_is_its_owner_s_alone(
    older: bool, source: Path, command: Command, tmp_path: Path
) -> None:
    journal, undo = tmp_path / "run.db", tmp_path / "run.undo.db"
    output, html = tmp_path / "results.jsonl", tmp_path / "run.html"
    if older:
        output.symlink_to(tmp_path / "elsewhere.jsonl")
        for path, content in ((output, '{"conversation_id":"old"}'), (html, "")):
            path.write_text(content)
            path.chmod(0o666)
    assert command("detach", source, "--journal", journal, "--output", output).status == 0
    assert command("report", journal, "--html", html).status == 0
    assert command("attach", "--undo", journal).status == 0
    for path in (journal, output, html, undo):
        assert mode(path) == 0o600, path
    assert "old" not in output.read_text()


class TestReadAndWritten:
    """No file that is read is ever written."""

    @pytest.fixture(autouse=True)
    def _prepare(self, simulator: IntercomSimulator, command: Command, source: Path) -> None:
        self.simulator, self.command, self.source = simulator, command, source

    def refused(self, *arguments: object) -> str:
        folder = self.source.parent
        before = {path: path.read_bytes() for path in folder.iterdir()}
        sent = self.simulator.requests.total
        ended = self.command(*arguments)
        assert ended.status == 2
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
        assert self.simulator.requests.total == sent
        return ended.err

    @pytest.mark.parametrize("option", ["--output", "--journal"])
    @pytest.mark.parametrize("name", ["itself", "symbolic link", "hard link", "other spelling"])
    def test_the_source_is_not_written(self, option: str, name: str) -> None:
        target = self.source.with_name(name)
        match name:
            case "itself":
                target = self.source
            case "symbolic link":
                target.symlink_to(self.source)
            case "hard link":
                target.hardlink_to(self.source)
            case _:
                target = self.source.parent / ".." / self.source.parent.name / self.source.name
        told = self.refused("detach", self.source, option, target)
        assert f"{option} must be another file than {self.source}" in told

    @pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-lock"])
    def test_results_and_journal_are_different_files(self, ending: str, tmp_path: Path) -> None:
        journal, output = tmp_path / "run.db", tmp_path / f"run.db{ending}"
        told = self.refused("detach", self.source, "--journal", journal, "--output", output)
        assert "--output must be another file than --journal" in told

    def test_the_file_of_the_token_is_not_written(self, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("token")
        told = self.refused("detach", self.source, "--token-file", token, "--output", token)
        assert "--output must be another file than --token-file" in told

    def test_standard_input_is_not_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with self.source.open(encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            told = self.refused("detach", "-", "--output", self.source)
        assert "--output must be another file than standard input" in told

    @pytest.mark.parametrize("option", ["--output", "--journal"])
    def test_the_journal_that_is_undone_is_not_written(self, option: str, tmp_path: Path) -> None:
        journal = tmp_path / "run.db"
        assert self.command("detach", self.source, "--journal", journal).status == 0
        told = self.refused("attach", "--undo", journal, option, journal)
        assert f"another file than {journal}" in told

    def test_a_file_that_holds_anything_but_results_is_not_replaced_by_them(
        self, tmp_path: Path
    ) -> None:
        letter = tmp_path / "letter.txt"
        letter.write_text("Dear Sir")
        ended = self.command("detach", self.source, "--output", letter)
        assert ended.status == 2
        assert "a new file, or one with results" in ended.err
        assert letter.read_text() == "Dear Sir"
        assert self.simulator.applied.total() == 0


def test_results_go_to_standard_output(
    source: Path, pairs: list[tuple[str, str]], command: Command
) -> None:
    ended = command("detach", source, "--output", "-")
    assert ended.status == 0
    told = {json.loads(line)["conversation_id"] for line in ended.out.splitlines()}
    assert told == {pair[0] for pair in pairs}


class TestOpening:
    def test_a_link_that_leads_nowhere_creates_nothing(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError, match="leads nowhere") as caught:
            rewrite(link)
        assert caught.value.errno == errno.ENOENT
        assert caught.value.filename == str(link)
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize("content", ["", "theirs"])
    @pytest.mark.parametrize("own", [True, False])
    def test_an_open_file_that_cannot_be_closed_to_others_must_be_the_owner_s(
        self, own: bool, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(fd: int, mode: int) -> None:
            refused.append(fd)
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        refused: list[int] = []
        path = tmp_path / "planted"
        path.write_text(content)
        path.chmod(0o666)
        user = os.geteuid()
        monkeypatch.setattr(os, "fchmod", refuse)
        monkeypatch.setattr(os, "geteuid", lambda: user if own else user + 1)
        if own:  # a file system without modes
            rewrite(path).close()
            assert path.read_text() == ""
        else:
            with pytest.raises(PermissionError, match="planted") as caught:
                rewrite(path)
            assert caught.value.filename == str(path)
            assert path.read_text() == content
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(refused[0])


def test_foreign_text_is_text_in_a_report_and_on_a_terminal(
    simulator: IntercomSimulator, command: Command, tmp_path: Path
) -> None:
    journal, pairs = tmp_path / f"run{ESCAPES}<b>.jsonl", tmp_path / f"pairs{ESCAPES}<i>.csv"
    html, odd = tmp_path / "run.html", tmp_path / "odd.csv"
    rows = [
        "conversation_id,contact_id,note",
        f"{MARKUP},5ba682d2,{MARKUP}",
        f"1295,{MARKUP}{ESCAPES},x",
        f"{ESCAPES},5ba682d2,x",
        f",{MARKUP}{ESCAPES},x",
        '1295,"a"b,x',
        "=1+1,[bold red]5ba682d2[/],[link=file:///etc]x[/link]",
    ]
    pairs.write_text("\n".join(rows))
    odd.write_text(f"a{ESCAPES},b\n1,2\n")
    ended = [
        command("detach", pairs, "--admin-id", MARKUP, "--journal", journal),
        command("report", journal, "--html", html),
        command("attach", "--undo", journal, "--admin-id", MARKUP),
        command("detach", journal, "--admin-id", MARKUP),
        command("detach", odd),
    ]
    assert ended[0].status == 3  # Intercom does not know that admin
    shown = html.read_text(encoding="utf-8")
    for markup in ("<img", "<b>.jsonl", "<i>"):
        assert markup not in shown
    assert "&lt;img src=x" in shown
    for text in (shown, *(done.out + done.err for done in ended)):
        assert not {"\x1b", "\x07", "\x9b"} & set(text)
