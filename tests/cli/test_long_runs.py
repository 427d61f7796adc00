"""Journals, undo, dry runs and find, as a person meets them on the command line."""

import json
import sys
from pathlib import Path

import pytest

from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Command, press_ctrl_c, write_csv


@pytest.fixture
def base(simulator: IntercomSimulator) -> tuple[str, ...]:
    return ("--admin-id", simulator.admin_id, "--base-url", simulator.url, "--quiet")


class TestJournal:
    def test_an_interrupted_run_goes_on_where_it_was(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=600)
        source = write_csv(tmp_path / "pairs.csv", pairs)
        journal = tmp_path / "run.db"
        detach = ("detach", source, *base, "--journal", journal, "--concurrency", 2)
        presser = press_ctrl_c(lambda: simulator.applied.total() >= 50)
        ended = command(*detach)
        presser.join()
        assert ended.status == 4
        assert f"to go on:\n  intercom-async detach {source}" in ended.err
        done = simulator.applied.total()
        assert 50 <= done < 600
        ended = command(*detach, "--json")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert summary["settled_before"] == done
        assert summary["total"] == 600 - done
        assert all(simulator.applied[pair] == 1 for pair in pairs)
        assert journal.stat().st_mode & 0o777 == 0o600

    def test_a_failed_pair_is_told_with_its_cause_and_its_journal_is_a_source_of_it(
        self,
        command: Command,
        simulator: IntercomSimulator,
        base: tuple[str, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("intercom_async.detaching.LOOKS", (0.0,))  # it looks for 3 s otherwise
        pairs = simulator.workspace.populate(conversations=6)
        source, journal = tmp_path / "pairs.jsonl", tmp_path / "run.db"
        lines = [json.dumps([*pair]) for pair in pairs[1:]]
        lines += [json.dumps([*pairs[0], "777"])]
        source.write_text("\n".join(lines), encoding="utf-8")
        fault = simulator.faults.add(
            Fault.SERVER_ERROR, match=pairs[0][0], method="DELETE", probability=1.0
        )
        simulator.workspace.add_admin(admin_id="777")
        ended = command("detach", source, *base, "--journal", journal)
        assert ended.status == 1
        assert f"(for example {','.join(pairs[0])})" in ended.err
        assert "  1 failed: HTTP 500" in ended.err
        assert "1 pair failed at first and tried again at the end" in ended.err
        simulator.faults.remove(fault)
        ended = command("detach", journal, "--base-url", simulator.url, "--json", "--quiet")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert (summary["outcomes"]["detached"], summary["total"]) == (1, 1)
        assert not simulator.workspace.attached(*pairs[0])

    def test_a_run_that_stopped_reading_its_file_reads_on_in_it(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=1500)
        source, journal = write_csv(tmp_path / "pairs.csv", pairs), tmp_path / "run.db"
        presser = press_ctrl_c(lambda: simulator.applied.total() >= 10)
        detach = ("detach", source, *base, "--journal", journal, "--concurrency", 1)
        assert command(*detach).status == 4
        presser.join()
        ended = command("detach", journal, *base)
        assert ended.status == 0
        assert f"had not read {source} to its end" in ended.err
        assert simulator.applied == dict.fromkeys(pairs, 1)
        again = command("detach", journal, *base, "--json")
        assert (again.status, json.loads(again.out)["total"]) == (0, 0)

    def test_an_input_whose_rest_cannot_be_had_is_told_and_ends_in_status_1(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=1500)
        source, journal = write_csv(tmp_path / "pairs.csv", pairs), tmp_path / "run.db"
        presser = press_ctrl_c(lambda: simulator.applied.total() >= 10)
        detach = ("detach", source, *base, "--journal", journal, "--concurrency", 1)
        assert command(*detach).status == 4
        presser.join()
        moved = source.rename(tmp_path / "moved.csv")
        ended = command("detach", journal, *base, "--json")
        assert ended.status == 1
        assert "was not read to its end; for the rest, run: detach INPUT" in ended.err
        assert json.loads(ended.out)["outcomes"]["not_attempted"] == 0
        assert 10 < simulator.applied.total() < 1500
        assert command("detach", moved, *base, "--journal", journal).status == 0
        assert command("detach", journal, *base).status == 0

    def test_the_rest_of_a_limited_run_is_not_read(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        source = write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=9))
        journal = tmp_path / "run.db"
        assert command("detach", source, *base, "--journal", journal, "--limit", 4).status == 0
        ended = command("detach", journal, *base)
        assert ended.status == 0
        assert ended.err == "there was nothing to do\n"
        assert simulator.applied.total() == 4

    def test_the_journal_of_another_operation_is_no_source(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        source = write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=1))
        journal = tmp_path / "run.db"
        assert command("detach", source, *base, "--journal", journal).status == 0
        ended = command("attach", journal, *base)
        assert ended.status == 2
        assert "is the journal of a detach; `attach --undo` puts back what" in ended.err

    def test_a_journal_that_cannot_be_made_ends_the_run_before_it_began(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        source = write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=2))
        ended = command("detach", source, *base, "--journal", tmp_path / "no" / "run.db")
        assert ended.status == 2
        assert "no/run.db" in ended.err
        assert simulator.applied.total() == 0

    def test_results_are_added_to_when_a_run_goes_on_and_replaced_by_a_new_one(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=6)
        source, journal = tmp_path / "pairs.csv", tmp_path / "run.db"
        output = tmp_path / "results.jsonl"
        detach = ("detach", source, *base, "--output", output)
        write_csv(source, pairs[:2])
        assert command(*detach, "--journal", journal).status == 0
        with output.open("a", encoding="utf-8") as file:
            file.write('{"conversation_id":"half a line of a run that was killed')
        write_csv(source, pairs)
        ended = command(*detach, "--journal", journal)
        assert f"adding to the results in {output}" in ended.err
        assert _conversations(output) == [pair[0] for pair in pairs]
        write_csv(source, pairs[:1])
        assert command(*detach).status == 0
        assert _conversations(output) == [pairs[0][0]]


