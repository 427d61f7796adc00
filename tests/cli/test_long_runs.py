"""Journals, undo, dry runs and find, as a person meets them on the command line."""

import json
import os
import sys
from pathlib import Path

import pytest

from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Ended, Shell, press_ctrl_c, write_csv
from tests.cli.journals import cut_off, pair, write
from tests.support.rows import rows_in

Pairs = list[tuple[str, str]]

PAIRS, JOURNAL = Path("pairs.csv"), Path("run.db")
_LONG = 600


def pairs_of(simulator: IntercomSimulator, number: int) -> Pairs:
    """Return so many pairs, which are in the file, too."""
    pairs = simulator.workspace.populate(conversations=number)
    write_csv(PAIRS, pairs)
    return pairs


def interrupt(shell: Shell, simulator: IntercomSimulator) -> tuple[Pairs, Ended]:
    """Press Ctrl-C in the middle of a run; return all its pairs, and how it ended."""
    pairs = pairs_of(simulator, _LONG)
    simulator.faults.add(Fault.LATENCY, method="DELETE", probability=1.0, seconds=0.02)
    presser = press_ctrl_c(lambda: simulator.applied.total() >= 3)
    ended = shell("detach pairs.csv --journal run.db --concurrency 1 --json", 4)
    presser.join()
    simulator.faults.clear()
    assert 3 <= simulator.applied.total() < _LONG
    return pairs, ended


