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
from tests.cli.journals import pair, session, write

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
def source(simulator: IntercomSimulator, tmp_path: Path) -> Path:
    return write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=2))


def test_every_file_is_its_owner_s_alone(source: Path, command: Command, tmp_path: Path) -> None:
    journal, undo, new = (tmp_path / name for name in ("run.db", "run.undo.db", "new.jsonl"))
    output, html = tmp_path / "results.jsonl", tmp_path / "run.html"
    for path, content in ((output, '{"conversation_id":"old"}'), (html, "")):
        path.write_text(content)
        path.chmod(0o666)
    assert command("detach", source, "--journal", journal, "--output", output).status == 0
    assert command("report", journal, "--html", html).status == 0
    assert command("attach", "--undo", journal, "--output", new).status == 0
    for path in (journal, output, html, undo, new):
        assert mode(path) == 0o600, path
    assert "old" not in output.read_text()
    ended = command("detach", source, "--output", "-")
    assert {json.loads(line)["outcome"] for line in ended.out.splitlines()} == {"detached"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("detach pairs.csv --output pairs.csv", "must be another file than pairs.csv"),
        ("detach pairs.csv --output symbolic", "must be another file than pairs.csv"),
        ("detach pairs.csv --journal hard", "must be another file than pairs.csv"),
        ("detach pairs.csv --output new/../pairs.csv", "must be another file than pairs.csv"),
        ("detach pairs.csv --journal new.db --output new.db", "another file than --journal"),
        ("detach pairs.csv --journal new.db --output new.db-lock", "another file than --journal"),
        ("detach run.db --token-file pairs.csv --output hard", "another file than --token-file"),
        ("detach - --output pairs.csv", "another file than standard input"),
        ("detach pairs.csv --output letter", "a new file, or one with earlier results"),
        ("attach --undo run.db --journal run.db", "another file than run.db"),
        ("export run.db --csv --output run.db-wal", "--output must be another file"),
        ("report run.db --html hard", "--html must be another file"),
        ("report run.db --svg symbolic", "--svg must be another file"),
    ],
)
def test_no_file_that_is_read_is_ever_written(
    line: str,
    told: str,
    simulator: IntercomSimulator,
    command: Command,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = source.parent
    monkeypatch.chdir(folder)
    (folder / "new").mkdir()
    (folder / "symbolic").symlink_to(source)
    (folder / "hard").hardlink_to(source)
    (folder / "letter").write_text("Dear Sir")
    write(folder / "run.db", [pair(1)], [session(source_name=str(source))])
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with source.open(encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        ended = command(*line.split())
    assert ended.status == 2
    assert told in ended.err
    assert {path: path.read_bytes() for path in before} == before
    assert simulator.applied.total() == 0


class TestOpening:
    def test_a_link_that_leads_nowhere_creates_nothing(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError, match="leads nowhere"):
            rewrite(link)
        assert not (tmp_path / "elsewhere").exists()

    def test_a_file_is_rewritten_and_closed_to_others_also_through_a_link(
        self, tmp_path: Path
    ) -> None:
        file, link = tmp_path / "file", tmp_path / "link"
        file.write_text("older and longer")
        file.chmod(0o640)
        link.symlink_to(file)
        with rewrite(link) as opened:
            opened.write(b"new")
        assert file.read_text() == "new"
        assert mode(file) == 0o600

    @pytest.mark.parametrize("own", [True, False])
    def test_an_open_file_that_cannot_be_closed_to_others_must_be_the_owner_s(
        self, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_fd: int, _mode: int) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        path = tmp_path / "planted"
        path.write_text("theirs")
        path.chmod(0o666)
        user = os.geteuid()
        monkeypatch.setattr(os, "fchmod", refuse)
        monkeypatch.setattr(os, "geteuid", lambda: user if own else user + 1)
        if own:  # a file system without modes
            rewrite(path).close()
        else:
            with pytest.raises(PermissionError, match="planted"):
                rewrite(path)
        assert path.read_text() == ("" if own else "theirs")


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