def _conversations(output: Path) -> list[str]:
    lines = output.read_text(encoding="utf-8").splitlines()
    return sorted(json.loads(line)["conversation_id"] for line in lines)


class TestUndo:
    def test_an_undo_puts_back_what_a_run_removed(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=30)
        source = write_csv(tmp_path / "pairs.csv", [*pairs, pairs[0], ("no-such", "x")])
        journal = tmp_path / "run.db"
        assert command("detach", source, *base, "--journal", journal).status == 0
        undo = ("attach", "--undo", journal, "--base-url", simulator.url, "--quiet")
        ended = command(*undo, "--json", "--journal", tmp_path / "undo.db")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert (summary["outcomes"]["attached"], summary["total"]) == (30, 30)
        assert all(simulator.workspace.attached(*pair) for pair in pairs)

    def test_what_was_only_inferred_is_listed_and_left_out_unless_asked_for(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=3)
        source = write_csv(tmp_path / "pairs.csv", pairs)
        journal = tmp_path / "run.db"
        simulator.faults.add(Fault.RESET_AFTER_APPLYING, match=pairs[1][0])
        assert command("detach", source, *base, "--journal", journal).status == 0
        undo = ("attach", "--undo", journal, "--base-url", simulator.url, "--quiet")
        ended = command(*undo)
        assert ended.status == 0
        assert f"  {pairs[1][0]},{pairs[1][1]}" in ended.err
        assert [simulator.workspace.attached(*pair) for pair in pairs] == [True, False, True]
        assert command(*undo, "--with-inferred").status == 0
        assert all(simulator.workspace.attached(*pair) for pair in pairs)

    def test_an_undo_refuses_the_journal_of_another_address_and_of_an_attach(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=1)
        source = write_csv(tmp_path / "pairs.csv", pairs)
        journal, second = tmp_path / "run.db", tmp_path / "undo.db"
        assert command("detach", source, *base, "--journal", journal).status == 0
        ended = command("attach", "--undo", journal, "--region", "eu")
        assert ended.status == 2
        assert simulator.url in ended.err
        assert command("attach", "--undo", journal, *base, "--journal", second).status == 0
        ended = command("attach", "--undo", second, *base)
        assert ended.status == 2
        assert "the journal of a detach" in ended.err

    @pytest.mark.parametrize("arguments", [(), ("pairs.csv", "--undo", "run.db")])
    def test_attach_wants_a_source_or_an_undo(
        self, command: Command, base: tuple[str, ...], arguments: tuple[str, ...]
    ) -> None:
        ended = command("attach", *arguments, *base)
        assert ended.status == 2
        assert "SOURCE" in ended.err


class TestDryRun:
    def test_a_dry_run_says_what_would_be_and_changes_nothing(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=5)
        source = write_csv(tmp_path / "pairs.csv", [*pairs, ("no-such", "x")])
        ended = command("detach", source, *base, "--dry-run")
        assert ended.status == 0
        assert "nothing was changed" in ended.err
        assert "5 would be detached" in ended.err
        assert simulator.applied.total() == 0


class TestFind:
    def test_found_pairs_can_be_piped_into_a_detach(
        self,
        command: Command,
        simulator: IntercomSimulator,
        base: tuple[str, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        workspace = simulator.workspace
        contact = workspace.add_contact(email="a@b.example", external_id="70")
        others = [workspace.add_contact() for _ in range(200)]
        groups = [workspace.add_conversation([contact, other]) for other in others]
        alone = workspace.add_conversation([contact])
        found = command("find", "--email", "a@b.example", "--base-url", simulator.url)
        assert found.status == 0
        assert found.out.splitlines() == [
            "conversation_id,contact_id",
            *(f"{conversation},{contact}" for conversation in groups),
        ]
        source = tmp_path / "found.csv"
        source.write_text(found.out, encoding="utf-8")
        with source.open(encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert command("detach", "-", *base).status == 0
        again = command("find", "--contact", contact, "--base-url", simulator.url)
        assert again.out == "conversation_id,contact_id\n"
        every = command("find", "--external-id", "70", "--all", "--base-url", simulator.url)
        assert every.out.splitlines()[1:] == [f"{alone},{contact}"]

    def test_nobody_found_ends_in_status_1(
        self, command: Command, simulator: IntercomSimulator
    ) -> None:
        ended = command("find", "--email", "nobody@b.example", "--base-url", simulator.url)
        assert ended.status == 1
        assert "not found: nobody@b.example" in ended.err

    @pytest.mark.parametrize("given", [(), ("--contact", "1", "--email", "a@b.example")])
    def test_find_wants_exactly_one_thing_to_look_for(
        self, command: Command, simulator: IntercomSimulator, given: tuple[str, ...]
    ) -> None:
        ended = command("find", *given, "--base-url", simulator.url)
        assert ended.status == 2
        assert "exactly one" in ended.err
