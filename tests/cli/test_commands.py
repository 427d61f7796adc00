"""The commands as a person meets them: what they do, what they say, how they end."""

import json
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from intercom_async.cli.exit_status import EXIT_STATUS
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Shell, serving, write_csv

PAIRS = Path("pairs.csv")


def test_every_pair_of_a_mixed_file_is_accounted_for(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    good = simulator.workspace.populate(conversations=20)
    lonely = simulator.workspace.add_contact()
    last = simulator.workspace.add_conversation([lonely])
    absent, missing = (good[1][0], "0" * 24), ("999999999", "0" * 24)
    odd = [good[0], absent, (last, lonely), missing, ("1.3E+14", "x")]
    write_csv(PAIRS, [*good[:10], *odd, *good[10:]])
    ended = shell("detach pairs.csv --json --quiet --output results.jsonl", 1)
    summary = json.loads(ended.out)
    assert (summary["total"], summary["bad_lines"], summary["duplicates"]) == (24, 1, 1)
    assert {name: count for name, count in summary["outcomes"].items() if count} == {
        "detached": 21,
        "already_absent": 1,
        "refused_last_contact": 1,
        "conversation_missing": 1,
    }
    (cause,) = summary["causes"]
    assert (cause["outcome"], cause["count"]) == ("refused_last_contact", 1)
    assert cause["example"] == {"conversation_id": last, "contact_id": lonely, "admin_id": None}
    looks = "conversation_id must be an id; '1.3E+14' looks like a spreadsheet's 2.15E+14"
    assert f"pairs.csv, line 16: {looks}" in ended.err
    assert simulator.applied[good[0]] == 1
    results = [json.loads(line) for line in Path("results.jsonl").read_text("utf-8").splitlines()]
    assert len(results) == 24
    assert {result["outcome"] for result in results} >= {"detached", "refused_last_contact"}


def test_bad_lines_are_printed_up_to_a_bound_and_strict_sends_nothing_of_their_file(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    write_csv(PAIRS, [*simulator.workspace.populate(conversations=2), *[("wrong",)] * 30])
    assert "line 4" in shell("detach pairs.csv --strict", 2).err
    assert simulator.requests.total == 0
    shell("detach pairs.csv --strict --limit 2")
    ended = shell("detach pairs.csv --json", 1)
    assert ended.err.count("; skipped") == 20
    assert "more bad lines follow; they are only counted" in ended.err
    assert json.loads(ended.out)["bad_lines"] == 30


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("detach pairs.csv --region mars", "region"),
        ("detach pairs.csv --base-url http://intercom.example", "https"),
        ("detach pairs.csv --intercom-version two", "version"),
        ("detach pairs.csv --proxy socks5://user:word@proxy", "proxy must be a URL"),
        ("detach pairs.csv --concurrency 0", "concurrency"),
        ("detach pairs.csv --token-file nowhere", "nowhere: No such file"),
        ("detach pairs.csv --columns conversation=Thread", "conversation_id=Thread"),
        ("detach pairs.csv --columns admin_id=Agent", "lacks 'Agent'"),
        ("detach pairs.csv --columns conversation_id=Thread", "lacks 'Thread'; found 'conver"),
        ("detach pairs.csv --admin-id=", "--admin-id must be an admin's id, not ''"),
        ("detach pairs.csv --output missing/results.jsonl", "results.jsonl"),
        ("detach nowhere.csv", "nowhere.csv: No such file"),
        ("detach .", ".: Is a dir"),
        ("detach /dev/null --journal .", "no regular file"),
        ("detach pairs.csv --journal no/run.db", "no/run.db"),
        ("detach", "SOURCE must be a file, or - for standard input, or --people FILE"),
        ("attach", "SOURCE must be a file, or - for standard input, or --undo JOURNAL"),
        ("attach pairs.csv --undo run.db", "SOURCE must be left out with --undo"),
        ("detach pairs.csv --people p.csv", "SOURCE must be left out with --people"),
        ("detach --people pairs.csv", "lacks 'email'; found 'conversation_id', 'contact"),
        ("detach --people pairs.csv --by name", "--by"),
        ("detach postgresql://me:marked@127.0.0.1:9/db", "`intercom-async submit` and `work`"),
        ("detach pairs.csv --journal postgresql://me:marked@127.0.0.1:9/db", "`intercom-async"),
        ("report nowhere.db", "journal"),
        ("report pairs.csv --html run.html", "journal"),
        ("export run.db", "exactly one of them"),
        ("export run.db --csv --jsonl", "exactly one of them"),
        ("export run.db --csv --state gone", "--state must be of detached, already_absent"),
        ("simulate --faults html,outgae", "one or more of outage, html, late, latency"),
        ("find", "exactly one"),
        ("find --contact 1 --email a@b.example", "exactly one"),
    ],
)
def test_what_cannot_be_used_is_named_and_ends_in_status_2(
    shell: Shell, simulator: IntercomSimulator, line: str, said: str
) -> None:
    write_csv(PAIRS, [("1", "2")])
    ended = shell(line, 2)
    assert said in ended.err
    assert "marked" not in ended.err
    assert simulator.requests.total <= 2  # who asks?
    assert simulator.applied.total() == 0


