"""Journals, undo, dry runs and find, as a person meets them on the command line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intercom_async import IntercomClient, Journal, Source
from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Command, Ended, press_ctrl_c, write_csv
from tests.cli.journals import session, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "pairs.csv"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


_PAIRS = 600


def interrupt(
    command: Command, simulator: IntercomSimulator, source: Path, journal: Path
) -> tuple[list[tuple[str, str]], Ended]:
    """Press Ctrl-C in the middle of a run; return all its pairs, and how it ended."""
    pairs = simulator.workspace.populate(conversations=_PAIRS)
    write_csv(source, pairs)
    simulator.faults.add(Fault.LATENCY, method="DELETE", probability=1.0, seconds=0.02)
    presser = press_ctrl_c(lambda: simulator.applied.total() >= 3)
    ended = command("detach", source, "--journal", journal, "--concurrency", 1, "--json")
    presser.join()
    simulator.faults.clear()
    assert ended.status == 4
    assert 3 <= simulator.applied.total() < _PAIRS
    return pairs, ended


class TestJournal:
    def test_an_interrupted_run_goes_on_where_it_was(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs, ended = interrupt(command, simulator, source, journal)
        assert "requests in flight finish; press Ctrl-C again to stop at once" in ended.err
        assert f"to go on:\n  intercom-async detach {source}" in ended.err
        outcomes, done = json.loads(ended.out)["outcomes"], simulator.applied.total()
        assert (outcomes["unknown"], outcomes["detached"]) == (0, done)
        ended = command("detach", source, "--journal", journal, "--json")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert (summary["settled_before"], summary["total"]) == (done, _PAIRS - done)
        assert simulator.applied == dict.fromkeys(pairs, 1)

    def test_inputs_that_were_not_read_to_their_ends_are_read_one_by_one(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=6)
        other = source.with_name("other.csv")

        async def first_of(read: list[tuple[str, str]]) -> AsyncIterator[tuple[str, str]]:
            yield read[0]
            await asyncio.Event().wait()

        async def read_one_of(file: Path, read: list[tuple[str, str]]) -> None:
            kept = Journal(journal, source=Source(kind="file", name=str(file)))
            async with (
                IntercomClient("token", base_url=simulator.url) as client,
                client.detach_contacts(
                    first_of(read), admin_id=simulator.admin_id, journal=kept
                ) as run,
            ):
                await anext(aiter(run))

        for file, read in ((source, pairs[:3]), (other, pairs[3:])):
            write_csv(file, read)
            asyncio.run(read_one_of(file, read))
        ended = command("detach", journal)
        assert f"had not read {other} to its end; reading on" in ended.err
        assert f"an input ({source}) was not read to its end; for the rest" in ended.err
        assert ended.status == 1
        assert command("detach", journal).status == 0
        assert simulator.applied == dict.fromkeys(pairs, 1)

    def test_an_unread_input_does_not_hide_that_its_journal_belongs_elsewhere(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        interrupt(command, simulator, source, journal)
        ended = command("detach", journal, "--base-url", "http://127.0.0.1:9")
        assert ended.status == 2
        assert f"the journal {journal} belongs to a run with base_url" in ended.err

    def test_an_input_that_was_moved_is_told_and_read_where_it_is(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs, _ = interrupt(command, simulator, source, journal)
        moved = source.rename(source.with_name("moved.csv"))
        ended = command("detach", journal, "--json")
        assert ended.status == 1
        assert "to its end; for the rest, run: intercom-async detach INPUT" in ended.err
        assert json.loads(ended.out)["outcomes"]["not_attempted"] == 0
        assert simulator.applied.total() < _PAIRS
        assert command("report", journal).status == 1
        assert command("detach", moved, "--journal", journal).status == 0
        assert simulator.applied == dict.fromkeys(pairs, 1)
        assert command("detach", journal).status == 0
        assert command("report", journal).status == 0

    def test_a_run_that_stopped_reading_its_file_reads_on_in_it_even_after_another_input(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs, _ = interrupt(command, simulator, source, journal)
        other = write_csv(source.with_name("other.csv"), [("999999999", "0" * 24)])
        assert command("detach", other, "--journal", journal).status == 0
        assert command("report", journal).status == 1
        ended = command("detach", journal)
        assert ended.status == 0
        assert f"had not read {source} to its end" in ended.err
        assert simulator.applied == dict.fromkeys(pairs, 1)
        again = command("detach", journal, "--json")
        assert (again.status, json.loads(again.out)["total"]) == (0, 0)

    def test_a_failed_pair_is_told_with_its_cause_and_its_journal_is_a_source_of_it(
        self,
        command: Command,
        simulator: IntercomSimulator,
        source: Path,
        journal: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("intercom_async.detaching.LOOKS", (0.0,))  # it looks for 3 s otherwise
        pairs = simulator.workspace.populate(conversations=6)
        simulator.workspace.add_admin(admin_id="777")
        lines = [json.dumps(pair) for pair in [*pairs[1:], (*pairs[0], "777")]]
        source.write_text("\n".join(lines), encoding="utf-8")
        fault = simulator.faults.add(
            Fault.SERVER_ERROR, match=pairs[0][0], method="DELETE", probability=1.0
        )
        ended = command("detach", source, "--admin-id", simulator.admin_id, "--journal", journal)
        assert ended.status == 1
        assert f"(for example {','.join(pairs[0])})" in ended.err
        assert "  1 failed: HTTP 500" in ended.err
        assert "1 pair failed at first and tried again at the end" in ended.err
        simulator.faults.remove(fault)
        ended = command("detach", journal, "--json")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert (summary["outcomes"]["detached"], summary["total"]) == (1, 1)
        assert not simulator.workspace.attached(*pairs[0])

    def test_the_rest_of_a_limited_run_is_not_read(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        write_csv(source, simulator.workspace.populate(conversations=9))
        assert command("detach", source, "--journal", journal, "--limit", 4).status == 0
        ended = command("detach", journal)
        assert (ended.status, ended.err) == (0, "there was nothing to do\n")
        assert simulator.applied.total() == 4

    def test_the_journal_of_another_operation_is_no_source(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        write_csv(source, simulator.workspace.populate(conversations=1))
        assert command("detach", source, "--journal", journal).status == 0
        ended = command("attach", journal)
        assert ended.status == 2
        assert "is one of `detach`; `attach --undo` puts back what" in ended.err

    def test_results_are_added_to_when_a_run_goes_on_and_replaced_by_a_new_one(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=6)
        output = source.with_name("results.jsonl")
        detach = ("detach", source, "--output", output)
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
    def test_an_undo_puts_back_what_a_run_removed_but_what_was_inferred_only_if_asked_for(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=3)
        write_csv(source, [*pairs, pairs[0], ("no-such", "x")])
        simulator.faults.add(Fault.RESET_AFTER_APPLYING, match=pairs[1][0])
        assert command("detach", source, "--journal", journal).status == 0
        ended = command("attach", "--undo", journal)
        assert ended.status == 0
        assert "2 attached" in ended.err
        assert f"left out: {pairs[1][0]},{pairs[1][1]}\n1 pair left out: only a check" in ended.err
        assert [simulator.workspace.attached(*pair) for pair in pairs] == [True, False, True]

    def test_an_undo_that_was_cut_off_goes_on_with_its_own_journal(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=3)
        write_csv(source, pairs)
        assert command("detach", source, "--journal", journal).status == 0
        cut = session(read=False, source_kind="undo", source_name=str(journal))
        undo = write(
            journal.with_name("run.undo.db"), [], [cut], operation="attach",
            base_url=simulator.url, workspaces=[("", "simulator", None)],
        )  # fmt: skip
        ended = command("attach", undo)
        assert ended.status == 0
        assert f"had not read {journal} to its end; reading on" in ended.err
        assert all(simulator.workspace.attached(*pair) for pair in pairs)

    def test_an_undo_refuses_the_journal_of_another_address_and_of_an_attach(
        self, command: Command, simulator: IntercomSimulator, source: Path, journal: Path
    ) -> None:
        write_csv(source, simulator.workspace.populate(conversations=1))
        assert command("detach", source, "--journal", journal).status == 0
        ended = command("attach", "--undo", journal, "--region", "eu")
        assert ended.status == 2
        assert simulator.url in ended.err
        assert command("attach", "--undo", journal).status == 0
        ended = command("attach", "--undo", journal.with_name("run.undo.db"))
        assert ended.status == 2
        assert "the journal of a detach" in ended.err


def test_a_dry_run_says_what_would_be_and_changes_nothing(
    command: Command, simulator: IntercomSimulator, source: Path, journal: Path
) -> None:
    write_csv(source, [*simulator.workspace.populate(conversations=5), ("no-such", "x")])
    ended = command("detach", source, "--dry-run")
    assert ended.status == 0
    assert "nothing was changed" in ended.err
    assert "5 would be detached" in ended.err
    assert simulator.applied.total() == 0
    command("detach", source, "--journal", journal)
    ended = command("detach", journal, "--dry-run")
    assert ended.status == 2
    assert "SOURCE must be an input in a dry run" in ended.err


def test_a_damaged_journal_is_not_read_as_text(
    command: Command, simulator: IntercomSimulator, source: Path, journal: Path
) -> None:
    write_csv(source, simulator.workspace.populate(conversations=1))
    command("detach", source, "--journal", journal)
    os.truncate(journal, 5000)
    ended = command("detach", journal)
    assert ended.status == 2
    assert f"the journal {journal} is damaged" in ended.err


class TestFind:
    def test_found_pairs_can_be_piped_into_a_detach(
        self,
        command: Command,
        simulator: IntercomSimulator,
        source: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        workspace = simulator.workspace
        contact = workspace.add_contact(email="a@b.example", external_id="70")
        others = [workspace.add_contact() for _ in range(200)]
        groups = [workspace.add_conversation([contact, other]) for other in others]
        workspace.add_conversation([contact])
        found = command("find", "--email", "a@b.example")
        assert found.status == 0
        pairs = [f"{conversation},{contact}" for conversation in groups]
        assert found.out.splitlines() == ["conversation_id,contact_id", *pairs]
        lines = command("find", "--contact", contact, "--json").out
        assert [json.loads(line)["conversation_id"] for line in lines.splitlines()] == groups
        source.write_text(lines, encoding="utf-8")
        with source.open(encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert command("detach", "-").status == 0
        nothing = command("find", "--external-id", "70")
        assert nothing.out == "conversation_id,contact_id\n"
        assert "1 conversation without another contact, left alone" in nothing.err

    def test_a_list_that_is_not_complete_does_not_pass_for_one(
        self, command: Command, simulator: IntercomSimulator, source: Path
    ) -> None:
        contact, other = (simulator.workspace.add_contact() for _ in range(2))
        simulator.workspace.add_conversation([contact, other])
        fault = simulator.faults.add(Fault.UNAUTHORIZED, match=lambda _, path: "search" in path)
        source.write_text(command("find", "--contact", contact).out, encoding="utf-8")
        simulator.faults.remove(fault)
        ended = command("detach", source, "--json")
        assert (ended.status, json.loads(ended.out)["bad_lines"]) == (1, 1)

    @pytest.mark.usefixtures("simulator")
    def test_nobody_found_ends_in_status_1(self, command: Command) -> None:
        ended = command("find", "--email", "nobody@b.example")
        assert ended.status == 1
        assert "not found: nobody@b.example" in ended.err
