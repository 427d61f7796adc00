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
from tests.cli.conftest import Shell
from tests.cli.journals import NASTY, T0, failed, insert, pair, session, write

RUN, HTML, SVG = Path("run.db"), Path("run.html"), Path("run.svg")
SETTLING = {"ContactNotFoundError", "ConversationNotFoundError", "LastContactError"}


def a_bad_night() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two sessions with an hour between; the second one was killed."""
    rows = [pair(n) for n in range(1, 1001)]
    rows += [pair(n, session=2, updated_at=T0 + 3600 + n / 20) for n in range(1001, 1501)]
    rows += [failed(n, attempts=5, updated_at=T0 + 10) for n in range(1501, 1504)]
    rows += [pair(1504, "sending", session=2), pair(1505, "pending", session=2)]
    rows += [pair(1506, inferred=1, second_try=1, attempts=2)]
    first = session(1, requests=1018, retries=13, refusals=4, duplicates=2)
    second = session(2, requests=501, ended=False, read=False)
    return rows, [first, second]


def document_of(shell: Shell, status: int = 1) -> Any:
    return json.loads(shell("report run.db --json", status).out)


def page_of(shell: Shell, status: int = 1) -> str:
    """The page, after a look that it is well-formed and reaches nothing."""
    shell("report run.db --html run.html", status)
    html = HTML.read_text(encoding="utf-8")
    for element in ET.fromstring(html).iter():
        assert element.tag not in {"script", "link", "img", "iframe", "object", "form"}
        for name, value in element.items():
            assert name != "href" or value.startswith("https://app.")
            assert not name.startswith(("src", "action", "on"))
    return html


def text_of(html: str) -> str:
    return " ".join(" ".join(ET.fromstring(html).itertext()).split())


def unread(kind: str | None) -> list[Any]:
    return [session(read=False, source_kind=kind)]


LIST, GO_ON = "export 'my run.db' --csv --state unsettled", "detach 'my run.db' --region eu"


@pytest.mark.parametrize(
    ("rows", "sessions", "facts", "status", "said", "commands"),
    [
        ([pair(1), pair(2, "already_absent")], None, {}, 0, "Every pair is settled.", []),
        ([pair(1, "already_absent")], None, {}, 0, "No contact was in its conversation.", []),
        ([pair(1, "refused_last_contact")], None, {}, 0, "1 refused last contact: it is the", []),
        ([pair(1), failed(2)], None, {}, 1, "1 pair is not settled.", [LIST, GO_ON]),
        ([failed(1)], None, {"operation": "attach"}, 1, "1 pair is not settled.",
         [LIST, "attach 'my run.db' --region eu"]),
        ([failed(1)], None, {"base_url": "https://api.intercom.io"}, 1, "1 pair is not settled.",
         [LIST, "detach 'my run.db'"]),
        ([failed(1)], None, {"base_url": "http://[::1]:80"}, 1, "1 pair is not settled.",
         [LIST, "detach 'my run.db' --base-url 'http://[::1]:80'"]),
        ([pair(1)], unread("file"), {}, 1, "Every pair so far is settled. The input", [GO_ON]),
        ([pair(1)], unread("standard input"), {}, 1, "The input (standard input) was not", []),
        ([pair(1)], unread(None), {}, 1, "The input (pairs from a program) was not", []),
        ([pair(1)], unread("undo"), {"operation": "attach"}, 1, "The input was not read to its",
         ["attach --undo /inputs/pairs.csv --journal 'my run.db' --region eu"]),
        ([], None, {}, 0, "The input was empty.", []),
        ([], [], {"workspaces": []}, 1, "Nothing was recorded yet.", []),
    ],
)  # fmt: skip
def test_a_report_says_what_is_left_and_gives_the_commands_that_list_and_finish_it(
    rows: list[Any],
    sessions: list[Any] | None,
    facts: dict[str, Any],
    status: int,
    said: str,
    commands: list[str],
    shell: Shell,
) -> None:
    write(Path("my run.db"), rows, sessions, **facts)
    ended = shell("report 'my run.db'", status)
    assert said in ended.out
    assert re.findall(r"^  intercom-async (.*)$", ended.out, re.MULTILINE) == commands
    assert not ended.err


def test_the_numbers_are_those_of_the_sessions_and_of_the_rows(shell: Shell) -> None:
    write(RUN, *a_bad_night())
    document = document_of(shell)
    for name, number in {
        "states": {"detached": 1501, "failed": 3, "pending": 1, "sending": 1},
        "pairs": 1506, "left": 5, "complete": False, "settled_before": 1001,
        "requests": 1519, "retries": 13, "refusals": 4, "duplicates": 2,
        "second_tries": 1, "inferred": 1, "elapsed": 120.0, "quota": 250,
    }.items():  # fmt: skip
        assert document[name] == number, name
    assert sum(cause["pairs"] for cause in document["causes"]) == 5
    columns = document["timeline"]
    assert sum(column["pairs"] for column in columns) == 1504
    assert sum(column["unsettled"] for column in columns) == 3
    text = shell("report run.db", 1).out
    for line in (
        r"run\.db, detach, Acme, ab12cd, region eu, 2025-01-31 22:00:00 to ",
        r"Pairs +1,506 +1,501 settled, 1,001 in earlier sessions",
        r"Requests +1,519 ",
        r"Retries +13 ",
        r"Refused +4 ",
        r"Second tries +1 ",
        r"Duplicates +2 ",
        r"Time at work +2 min +in 2 sessions",
        r"Requests/s +12\.7 +quota: 250 in 10 s",
        r"Session 2 has no end: it goes on now, or it was killed.",
        r"1 outcome came from a check",
    ):
        assert re.search(line, text), line


def test_every_state_has_a_name_a_colour_and_advice(shell: Shell) -> None:
    write(RUN, [pair(number, state) for number, state in enumerate((*Outcome, *State))])
    text, page = shell("report run.db", 1).out, page_of(shell)
    for state in (*Outcome, *State):
        name, look = state.replace("_", " "), LOOKS[state]
        assert re.search(rf"^{name} .*{re.escape(look.advice)} *$", text, re.MULTILINE)
        assert f"--{look.colour}: " in page
        assert f'<span class="{look.colour}">{name}</span>' in page


def test_what_a_killed_session_had_not_counted_yet_is_written_by_its_pairs(shell: Shell) -> None:
    kept = session(ended=False, requests=1, retries=0, refusals=0)
    write(RUN, [pair(1, attempts=3), pair(2, refusals=2), pair(3)], [kept])
    document = document_of(shell, 0)
    assert (document["requests"], document["retries"], document["refusals"]) == (5, 2, 2)


def test_failures_are_grouped_by_cause_whatever_their_ids(shell: Shell) -> None:
    unknown = pair(9999, "unknown", error_type="UnknownOutcomeError", error="nobody knows")
    write(RUN, [*map(failed, range(1000, 2000)), unknown])
    many, one = document_of(shell)["causes"]
    assert (many["pairs"], one["pairs"]) == (1000, 1)
    assert [row["contact_id"] for row in many["examples"]] == [f"k{n}" for n in range(1000, 1020)]
    text, html = shell("report run.db", 1).out, page_of(shell)
    for said in (
        "1,000 failed: Intercom had a fault, which may be over by now",
        "ServerError: HTTP 503, no code: no message (request id r1000x)",
        "for example conversation c1000, contact k1000, request id r1000x",
        "UnknownOutcomeError: nobody knows",
    ):
        assert said in text
    listing = "intercom-async export run.db --csv --state failed"
    assert f"The first 20 of 1,000 pairs; all of them: {listing}</summary>" in html
    assert len(re.findall("<td><a href", html)) == 21


def kinds(kind: type[APIError]) -> Iterator[type[APIError]]:
    for each in kind.__subclasses__():
        yield from (each, *kinds(each))


def test_every_answer_that_a_pair_can_fail_with_has_a_meaning(shell: Shell) -> None:
    names = sorted({kind.__name__ for kind in kinds(APIError)} - SETTLING)
    write(RUN, [failed(number, error_type=name) for number, name in enumerate(names)])
    text = shell("report run.db", 1).out
    assert all(f"\n{name}: " in text for name in names)
    assert "another error" not in text


def test_any_number_of_causes_gives_a_short_text_and_a_bounded_page(shell: Shell) -> None:
    rows = [failed(n, code=f"code_{n % 300}", request_id=NASTY, error=NASTY) for n in range(6000)]
    write(RUN, rows)
    assert len(page_of(shell)) < 500_000
    text = shell("report run.db", 1).out
    assert len(text) < 20_000
    assert "5,700 pairs with other causes" in text


def test_control_codes_reach_neither_terminal_nor_page(shell: Shell) -> None:
    row = failed(1, conversation_id=NASTY, contact_id=NASTY, request_id=NASTY, error=NASTY)
    kept = session(stopped_by=NASTY, ending=NASTY, source_kind=NASTY, source_name=NASTY)
    write(RUN, [row | {"code": NASTY, "error_type": NASTY}, pair(2)], [kept, kept | {"number": 2}],
          workspaces=[("", NASTY, NASTY), (NASTY, NASTY, NASTY)])  # fmt: skip
    html = page_of(shell)
    for text in (shell("report run.db", 1).out, html):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
        assert r"\x1b[31m\u202e" in text
    assert "&lt;script&gt;" in html


def test_a_text_fits_80_columns_but_for_commands_and_is_coloured_for_who_wants_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows, sessions = a_bad_night()
    write(RUN, [*rows, pair(2000, "unknown"), pair(2001, "refused_last_contact")], sessions)
    for line in shell("report run.db", 1).out.splitlines():
        assert len(line) <= 80 or line.startswith("  intercom-async"), line
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in shell("report run.db", 1).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shell("report run.db", 1).out


def test_the_report_is_that_of_one_moment_while_the_run_goes_on(shell: Shell) -> None:
    write(RUN, [pair(1)], [session(ended=False, read=False)])
    with closing(sqlite3.connect(RUN)) as writer:
        insert(writer, "pair", [pair(2)])
        assert document_of(shell)["pairs"] == 1
        writer.commit()
        assert document_of(shell)["pairs"] == 2


def test_of_many_workspaces_those_with_most_left_are_listed(shell: Shell) -> None:
    rows = [pair(n, workspace=f"w{n}") for n in range(100)]
    named = [(f"w{n}", f"app{n}", f"Name {n}") for n in range(100)]
    write(RUN, [*rows, failed(7, workspace="w70")], workspaces=named)
    text, html = shell("report run.db", 1).out, page_of(shell)
    assert re.search(r"workspace +name +pairs +not settled *\nw70 +Name 70 +2 +1 *\n", text)
    assert "https://app.eu.intercom.com/a/inbox/app70/inbox/conversation/c7" in html
    assert "\n80 more\n" in text


def test_the_page_shows_everything_and_needs_nothing(shell: Shell) -> None:
    write(RUN, *a_bad_night())
    html = page_of(shell)
    assert stat.S_IMODE(HTML.stat().st_mode) == 0o600
    text = text_of(html)
    for said in (
        "5 pairs are not settled. The input was not read to its end.",
        "intercom-async detach run.db --region eu",
        "c1501 k1501 HTTP 503, no code: no message (request id r1501x) 2025-01-31 22:00:10",
        "detached 1,501 99.7% removed; nothing to do",
        "Pairs over time, one line for 10 s; the quota is 250 requests",
        "01-31 22:00:10 203 3 12 01-31 22:00:20 200 01-31",
        "nothing for 1 h",
    ):
        assert said in text
    assert not re.search(r"@import|url\(", html)
    for said in ("default-src 'none'", "light-dark(", "@media print", "viewport"):
        assert said in html


def test_the_picture_has_the_outcomes_and_the_chart_and_fetches_nothing(shell: Shell) -> None:
    write(RUN, *a_bad_night())
    shell("report run.db --svg run.svg", 1)
    text = "".join(ET.fromstring(SVG.read_bytes()).itertext()).replace("\xa0", " ")
    for shown in ("5 pairs are not settled.", "detached", "99.7%", "Pairs over time", "quota"):
        assert shown in text
    assert not re.search(r"@font-face|@import|url\((?!#)|href", SVG.read_text("utf-8"))


@pytest.mark.parametrize("seconds", [60, 3600, 400 * 86400])
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_a_run_of_any_length_gives_a_short_chart(seconds: int, pieces: int) -> None:
    times = [
        int(T0 + piece * 9 * seconds + seconds * n / 60) // 10 * 10
        for piece in range(pieces)
        for n in range(60)
    ]
    width, cells = lay_out([Column(at, 1, 0, 0, 0) for at in times])
    assert len(cells) <= 20
    columns = [cell for cell in cells if isinstance(cell, Column)]
    assert sum(column.pairs for column in columns) == 60 * pieces
    assert columns[-1].at - columns[0].at == sum(
        width if isinstance(cell, Column) else cell for cell in cells[:-1]
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
