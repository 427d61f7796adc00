"""What the command line writes is for its owner alone, and shows foreign text as text."""

import errno
import json
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intercom_async.private_files import rewrite
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Shell, write_csv
from tests.cli.journals import pair, session, write

MARKUP = "<img src=x onerror=alert(1)>"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m"
PAIRS = Path("pairs.csv")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no modes and other names there")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Everything that is created is for everybody, unless the program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def theirs(name: str, content: str) -> Path:
    """A file that everybody may read and write."""
    path = Path(name)
    path.write_text(content, encoding="utf-8")
    path.chmod(0o666)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_file_is_its_owner_s_alone(shell: Shell, simulator: IntercomSimulator) -> None:
    write_csv(PAIRS, simulator.workspace.populate(conversations=2))
    output = theirs("results.jsonl", '{"conversation_id":"old"}')
    theirs("run.html", "")
    theirs("left.csv", "older")
    shell("detach pairs.csv --journal run.db --output results.jsonl")
    shell("report run.db --html run.html")
    shell("attach --undo run.db --output new.jsonl")
    shell("export run.db --csv --output left.csv")
    written = ("run.db", "results.jsonl", "run.html", "run.undo.db", "new.jsonl", "left.csv")
    assert {name: mode(Path(name)) for name in written} == dict.fromkeys(written, 0o600)
    assert "old" not in output.read_text("utf-8")
    out = shell("detach pairs.csv --output -").out
    assert {json.loads(line)["outcome"] for line in out.splitlines()} == {"detached"}


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
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_csv(PAIRS, simulator.workspace.populate(conversations=2))
    Path("new").mkdir()
    Path("symbolic").symlink_to(PAIRS)
    Path("hard").hardlink_to(PAIRS)
    theirs("letter", "Dear Sir")
    write(Path("run.db"), [pair(1)], [session(source_name=str(PAIRS))])
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    with PAIRS.open(encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert told in shell(line, 2).err
    assert {path: path.read_bytes() for path in before} == before
    assert simulator.applied.total() == 0


@pytest.mark.usefixtures("shell")
class TestOpening:
    def test_a_link_that_leads_nowhere_creates_nothing(self) -> None:
        Path("link").symlink_to("elsewhere")
        with pytest.raises(FileNotFoundError, match="leads nowhere"):
            rewrite("link")
        assert not Path("elsewhere").exists()

    def test_a_file_is_rewritten_and_closed_to_others_also_through_a_link(self) -> None:
        file = theirs("file", "older and longer")
        Path("link").symlink_to(file)
        with rewrite("link") as opened:
            opened.write(b"new")
        assert (file.read_text("utf-8"), mode(file)) == ("new", 0o600)

    @pytest.mark.parametrize("own", [True, False])
    def test_an_open_file_that_cannot_be_closed_to_others_must_be_the_owner_s(
        self, own: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_fd: int, _mode: int) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        path, user = theirs("planted", "theirs"), os.geteuid()
        monkeypatch.setattr(os, "fchmod", refuse)
        monkeypatch.setattr(os, "geteuid", lambda: user if own else user + 1)
        if own:  # a file system without modes
            rewrite(path).close()
        else:
            with pytest.raises(PermissionError, match="planted"):
                rewrite(path)
        assert path.read_text("utf-8") == ("" if own else "theirs")


@pytest.mark.usefixtures("simulator")
def test_foreign_text_is_text_on_a_terminal(shell: Shell) -> None:
    rows = [
        "conversation_id,contact_id,note",
        f"{MARKUP},5ba682d2,{MARKUP}",
        f"1295,{MARKUP}{ESCAPES},x",
        f"{ESCAPES},5ba682d2,x",
        f",{MARKUP}{ESCAPES},x",
        '1295,"a"b,x',
        "=1+1,[bold red]5ba682d2[/],[link=file:///etc]x[/link]",
    ]
    theirs(f"pairs{ESCAPES}<i>.csv", "\n".join(rows))
    theirs("odd.csv", f"a{ESCAPES},b\n1,2\n")
    source, journal = (
        shlex.quote(name) for name in (f"pairs{ESCAPES}<i>.csv", f"run{ESCAPES}<b>.db")
    )
    admin = f"--admin-id {shlex.quote(MARKUP)}"
    for line, status in (
        (f"detach {source} {admin} --journal {journal}", 3),  # no such admin
        (f"report {journal}", 1),
        (f"attach --undo {journal} {admin}", 0),
        (f"detach {journal} {admin}", 3),
        ("detach odd.csv", 2),
    ):
        ended = shell(line, status)
        assert not {"\x1b", "\x07", "\x9b"} & set(ended.out + ended.err)
