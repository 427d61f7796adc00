"""The commands as a person meets them: what they do, what they say, how they end."""

import io
import json
import shlex
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from rich.console import Console

from intercom_async.cli import demo
from intercom_async.cli.running import EXIT_STATUS
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Command, press_ctrl_c, serving


@pytest.fixture
def pairs_file(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: tuple[str, ...] | str, header: str = "conversation_id,contact_id") -> Path:
        lines = [row if isinstance(row, str) else ",".join(row) for row in rows]
        path = tmp_path / "pairs.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


class TestDetach:
    def test_every_pair_of_a_mixed_file_is_accounted_for(
        self,
        command: Command,
        simulator: IntercomSimulator,
        pairs_file: Callable[..., Path],
        tmp_path: Path,
    ) -> None:
        workspace = simulator.workspace
        good = workspace.populate(conversations=20)
        lonely = workspace.add_contact()
        last = workspace.add_conversation([lonely])
        path = pairs_file(
            *good[:10],
            (good[0][0], good[0][1]),
            (good[1][0], "0" * 24),
            (last, lonely),
            ("999999999", "0" * 24),
            "only one field",
            *good[10:],
        )
        output = tmp_path / "results.jsonl"
        ended = command(
            "detach",
            path,
            *("--admin-id", simulator.admin_id, "--base-url", simulator.url),
            *("--json", "--quiet", "--output", output),
        )
        assert ended.status == 1
        summary = json.loads(ended.out)
        assert summary["total"] == 24
        assert summary["bad_lines"] == 1
        assert {name: count for name, count in summary["outcomes"].items() if count} == {
            "detached": 21,
            "already_absent": 1,
            "refused_last_contact": 1,
            "conversation_missing": 1,
        }
        assert f"{path}, line 16" in ended.err
        assert summary["duplicates"] == 1
        assert simulator.applied[good[0]] == 1
        results = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert len(results) == 24
        assert {result["outcome"] for result in results} >= {"detached", "refused_last_contact"}

    def test_json_lines_come_through_standard_input(
        self,
        command: Command,
        simulator: IntercomSimulator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pairs = simulator.workspace.populate(conversations=3)
        lines = [json.dumps({"conversation_id": a, "contact_id": b}) for a, b in pairs]
        source = tmp_path / "pairs.jsonl"
        source.write_text("\n".join(lines), encoding="utf-8")
        with source.open(encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            ended = command(
                "detach", "-", "--admin-id", simulator.admin_id, "--base-url", simulator.url
            )
        assert ended.status == 0
        assert simulator.applied.total() == 3

    def test_a_limit_takes_only_so_many_pairs(
        self, command: Command, simulator: IntercomSimulator, pairs_file: Callable[..., Path]
    ) -> None:
        path = pairs_file(*simulator.workspace.populate(conversations=30))
        base = ("--admin-id", simulator.admin_id, "--base-url", simulator.url)
        assert command("detach", path, *base, "--limit", 7, "--concurrency", 2).status == 0
        assert simulator.applied.total() == 7

    def test_strict_sends_nothing_of_a_file_with_a_wrong_line(
        self, command: Command, simulator: IntercomSimulator, pairs_file: Callable[..., Path]
    ) -> None:
        pairs = simulator.workspace.populate(conversations=4)
        path = pairs_file(*pairs[:2], "wrong", *pairs[2:])
        base = ("--admin-id", simulator.admin_id, "--base-url", simulator.url)
        ended = command("detach", path, *base, "--strict")
        assert ended.status == 2
        assert "line 4" in ended.err
        assert simulator.requests.total == 0

    def test_a_line_that_gives_no_pair_ends_in_status_1_and_is_named(
        self, command: Command, simulator: IntercomSimulator, pairs_file: Callable[..., Path]
    ) -> None:
        path = pairs_file(*simulator.workspace.populate(conversations=2), ("1.3E+14", "x"))
        base = ("--admin-id", simulator.admin_id, "--base-url", simulator.url)
        ended = command("detach", path, *base)
        assert ended.status == 1
        assert "line 4: conversation_id must be an id; '1.3E+14' looks like a spreadsheet's" in (
            ended.err
        )
        assert simulator.applied.total() == 2

    def test_the_columns_that_the_refusal_of_a_header_prints_work(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        (pair,) = simulator.workspace.populate(conversations=1)
        path = tmp_path / "pairs.csv"
        path.write_text('"Conversation ID","Contact ID"\n"{}","{}"\n'.format(*pair), "utf-8")
        base = ("--admin-id", simulator.admin_id, "--base-url", simulator.url)
        ended = command("detach", path, *base)
        assert ended.status == 2
        assert simulator.applied.total() == 0
        printed = shlex.split(ended.err[ended.err.index("--columns") :])
        assert command("detach", path, *base, *printed).status == 0
        assert simulator.applied.total() == 1

    def test_one_ctrl_c_lets_requests_finish_and_ends_in_status_4(
        self, command: Command, pairs_file: Callable[..., Path]
    ) -> None:
        with serving(latency=0.02, limit=1_000_000) as simulator:
            pairs = simulator.workspace.populate(conversations=3000)
            path = pairs_file(*pairs)
            presser = press_ctrl_c(lambda: simulator.applied.total() >= 20)
            base = ("--admin-id", simulator.admin_id, "--base-url", simulator.url)
            ended = command("detach", path, *base, "--json")
            presser.join()
            assert ended.status == 4
            assert "Ctrl-C again" in ended.err
            outcomes = json.loads(ended.out)["outcomes"]
            assert outcomes["unknown"] == 0
            assert outcomes["detached"] == simulator.applied.total() < 3000


class TestBadInput:
    @pytest.fixture(autouse=True)
    def _prepare(
        self,
        command: Command,
        simulator: IntercomSimulator,
        pairs_file: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("INTERCOM_BASE_URL", simulator.url)
        self.command, self.simulator = command, simulator
        self.path = pairs_file(("1", "2"))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--region", "mars"], "region"),
            (["--base-url", "http://intercom.example"], "https"),
            (["--intercom-version", "two"], "version"),
            (["--proxy", "socks5://user:word@proxy"], "proxy must be a URL such as"),
            (["--concurrency", "0"], "concurrency"),
            (["--columns", "conversation_id"], "--columns"),
            (["--token-file", "no such file"], "no such file"),
            (["--columns", "conversation_id=Thread"], "Thread"),
            (["--columns", "conversation=Thread"], "conversation_id=Thread"),
            (["--admin-id", ""], "--admin-id must be an admin's id, not ''"),
            (["--output", "missing/results.jsonl"], "results.jsonl"),
        ],
    )
    def test_a_value_that_cannot_be_used_is_named_and_ends_in_status_2(
        self, arguments: list[str], said: str
    ) -> None:
        ended = self.command("detach", self.path, *arguments)
        assert ended.status == 2
        assert said in ended.err
        assert self.simulator.requests.total == ("--output" in arguments)  # who asks?

    def test_a_proxy_is_used_and_named_without_its_password(self) -> None:
        proxy = "http://user:word@192.0.2.1:9"
        ended = self.command("whoami", "--proxy", proxy)
        assert "in plain text to the proxy http://192.0.2.1:9;" in ended.err
        assert "word" not in ended.err

    @pytest.mark.parametrize(("name", "said"), [("nowhere.csv", "No such file"), (".", "Is a dir")])
    def test_what_is_no_file_is_named(self, name: str, said: str) -> None:
        ended = self.command("detach", name)
        assert ended.status == 2
        assert f"{name}: {said}" in ended.err

    def test_a_missing_token_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(TOKEN_VARIABLE)
        ended = self.command("detach", self.path, "--admin-id", "1")
        assert ended.status == 2
        assert "--token-file must be given, unless the token is in $" + TOKEN_VARIABLE in ended.err

    def test_a_wrong_token_stops_before_anything_is_sent(
        self, simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(TOKEN_VARIABLE, "marked-wrong")
        ended = self.command("detach", self.path, "--admin-id", "1", "--base-url", simulator.url)
        assert ended.status == 3
        assert "nothing was sent" in ended.err
        assert "marked-wrong" not in ended.err
        assert simulator.requests.total == 1

    def test_an_unreachable_host_ends_in_status_3(self) -> None:
        ended = self.command(
            "detach", self.path, "--admin-id", "1", "--base-url", "http://127.0.0.1:9"
        )
        assert ended.status == 3
        assert "127.0.0.1" in ended.err

    def test_a_refused_certificate_ends_in_status_3(self) -> None:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with serving(ssl_context=context) as simulator:
            ended = self.command(
                "detach", self.path, "--admin-id", "1", "--base-url", simulator.url
            )
            assert ended.status == 3
            assert "certificate" in ended.err.lower()
            assert simulator.requests.total == 0

    def test_no_command_shows_the_help(self) -> None:
        ended = self.command()
        assert "detach" in ended.out + ended.err


class TestWhoami:
    def test_json_says_the_same(self, command: Command, simulator: IntercomSimulator) -> None:
        told = json.loads(command("whoami", "--base-url", simulator.url, "--json").out)
        assert told["admin"]["id"] == simulator.admin_id
        assert told["region"] == "us"

    def test_control_codes_in_names_are_spelled_out(
        self, command: Command, simulator: IntercomSimulator
    ) -> None:
        name = "\x1b]0;owned\x07"
        simulator.workspace.add_admin(name=name, admin_id=simulator.admin_id)
        ended = command("whoami", "--base-url", simulator.url)
        assert "\\x1b]0;owned\\x07" in ended.out
        assert "\x1b" not in ended.out

    def test_the_environment_says_where_unless_the_command_line_does(
        self, command: Command, simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INTERCOM_BASE_URL", simulator.url)
        assert command("whoami").status == 0
        assert "region" in command("whoami", "--region", "mars").err
        monkeypatch.setenv("INTERCOM_BASE_URL", "")
        monkeypatch.setenv("INTERCOM_REGION", "venus")
        assert "venus" in command("whoami").err

    def test_it_shows_admin_and_workspace(
        self, command: Command, simulator: IntercomSimulator
    ) -> None:
        ended = command("whoami", "--base-url", simulator.url)
        assert ended.status == 0
        assert simulator.admin_id in ended.out
        assert "region     us" in ended.out

    def test_the_token_comes_from_a_hidden_prompt(
        self, command: Command, simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(TOKEN_VARIABLE)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("getpass.getpass", _answer_token)
        assert command("whoami", "--base-url", simulator.url).status == 0


COMMANDS = ("detach", "attach", "find", "whoami", "simulate", "demo", "report")


class TestSimulateAndDemo:
    def test_simulate_serves_until_ctrl_c(self, command: Command, tmp_path: Path) -> None:
        pairs = tmp_path / "pairs.csv"
        presser = press_ctrl_c(pairs.exists)
        ended = command("simulate", "--port", 0, "--conversations", 5, "--pairs", pairs)
        presser.join()
        assert ended.status == 0
        assert "serving on http://127.0.0.1:" in ended.out
        assert len(pairs.read_text(encoding="utf-8").splitlines()) == 6

    @pytest.mark.parametrize("name", COMMANDS)
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

    def test_the_list_of_commands_cuts_no_description_of_theirs(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        commands = command("-h").out.split("Commands:")[1].split("Exit status")[0]
        cut = [line for line in commands.splitlines() if line.endswith("...")]
        assert cut == []

    def test_readme_says_what_an_exit_status_means_in_the_same_words(self) -> None:
        readme = Path(__file__).parents[2] / "README.md"
        assert EXIT_STATUS in " ".join(readme.read_text(encoding="utf-8").split())

    def test_the_shell_completes_commands(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("_INTERCOM_ASYNC_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "intercom-async de")
        monkeypatch.setenv("COMP_CWORD", "1")
        assert command().out.split() == ["detach", "demo"]

    def test_version_is_shown(self, command: Command) -> None:
        assert "intercom_async" in command("--version").out

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_the_demo_checks_every_result(self) -> None:
        out = io.StringIO()
        console = Console(file=out, width=120)
        status = await demo.demo(demo.DemoOptions(pairs=400, limit=167), console)
        assert status == 0, out.getvalue()
        assert "All 400 results agree" in out.getvalue()
        assert "refused by the rate limit   0 (0.00%)" in " ".join(out.getvalue().split("  "))

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_the_demo_notices_a_result_that_is_not_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = io.StringIO()
        monkeypatch.setattr(demo, "_FAULTS", ())
        monkeypatch.setattr(demo, "_check", _find_fault)
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


def test_an_error_of_our_own_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from intercom_async.cli import main

    monkeypatch.setitem(sys.modules, "intercom_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        main()


def _answer_token(_prompt: str) -> str:
    return "token"


def _find_fault(*_: object) -> str:
    return "something is wrong"
