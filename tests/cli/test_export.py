"""What the command line writes for other programs: every pair, nothing that a spreadsheet runs."""

import csv
import json
from pathlib import Path

import pytest

from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Shell
from tests.cli.journals import failed, pair, write

RUN = Path("run.db")
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "a\u2028=1",
    "\uff1d1+1",  # wide forms of =, +, - and @, which some countries' spreadsheets run, too
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(A1)",
    "1;=1+1",  # begins a cell where commas are for decimals
    " =1+1",
    '"=1',
]


def test_every_pair_is_a_row_of_csv_with_ids_as_quoted_texts(shell: Shell) -> None:
    write(RUN, [failed(2, conversation_id="215000000000000"), *map(pair, range(3, 2503))])
    out = shell("export run.db --csv").out
    assert '\n"215000000000000","k2",' in out
    first, *others = csv.DictReader(out.splitlines())
    assert len(others) == 2500
    written = {
        "conversation_id": "215000000000000",
        "state": "failed",
        "status": "503",
        "error": "HTTP 503, no code: no message (request id r2x)",
        "updated_at": "2025-01-31T22:00:00+00:00",
        "inferred": "0",
    }
    assert first == first | written


def test_json_lines_hold_every_value_as_it_is(shell: Shell) -> None:
    write(RUN, [pair(1, conversation_id="=1\n;@2", inferred=1)])
    out = shell("export run.db --jsonl").out
    row = json.loads(out)
    assert row == row | {"conversation_id": "=1\n;@2", "inferred": True, "error": None}
    assert shell("export run.db --jsonl --output -").out == out


@pytest.mark.parametrize("formula", [*FORMULAS, "a;  \"'=1", "x; -1"])
def test_no_cell_is_a_formula_wherever_cells_are_divided(formula: str, shell: Shell) -> None:
    write(RUN, [failed(1, conversation_id=formula, error=formula)])
    out = shell("export run.db --csv").out
    for delimiter in ",;\t":
        for row in csv.reader(out.splitlines(), delimiter=delimiter):
            for cell in row:
                before = cell[: len(cell) - len(cell.lstrip(" \"'"))]
                runs = cell[len(before) :][:1] in set("=+-@\uff1d\uff0b\uff0d\uff20")
                assert "'" in before or not runs, (delimiter, cell)
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("failed", {"failed"}),
        ("failed, already-absent", {"failed", "already_absent"}),
        ("unsettled", {"failed", "unknown", "pending", "sending"}),
    ],
)
def test_only_pairs_in_the_states_that_are_wanted_are_written(
    shell: Shell, wanted: str, told: set[str]
) -> None:
    states = ["failed", "unknown", "pending", "sending", "detached", "already_absent"]
    write(RUN, [pair(n, state) for n, state in enumerate(states)])
    lines = shell(f"export run.db --jsonl --state '{wanted}'").out.splitlines()
    assert {json.loads(line)["state"] for line in lines} == told


def test_find_leaves_out_ids_that_a_spreadsheet_would_run_and_quotes_the_others(
    simulator: IntercomSimulator, shell: Shell
) -> None:
    workspace = simulator.workspace
    contact, other = workspace.add_contact(), workspace.add_contact()
    good = ["a,b", 'a"b', workspace.add_conversation([contact, other])]
    for conversation in [*good[:2], *FORMULAS]:
        workspace.add_conversation([contact, other], conversation_id=conversation)
    done = shell(f"find --contact {contact}")
    header, *rows = csv.reader(done.out.splitlines())
    assert header == ["conversation_id", "contact_id"]
    assert sorted(rows) == sorted([conversation, contact] for conversation in good)
    assert done.err.count("left out") == len(FORMULAS)


def test_what_failed_can_be_given_to_detach_again(
    simulator: IntercomSimulator, shell: Shell
) -> None:
    ((conversation, contact),) = simulator.workspace.populate(conversations=1)
    write(RUN, [failed(1, conversation_id=conversation, contact_id=contact), pair(2)])
    ended = shell("export run.db --csv --state failed --output left.csv")
    assert (ended.out, ended.err) == ("", "1 pair written to left.csv\n")
    assert "1 detached" in shell("detach left.csv").err