def test_a_proxy_is_used_and_named_without_its_password(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    said = shell("whoami --proxy http://user:word@192.0.2.1:9", 3).err
    assert "in plain text to the proxy http://192.0.2.1:9;" in said
    assert "word" not in said
    assert simulator.requests.total == 0


def test_without_the_right_token_nothing_is_sent_but_the_question_whose_it_is(
    shell: Shell, simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(PAIRS, [("1", "2")])
    monkeypatch.setenv(TOKEN_VARIABLE, "marked-wrong")
    said = shell("detach pairs.csv", 3).err
    assert "nothing was sent" in said
    assert "marked-wrong" not in said
    assert simulator.requests.total == 1
    monkeypatch.delenv(TOKEN_VARIABLE)
    said = shell("detach pairs.csv", 2).err
    assert "--token-file must be given, unless the token is in $" + TOKEN_VARIABLE in said


def test_a_host_that_cannot_be_reached_or_trusted_ends_in_status_3(shell: Shell) -> None:
    write_csv(PAIRS, [("1", "2")])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with serving(ssl_context=context) as simulator:
        for url, said in (("http://127.0.0.1:9", "127.0.0.1"), (simulator.url, "certificate")):
            assert said in shell(f"detach pairs.csv --base-url {url}", 3).err.lower()


def test_whoami_shows_the_admin_and_the_region_and_spells_control_codes_out(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    simulator.workspace.add_admin(name="\x1b]0;owned\x07", admin_id=simulator.admin_id)
    out = shell("whoami").out
    assert f"{simulator.admin_id}  \\x1b]0;owned\\x07" in out
    assert "region     us" in out
    told = json.loads(shell("whoami --json").out)
    assert (told["admin"]["id"], told["region"]) == (simulator.admin_id, "us")


@pytest.mark.usefixtures("simulator")
def test_the_environment_says_where_unless_the_command_line_does(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "mars" in shell("whoami --region mars", 2).err
    monkeypatch.setenv("INTERCOM_BASE_URL", "")
    monkeypatch.setenv("INTERCOM_REGION", "venus")
    assert "venus" in shell("whoami", 2).err


def test_no_command_shows_the_help_which_cuts_no_description_and_an_option_the_version(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = shell("", 2)
    commands = (ended.out + ended.err).split("Commands:")[1].split("Exit status")[0]
    assert "detach" in commands
    assert [line for line in commands.splitlines() if line.endswith("...")] == []
    assert "intercom_async" in shell("--version").out


@pytest.mark.parametrize(
    "name", ["detach", "attach", "find", "whoami", "simulate", "demo", "report"]
)
def test_the_help_is_whole_on_80_columns(
    shell: Shell, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    helped = shell(f"{name} -h").out
    assert helped == shell(f"{name} --help").out
    assert max(map(len, helped.splitlines())) <= 80
    assert "…" not in helped
    assert helped.count(f"  intercom-async {name}") >= 2 - (name == "detach")
    assert EXIT_STATUS in " ".join(helped.split())


def test_readme_says_what_an_exit_status_means_in_the_same_words() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert EXIT_STATUS in " ".join(readme.read_text(encoding="utf-8").split())


def test_without_the_extra_the_command_says_how_to_install_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    for name in [name for name in sys.modules if name.startswith("intercom_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "intercom_async[cli]" in shell("whoami", 2).err
    monkeypatch.setitem(sys.modules, "intercom_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):  # our own error is not hidden
        shell("whoami")