def test_inputs_that_were_not_read_to_their_ends_are_read_one_by_one(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs = simulator.workspace.populate(conversations=6)
    write_csv(PAIRS, pairs[:3])
    write_csv(Path("other.csv"), pairs[3:])
    cut_off(JOURNAL, simulator.url, ("file", "pairs.csv"), ("file", "other.csv"))
    said = shell("detach run.db", 1).err
    assert "had not read other.csv to its end; reading on" in said
    assert "an input (pairs.csv) was not read to its end; for the rest" in said
    shell("detach run.db")
    assert simulator.applied == dict.fromkeys(pairs, 1)


def test_an_input_that_was_moved_is_told_and_read_where_it_is(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs, _ = interrupt(shell, simulator)
    PAIRS.rename("moved.csv")
    ended = shell("detach run.db --json", 1)
    assert "to its end; for the rest, run: intercom-async detach INPUT" in ended.err
    assert json.loads(ended.out)["outcomes"]["not_attempted"] == 0
    assert simulator.applied.total() < _LONG
    shell("report run.db", 1)
    shell("detach moved.csv --journal run.db")
    assert simulator.applied == dict.fromkeys(pairs, 1)
    shell("detach run.db")
    shell("report run.db")


def test_an_interrupted_run_goes_on_where_it_was_even_after_another_input(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs, ended = interrupt(shell, simulator)
    assert "requests in flight finish; press Ctrl-C again to stop at once" in ended.err
    assert "to go on:\n  intercom-async detach pairs.csv --journal run.db" in ended.err
    outcomes, done = json.loads(ended.out)["outcomes"], simulator.applied.total()
    assert (outcomes["unknown"], outcomes["detached"]) == (0, done)
    write_csv(Path("other.csv"), [("999999999", "0" * 24)])
    shell("detach other.csv --journal run.db")
    shell("report run.db", 1)
    elsewhere = shell("detach run.db --base-url http://127.0.0.1:9", 2)
    assert "the journal run.db belongs to a run with base_url" in elsewhere.err
    ended = shell("detach run.db --json")
    assert "pairs.csv to its end; reading on" in ended.err
    summary = json.loads(ended.out)
    assert done < summary["settled_before"] == _LONG - summary["total"]
    assert simulator.applied == dict.fromkeys(pairs, 1)
    assert json.loads(shell("detach run.db --json").out)["total"] == 0


def test_a_failed_pair_is_told_with_its_cause_and_its_journal_is_a_source_of_it(
    shell: Shell, simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intercom_async.detaching.LOOKS", (0.0,))  # it looks for 3 s otherwise
    first, *others = simulator.workspace.populate(conversations=6)
    simulator.workspace.add_admin(admin_id="777")
    lines = [json.dumps(pair) for pair in [*others, (*first, "777")]]
    PAIRS.write_text("\n".join(lines), encoding="utf-8")
    fault = simulator.faults.add(
        Fault.SERVER_ERROR, match=first[0], method="DELETE", probability=1.0
    )
    said = shell(f"detach pairs.csv --admin-id {simulator.admin_id} --journal run.db", 1).err
    assert f"(for example {','.join(first)})" in said
    assert "  1 failed: HTTP 500" in said
    assert "1 pair failed at first, and got a second try at the end" in said
    simulator.faults.remove(fault)
    summary = json.loads(shell("detach run.db --json").out)
    assert (summary["outcomes"]["detached"], summary["total"]) == (1, 1)
    assert not simulator.workspace.attached(*first)


def test_an_interrupted_run_asks_nothing_more(shell: Shell, simulator: IntercomSimulator) -> None:
    write_csv(PAIRS, [(one, "gone" + one) for one, _ in pairs_of(simulator, 100)])
    simulator.faults.add(Fault.LATENCY, method="DELETE", probability=1.0, seconds=0.02)
    presser = press_ctrl_c(lambda: simulator.requests.total >= 20)
    ended = json.loads(shell("detach pairs.csv --concurrency 1 --json", 4).out)
    presser.join()
    assert ended["outcomes"]["already_absent"] >= 10
    assert "absent_contacts" not in ended


def test_the_rest_of_a_limited_run_is_not_read(shell: Shell, simulator: IntercomSimulator) -> None:
    pairs_of(simulator, 9)
    shell("detach pairs.csv --journal run.db --limit 4")
    assert shell("detach run.db").err == "there was nothing to do\n"
    assert simulator.applied.total() == 4


def test_results_are_added_to_when_a_run_goes_on_and_replaced_by_a_new_one(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    output = Path("results.jsonl")

    def written() -> list[str]:
        lines = output.read_text(encoding="utf-8").splitlines()
        return sorted(json.loads(line)["conversation_id"] for line in lines)

    pairs = simulator.workspace.populate(conversations=6)
    write_csv(PAIRS, pairs[:2])
    shell("detach pairs.csv --output results.jsonl --journal run.db")
    with output.open("a", encoding="utf-8") as file:
        file.write('{"conversation_id":"half a line of a run that was killed')
    write_csv(PAIRS, pairs)
    ended = shell("detach pairs.csv --output results.jsonl --journal run.db")
    assert "adding to the results in results.jsonl" in ended.err
    assert written() == [conversation for conversation, _ in pairs]
    write_csv(PAIRS, pairs[:1])
    shell("detach pairs.csv --output results.jsonl")
    assert written() == [pairs[0][0]]


def test_an_undo_puts_back_what_a_run_removed_but_what_was_inferred_only_if_asked_for(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs = pairs_of(simulator, 3)
    write_csv(PAIRS, [*pairs, pairs[0], ("no-such", "x")])
    simulator.faults.add(Fault.RESET_AFTER_APPLYING, match=pairs[1][0])
    shell("detach pairs.csv --journal run.db")
    said = shell("attach --undo run.db").err
    assert "2 attached" in said
    assert f"left out: {pairs[1][0]},{pairs[1][1]}\n1 pair left out: only a check" in said
    assert [simulator.workspace.attached(*pair) for pair in pairs] == [True, False, True]
    said = shell("attach --undo run.db --with-inferred").err
    assert "1 attached" in said
    assert "left out" not in said
    assert simulator.workspace.attached(*pairs[1])


def test_an_undo_lists_a_hundred_of_what_it_leaves_out_and_counts_the_rest(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    write(
        Path("run.db"), [pair(number, inferred=True) for number in range(150)],
        base_url=simulator.url, workspaces=[("", "simulator", None)],
    )  # fmt: skip
    said = shell("attach --undo run.db").err
    assert said.count("left out: ") == 101
    assert "150 pairs left out: only a check" in said


def test_an_undo_that_was_cut_off_goes_on_with_its_own_journal(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs = pairs_of(simulator, 3)
    admin = simulator.workspace.add_admin()
    shell(f"detach pairs.csv --journal run.db --admin-id {admin}")
    cut_off(Path("run.undo.db"), simulator.url, ("undo", "run.db"), operation="attach")
    said = shell("attach run.undo.db").err
    assert "had not read run.db to its end; reading on" in said
    assert {row.admin_id for row in rows_in(Path("run.undo.db")).values()} == {admin}
    assert all(simulator.workspace.attached(*pair) for pair in pairs)


def test_a_journal_of_another_kind_or_address_is_refused_and_a_damaged_one(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs_of(simulator, 1)
    shell("detach pairs.csv --journal run.db")
    shell("attach --undo run.db")
    for line, said in (
        ("attach run.db", "is that of `detach`; `attach --undo` puts back what"),
        ("attach --undo run.undo.db", "the journal of a detach"),
        ("attach --undo run.db --region eu", simulator.url),
        ("detach run.db --dry-run", "SOURCE must be an input in a dry run"),
    ):
        assert said in shell(line, 2).err
    os.truncate(JOURNAL, 5000)
    assert "the journal run.db is damaged" in shell("detach run.db", 2).err


def test_found_pairs_can_be_piped_into_a_detach(
    shell: Shell, simulator: IntercomSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = simulator.workspace
    contact = workspace.add_contact(email="a@b.example", external_id="70")
    others = [workspace.add_contact() for _ in range(200)]
    groups = [workspace.add_conversation([contact, other]) for other in others]
    workspace.add_conversation([contact])
    pairs = [f"{conversation},{contact}" for conversation in groups]
    found = shell("find --email a@b.example").out
    assert found.splitlines() == ["conversation_id,contact_id", *pairs]
    lines = shell(f"find --contact {contact} --json").out
    assert [json.loads(line)["conversation_id"] for line in lines.splitlines()] == groups
    PAIRS.write_text(lines, encoding="utf-8")
    with PAIRS.open(encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        shell("detach -")
    nothing = shell("find --external-id 70")
    assert nothing.out == "conversation_id,contact_id\n"
    assert "1 conversation without another contact, left alone" in nothing.err
    assert "not found: nobody@b.example" in shell("find --email nobody@b.example", 1).err
