"""What the command line writes for other programs cannot attack them."""

import csv
from pathlib import Path

import pytest

from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Command

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


def test_found_ids_that_a_spreadsheet_would_run_are_left_out_and_told(
    simulator: IntercomSimulator, command: Command
) -> None:
    workspace = simulator.workspace
    contact, other = workspace.add_contact(), workspace.add_contact()
    good = workspace.add_conversation([contact, other])
    for formula in FORMULAS:
        workspace.add_conversation([contact, other], conversation_id=formula)
    done = command("find", "--contact", contact, "--base-url", simulator.url)
    rows = list(csv.reader(done.out.splitlines()))
    assert rows == [["conversation_id", "contact_id"], [good, contact]]
    assert done.err.count("left out") == len(FORMULAS)


@pytest.mark.parametrize("formula", FORMULAS)
def test_so_is_a_contact_whose_given_id_is_one(
    formula: str, simulator: IntercomSimulator, command: Command
) -> None:
    workspace = simulator.workspace
    contact, other = workspace.add_contact(contact_id=formula), workspace.add_contact()
    workspace.add_conversation([contact, other])
    done = command("find", f"--contact={formula}", "--base-url", simulator.url)
    assert list(csv.reader(done.out.splitlines())) in ([["conversation_id", "contact_id"]], [])


def test_pairs_of_a_simulator_are_plain_ids(tmp_path: Path) -> None:
    pairs = IntercomSimulator().workspace.populate(conversations=1000)
    assert all(value.isalnum() for pair in pairs for value in pair)


@pytest.mark.parametrize("text", ["a,b", 'a"b'])
def test_ids_with_separators_are_quoted(
    text: str, simulator: IntercomSimulator, command: Command
) -> None:
    workspace = simulator.workspace
    contact, other = workspace.add_contact(), workspace.add_contact()
    workspace.add_conversation([contact, other], conversation_id=text)
    done = command("find", "--contact", contact, "--base-url", simulator.url)
    assert list(csv.reader(done.out.splitlines()))[1] == [text, contact]
