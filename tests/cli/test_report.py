"""What a journal tells about a run, in the terminal, as JSON and as an HTML file."""

import json
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from intercom_async import APIError
from intercom_async.cli.printing import span
from intercom_async.cli.report.chart import Column, lay_out
from intercom_async.cli.states import LOOKS
from intercom_async.detaching import Outcome
from intercom_async.journal import State
from tests.cli.conftest import Command
from tests.cli.journals import NASTY, T0, failed, insert, pair, session, write

SETTLING = {"ContactNotFoundError", "ConversationNotFoundError", "LastContactError"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def a_bad_night() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two sessions with an hour between; the second one was killed."""
    rows = [pair(n) for n in range(1, 1001)]
    rows += [pair(n, session=2, updated_at=T0 + 3600 + n / 20) for n in range(1001, 1501)]
    rows += [failed(n, attempts=5, updated_at=T0 + 10) for n in range(1501, 1504)]
    rows += [pair(1504, "sending", session=2), pair(1505, "pending", session=2)]
    rows += [pair(1506, inferred=1, second_try=1, attempts=2)]
    first = session(1, requests=1018, retries=13, refusals=4, duplicates=2, ending="stopped")
    second = session(2, requests=501, ended=False, read=False, ending=None)
    return rows, [first, second]


def page_of(command: Command, path: Path) -> str:
    """The page, after a look that it is well-formed and reaches nothing."""
    command("report", path, "--html", path.with_suffix(".html"))
    html = path.with_suffix(".html").read_text(encoding="utf-8")
    for element in ET.fromstring(html).iter():
        assert element.tag not in {"script", "link", "img", "iframe", "object", "form"}
        for name, value in element.items():
            assert name != "href" or value.startswith("https://app.")
            assert not name.startswith(("src", "action", "on"))
    return html


def text_of(html: str) -> str:
    return " ".join(" ".join(ET.fromstring(html).itertext()).split())


def test_a_complete_run_says_so_and_ends_in_status_0(command: Command, path: Path) -> None:
    write(path, [pair(1), pair(2, "already_absent"), pair(3, "conversation_missing")])
    ended = command("report", path)
    assert ended.status == 0
    assert ended.out.startswith("Every pair is settled.\n")
    assert "detach, Acme, ab12cd, region eu" in ended.out
    assert "To go on" not in ended.out
    assert not ended.err


@pytest.mark.parametrize(
    ("facts", "finishing"),
    [
        ({}, "detach {} --region eu"),
        ({"base_url": "https://api.intercom.io"}, "detach {}"),
        ({"base_url": "http://127.0.0.1:8000"}, "detach {} --base-url http://127.0.0.1:8000"),
        ({"operation": "attach"}, "attach {} --region eu"),
    ],
)
def test_a_run_with_pairs_left_gives_the_commands_that_list_and_finish_them(
    command: Command, tmp_path: Path, facts: dict[str, Any], finishing: str
) -> None:
    path = write(tmp_path / "my run.db", [pair(1), failed(2)], **facts)
    ended = command("report", path)
    assert ended.status == 1
    assert ended.out.startswith("1 pair is not settled.\n")
    listing, go_on = re.findall(r"^  intercom-async (.*)$", ended.out, re.MULTILINE)
    assert listing == f"export '{path}' --csv --state unsettled"
    assert go_on == finishing.format(f"'{path}'")
    commands = re.findall(
        r'<code class="well command">intercom-async (.*)</code>', page_of(command, path)
    )
    assert [one.replace("&#39;", "'") for one in commands] == [listing, go_on]


@pytest.mark.parametrize(
    ("facts", "said", "go_on"),
    [
        ({}, "Every pair so far is settled.", "detach {} --region eu"),
        ({"source_kind": "standard input", "source_name": None}, "(standard input) was not", None),
        ({"source_kind": None, "source_name": None}, "(pairs from a program) was not", None),
        ({"source_kind": "undo"}, "not read", "--undo /inputs/pairs.csv --journal {} --region eu"),
    ],
)
def test_an_input_that_was_not_read_to_its_end_leaves_a_run_incomplete(
    command: Command, path: Path, facts: dict[str, Any], said: str, go_on: str | None
) -> None:
    write(path, [pair(1)], [session(read=False, **facts)])
    ended = command("report", path)
    assert ended.status == 1
    assert said in ended.out
    if go_on is None:
        assert "To go on" not in ended.out
    else:
        assert ended.out.endswith(f"{go_on.format(path)}\n")


def test_an_empty_input_and_an_empty_journal_differ(command: Command, path: Path) -> None:
    write(path, [])
    assert command("report", path).out.startswith("The input was empty.")
    path.unlink()
    write(path, [], [], workspaces=[])
    assert "Nothing was recorded yet." in text_of(page_of(command, path))
    assert command("report", path).status == 1


def test_the_numbers_are_those_of_the_sessions_and_of_the_rows(
    command: Command, path: Path
) -> None:
    write(path, *a_bad_night())
    ended = command("report", path, "--json")
    document = json.loads(ended.out)
    assert ended.status == 1
    assert document["states"] == {"detached": 1501, "failed": 3, "pending": 1, "sending": 1}
    assert (document["pairs"], document["left"], document["complete"]) == (1506, 5, False)
    assert (document["requests"], document["retries"], document["refusals"]) == (1519, 13, 4)
    assert (document["settled_before"], document["duplicates"]) == (1001, 2)
    assert (document["second_tries"], document["inferred"]) == (1, 1)
    assert (document["elapsed"], document["quota"]) == (120.0, 250)
    assert sum(cause["pairs"] for cause in document["causes"]) == 5
    columns = document["timeline"]
    assert sum(column["pairs"] for column in columns) == 1504
    assert sum(column["unsettled"] for column in columns) == 3
    text = command("report", path).out
    for line in (
        r"Pairs +1,506 +1,501 settled, 1,001 in earlier sessions",
        r"Requests +1,519 ",
        r"Retries +13 ",
        r"Refused +4 ",
        r"Second tries +1 ",
        r"Duplicates +2 ",
        r"Time at work +2 min +in 2 sessions",
        r"Requests/s +12\.7 +quota: 250 in 10 s",
    ):
        assert re.search(line, text), line
    assert "Session 2 has no end: it goes on now, or it was killed." in text
    assert "1 outcome came from a check" in text


def test_every_state_has_a_name_a_colour_and_advice(command: Command, path: Path) -> None:
    write(path, [pair(number, state) for number, state in enumerate((*Outcome, *State))])
    text, page = command("report", path).out, page_of(command, path)
    for state in (*Outcome, *State):
        name, look = state.replace("_", " "), LOOKS[state]
        assert re.search(rf"^{name} .*{re.escape(look.advice)} *$", text, re.MULTILINE)
        assert f"--{look.colour}: " in page
        assert f"{name}</td>" in page
        assert look.advice in page


def test_what_a_killed_session_had_not_counted_yet_is_written_by_its_pairs(
    command: Command, path: Path
) -> None:
    kept = session(ended=False, requests=1, retries=0, refusals=0)
    write(path, [pair(1, attempts=3), pair(2, refusals=2), pair(3)], [kept])
    document = json.loads(command("report", path, "--json").out)
    assert (document["requests"], document["retries"], document["refusals"]) == (5, 2, 2)


def test_failures_are_grouped_by_cause_whatever_their_ids(command: Command, path: Path) -> None:
    unknown = pair(9, "unknown", error_type="UnknownOutcomeError", error="nobody knows")
    write(path, [*map(failed, range(1, 8)), unknown])
    many, one = json.loads(command("report", path, "--json").out)["causes"]
    assert (many["pairs"], one["pairs"]) == (7, 1)
    assert [row["conversation_id"] for row in many["examples"]] == [f"c{n}" for n in range(1, 8)]
    text = command("report", path).out
    assert "7 failed: Intercom had a fault, which may be over by now" in text
    assert "ServerError: HTTP 503, no code: no message (request id r1x)" in text
    assert "for example conversation c1, contact k1, request id r1x" in text
    assert "UnknownOutcomeError: nobody knows" in text


def kinds(kind: type[APIError]) -> Iterator[type[APIError]]:
    for each in kind.__subclasses__():
        yield from (each, *kinds(each))


def test_every_answer_that_a_pair_can_fail_with_has_a_meaning(command: Command, path: Path) -> None:
    names = sorted({kind.__name__ for kind in kinds(APIError)} - SETTLING)
    write(path, [failed(number, error_type=name) for number, name in enumerate(names)])
    text = command("report", path).out
    assert all(f"\n{name}: " in text for name in names)
    assert "another error" not in text


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("refused_last_contact", "3 refused last contact: it is the last contact of its"),
        ("already_absent", "No contact was in its conversation."),
    ],
)
def test_settled_pairs_that_somebody_should_look_at_are_shown(
    command: Command, path: Path, state: str, said: str
) -> None:
    write(path, [pair(n, state) for n in range(1, 4)])
    ended = command("report", path)
    assert ended.status == 0
    assert said in ended.out


def test_any_number_of_causes_gives_a_short_text_and_a_bounded_page(
    command: Command, path: Path
) -> None:
    rows = [failed(n, code=f"code_{n % 300}", request_id=NASTY, error=NASTY) for n in range(6000)]
    write(path, rows)
    text = command("report", path).out
    assert len(text) < 20_000
    assert "5,700 pairs with other causes" in text
    assert len(page_of(command, path)) < 500_000


def test_control_codes_reach_neither_terminal_nor_page(command: Command, path: Path) -> None:
    row = failed(1, conversation_id=NASTY, contact_id=NASTY, request_id=NASTY, error=NASTY)
    kept = session(stopped_by=NASTY, ending=NASTY, source_kind=NASTY, source_name=NASTY)
    write(path, [row | {"code": NASTY, "error_type": NASTY}, pair(2)], [kept, kept | {"number": 2}],
          workspaces=[("", NASTY, NASTY), (NASTY, NASTY, NASTY)])  # fmt: skip
    html = page_of(command, path)
    for text in (command("report", path).out, html):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
        assert r"\x1b[31m\u202e" in text
    assert "&lt;script&gt;" in html


def test_a_text_fits_80_columns_but_for_commands(
    command: Command, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows, sessions = a_bad_night()
    write(path, [*rows, pair(2000, "unknown"), pair(2001, "refused_last_contact")], sessions)
    for line in command("report", path).out.splitlines():
        assert len(line) <= 80 or line.startswith(("  intercom-async", str(path)[:9])), line


def test_colours_are_for_terminals_that_want_them(
    command: Command, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, *a_bad_night())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in command("report", path).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in command("report", path).out


def test_the_report_is_that_of_one_moment_while_the_run_goes_on(
    command: Command, path: Path
) -> None:
    write(path, [pair(1)], [session(ended=False, read=False)])
    with closing(sqlite3.connect(path)) as writer:
        insert(writer, "pair", [pair(2)])
        assert json.loads(command("report", path, "--json").out)["pairs"] == 1
        writer.commit()
        assert json.loads(command("report", path, "--json").out)["pairs"] == 2


def test_of_many_workspaces_those_with_most_left_are_listed(command: Command, path: Path) -> None:
    rows = [pair(n, workspace=f"w{n}") for n in range(100)]
    write(
        path,
        [*rows, failed(7, workspace="w70")],
        workspaces=[(f"w{n}", f"app{n}", f"Name {n}") for n in range(100)],
    )
    ended = command("report", path)
    assert re.search(r"workspace +name +pairs +not settled *\nw70 +Name 70 +2 +1 *\n", ended.out)
    assert "\n80 more\n" in ended.out
    html = page_of(command, path)
    assert "https://app.eu.intercom.com/a/inbox/app70/inbox/conversation/c7" in html
    assert "80 more" in html


def test_the_page_shows_everything_and_needs_nothing(command: Command, path: Path) -> None:
    write(path, *a_bad_night())
    html = page_of(command, path)
    assert stat.S_IMODE(path.with_suffix(".html").stat().st_mode) == 0o600
    text = text_of(html)
    for said in (
        "5 pairs are not settled. The input was not read to its end.",
        f"intercom-async detach {path} --region eu",
        "3 failed: Intercom had a fault, which may be over by now",
        "c1501 k1501 HTTP 503, no code: no message (request id r1501x) 2025-01-31 22:00:10",
        "detached 1,501 removed; nothing to do",
        "Pairs 1,506 1,501 settled, 1,001 in earlier sessions",
        "one line for 10 s; the quota is 25.0 requests per second",
        "2025-01-31 22:00:10 20.3 203 3 12 2025-01-31 22:00:20 20.0 200 2025-01-31",
        "nothing for 1 h",
        "it goes on now, or it was killed",
    ):
        assert said in text
    assert not re.search(r"@import|url\(", html)
    for said in ("default-src 'none'", "light-dark(", "@media print", "viewport"):
        assert said in html


def test_the_picture_has_the_outcomes_and_the_chart_and_fetches_nothing(
    command: Command, path: Path
) -> None:
    write(path, *a_bad_night())
    target = path.with_suffix(".svg")
    assert command("report", path, "--svg", target).status == 1
    picture = ET.fromstring(target.read_bytes())
    text = "".join(picture.itertext()).replace("\xa0", " ")
    for shown in ("5 pairs are not settled.", "detached", "99.7%", "pairs per second", "quota"):
        assert shown in text
    assert not re.search(r"@font-face|@import|url\((?!#)|href", target.read_text("utf-8"))


def test_a_cause_lists_its_first_pairs_and_the_command_for_all(
    command: Command, path: Path
) -> None:
    write(path, [failed(n) for n in range(1000)])
    html = page_of(command, path)
    assert "The first 20 of 1,000 pairs" in html
    assert f"All of them: <code>intercom-async export {path} --csv --state failed</code>" in html
    assert len(re.findall("<td><a href", html)) == 20


@pytest.mark.parametrize("content", [None, b"", b"conversation_id,contact_id\n1,2\n"])
def test_what_is_no_journal_ends_in_status_2(
    command: Command, path: Path, content: bytes | None
) -> None:
    if content is not None:
        path.write_bytes(content)
    ended = command("report", path, "--html", path.with_suffix(".html"))
    assert ended.status == 2
    assert "journal" in ended.err
    assert not ended.out
    assert not path.with_suffix(".html").exists()


@pytest.mark.parametrize("seconds", [60, 3600, 400 * 86400])
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_a_run_of_any_length_gives_a_short_chart(seconds: int, pieces: int) -> None:
    times = [
        int(T0 + piece * 9 * seconds + seconds * n / 60) // 10 * 10
        for piece in range(pieces)
        for n in range(60)
    ]
    chart = lay_out([Column(at, 1, 0, 0, 0) for at in times], 167)
    assert len(chart.cells) <= 20
    columns = [cell for cell in chart.cells if isinstance(cell, Column)]
    assert sum(column.pairs for column in columns) == 60 * pieces
    assert columns[-1].at - columns[0].at == sum(
        chart.width if isinstance(cell, Column) else cell for cell in chart.cells[:-1]
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (59.6, "1 min"), (187, "3 min 7 s"),
        (7500, "2 h 5 min"), (345600, "4 d"),
    ],
)  # fmt: skip
def test_durations_are_written_as_people_write_them(seconds: float, said: str) -> None:
    assert span(seconds) == said
