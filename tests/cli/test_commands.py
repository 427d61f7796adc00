"""The commands as a person meets them: what they do, what they say, how they end."""

import io
import json
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from rich.console import Console

from intercom_async.cli import demo
from intercom_async.cli.exit_status import EXIT_STATUS
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Command, press_ctrl_c, serving, write_csv


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "pairs.csv", [("1", "2")])


class TestDetach:
    def test_every_pair_of_a_mixed_file_is_accounted_for(
        self, command: Command, simulator: IntercomSimulator, path: Path, tmp_path: Path
    ) -> None:
        good = simulator.workspace.populate(conversations=20)
        lonely = simulator.workspace.add_contact()
        last = simulator.workspace.add_conversation([lonely])
        absent, missing = (good[1][0], "0" * 24), ("999999999", "0" * 24)
        odd = [good[0], absent, (last, lonely), missing, ("1.3E+14", "x")]
        write_csv(path, [*good[:10], *odd, *good[10:]])
        output = tmp_path / "results.jsonl"
        ended = command("detach", path, "--json", "--quiet", "--output", output)
        assert ended.status == 1
        summary = json.loads(ended.out)
        assert (summary["total"], summary["bad_lines"], summary["duplicates"]) == (24, 1, 1)
        assert {name: count for name, count in summary["outcomes"].items() if count} == {
            "detached": 21,
            "already_absent": 1,
            "refused_last_contact": 1,
            "conversation_missing": 1,
        }
        looks = "conversation_id must be an id; '1.3E+14' looks like a spreadsheet's 2.15E+14"
        assert f"{path}, line 16: {looks}" in ended.err
        assert simulator.applied[good[0]] == 1
        results = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert len(results) == 24
        assert {result["outcome"] for result in results} >= {"detached", "refused_last_contact"}

    def test_bad_lines_are_printed_up_to_a_bound_and_strict_sends_nothing_of_their_file(
        self, command: Command, simulator: IntercomSimulator, path: Path
    ) -> None:
        write_csv(path, [*simulator.workspace.populate(conversations=2), *[("wrong",)] * 30])
        ended = command("detach", path, "--strict")
        assert ended.status == 2
        assert "line 4" in ended.err
        assert simulator.requests.total == 0
        assert command("detach", path, "--strict", "--limit", 2).status == 0
        ended = command("detach", path, "--json")
        assert ended.err.count("; skipped") == 20
        assert "more bad lines follow; they are only counted" in ended.err
        assert json.loads(ended.out)["bad_lines"] == 30


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("detach PAIRS --region mars", "region"),
            ("detach PAIRS --base-url http://intercom.example", "https"),
            ("detach PAIRS --intercom-version two", "version"),
            ("detach PAIRS --proxy socks5://user:word@proxy", "proxy must be a URL"),
            ("detach PAIRS --concurrency 0", "concurrency"),
            ("detach PAIRS --token-file nowhere", "nowhere: No such file"),
            ("detach PAIRS --columns conversation=Thread", "conversation_id=Thread"),
            ("detach PAIRS --columns admin_id=Agent", "lacks 'Agent'"),
            ("detach PAIRS --columns conversation_id=Thread", "lacks 'Thread'; found 'conver"),
            ("detach PAIRS --admin-id=", "--admin-id must be an admin's id, not ''"),
            ("detach PAIRS --output missing/results.jsonl", "results.jsonl"),
            ("detach nowhere.csv", "nowhere.csv: No such file"),
            ("detach .", ".: Is a dir"),
            ("detach /dev/null --journal .", "no regular file"),
            ("detach PAIRS --journal no/run.db", "no/run.db"),
            ("detach", "SOURCE must be a file, or - for standard input, or --people FILE"),
            ("attach", "SOURCE must be a file, or - for standard input, or --undo JOURNAL"),
            ("attach PAIRS --undo run.db", "SOURCE must be left out with --undo"),
            ("detach PAIRS --people p.csv", "SOURCE must be left out with --people"),
            ("detach --people PAIRS", "lacks 'email'; found 'conversation_id', 'contact"),
            ("detach --people PAIRS --by name", "--by"),
            ("detach postgresql://me:marked@127.0.0.1:9/db", "`intercom-async submit` and `work`"),
            ("detach PAIRS --journal postgresql://me:marked@127.0.0.1:9/db", "`intercom-async"),
            ("find", "exactly one"),
            ("find --contact 1 --email a@b.example", "exactly one"),
        ],
    )
    def test_what_cannot_be_used_is_named_and_ends_in_status_2(
        self, command: Command, simulator: IntercomSimulator, path: Path, line: str, said: str
    ) -> None:
        ended = command(*(path if one == "PAIRS" else one for one in line.split()))
        assert ended.status == 2
        assert said in ended.err
        assert "marked" not in ended.err
        assert simulator.requests.total <= 2  # who asks?
        assert simulator.applied.total() == 0

    def test_a_proxy_is_used_and_named_without_its_password(
        self, command: Command, simulator: IntercomSimulator
    ) -> None:
        ended = command("whoami", "--proxy", "http://user:word@192.0.2.1:9")
        assert "in plain text to the proxy http://192.0.2.1:9;" in ended.err
        assert "word" not in ended.err
        assert simulator.requests.total == 0

    def test_without_the_right_token_nothing_is_sent_but_the_question_whose_it_is(
        self,
        command: Command,
        simulator: IntercomSimulator,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(TOKEN_VARIABLE, "marked-wrong")
        ended = command("detach", path)
        assert ended.status == 3
        assert "nothing was sent" in ended.err
        assert "marked-wrong" not in ended.err
        assert simulator.requests.total == 1
        monkeypatch.delenv(TOKEN_VARIABLE)
        ended = command("detach", path)
        assert ended.status == 2
        assert "--token-file must be given, unless the token is in $" + TOKEN_VARIABLE in ended.err

    def test_a_host_that_cannot_be_reached_or_trusted_ends_in_status_3(
        self, command: Command, path: Path
    ) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        with serving(ssl_context=context) as simulator:
            for url, said in (("http://127.0.0.1:9", "127.0.0.1"), (simulator.url, "certificate")):
                ended = command("detach", path, "--base-url", url)
                assert ended.status == 3
                assert said in ended.err.lower()


class TestWhoami:
    def test_it_shows_the_admin_and_the_region_and_spells_control_codes_out(
        self, command: Command, simulator: IntercomSimulator
    ) -> None:
        simulator.workspace.add_admin(name="\x1b]0;owned\x07", admin_id=simulator.admin_id)
        ended = command("whoami")
        assert ended.status == 0
        assert f"{simulator.admin_id}  \\x1b]0;owned\\x07" in ended.out
        assert "region     us" in ended.out
        told = json.loads(command("whoami", "--json").out)
        assert (told["admin"]["id"], told["region"]) == (simulator.admin_id, "us")

    @pytest.mark.usefixtures("simulator")
    def test_the_environment_says_where_unless_the_command_line_does(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "region" in command("whoami", "--region", "mars").err
        monkeypatch.setenv("INTERCOM_BASE_URL", "")
        monkeypatch.setenv("INTERCOM_REGION", "venus")
        assert "venus" in command("whoami").err

    @pytest.mark.usefixtures("simulator")
    def test_the_token_comes_from_a_hidden_prompt(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def answer(_prompt: str) -> str:
            return "token"

        monkeypatch.delenv(TOKEN_VARIABLE)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("getpass.getpass", answer)
        assert command("whoami").status == 0


class TestHelp:
    def test_no_command_shows_the_help_which_cuts_no_description_and_an_option_the_version(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        ended = command()
        commands = (ended.out + ended.err).split("Commands:")[1].split("Exit status")[0]
        assert "detach" in commands
        assert [line for line in commands.splitlines() if line.endswith("...")] == []
        assert "intercom_async" in command("--version").out

    @pytest.mark.parametrize(
        "name", ["detach", "attach", "find", "whoami", "simulate", "demo", "report"]
    )
    def test_the_help_is_whole_on_80_columns(
        self, command: Command, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        helped = command(name, "-h").out
        assert helped == command(name, "--help").out
        assert max(map(len, helped.splitlines())) <= 80
        assert "…" not in helped
        assert helped.count(f"  intercom-async {name}") >= 2 - (name == "detach")
        assert EXIT_STATUS in " ".join(helped.split())

    def test_readme_says_what_an_exit_status_means_in_the_same_words(self) -> None:
        readme = Path(__file__).parents[2] / "README.md"
        assert EXIT_STATUS in " ".join(readme.read_text(encoding="utf-8").split())


class TestSimulateAndDemo:
    def test_simulate_serves_until_ctrl_c(self, command: Command, tmp_path: Path) -> None:
        pairs = tmp_path / "pairs.csv"
        presser = press_ctrl_c(pairs.exists)
        ended = command("simulate", "--port", 0, "--conversations", 5, "--pairs", pairs)
        presser.join()
        assert ended.status == 0
        assert "serving on http://127.0.0.1:" in ended.out
        assert len(pairs.read_text(encoding="utf-8").splitlines()) == 6

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_the_demo_checks_every_result(self) -> None:
        out = io.StringIO()
        console = Console(file=out, width=120)
        status = await demo.demo(demo.DemoOptions(pairs=400, limit=167), console)
        assert status == 0, out.getvalue()
        assert "All 400 results agree" in out.getvalue()
        assert "the simulator refused 0 requests (0.00%); " in out.getvalue()

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_the_demo_notices_a_result_that_is_not_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = io.StringIO()
        monkeypatch.setattr(demo, "_FAULTS", ())
        monkeypatch.setattr(demo, "_GONE", frozenset[str]())
        status = await demo.demo(demo.DemoOptions(pairs=3), Console(file=out, width=120))
        assert status == 1
        assert "3 results disagree" in out.getvalue()


def test_without_the_extra_the_command_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    for name in [name for name in sys.modules if name.startswith("intercom_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    ended = command("whoami")
    assert ended.status == 2
    assert "intercom_async[cli]" in ended.err
    monkeypatch.setitem(sys.modules, "intercom_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):  # our own error is not hidden
        command("whoami")
