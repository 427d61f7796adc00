"""Journals, undo, dry runs and find, as a person meets them on the command line."""

import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Command, press_ctrl_c


def write_csv(path: Path, pairs: Iterable[tuple[str, str]]) -> Path:
    lines = ["conversation_id,contact_id", *(",".join(pair) for pair in pairs)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def base(simulator: IntercomSimulator) -> tuple[str, ...]:
    return ("--admin-id", simulator.admin_id, "--base-url", simulator.url, "--quiet")


class TestJournal:
    def test_an_interrupted_run_goes_on_where_it_was(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=600)
        source = write_csv(tmp_path / "pairs.csv", pairs)
        journal = tmp_path / "run.jsonl"
        detach = ("detach", source, *base, "--journal", journal, "--concurrency", 2)
        presser = press_ctrl_c(lambda: simulator.applied.total() >= 50)
        ended = command(*detach)
        presser.join()
        assert ended.status == 4
        assert f"the same command goes on from {journal}" in ended.err
        done = simulator.applied.total()
        assert 50 <= done < 600
        ended = command(*detach, "--json")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert summary["settled_before"] == done
        assert summary["total"] == 600 - done
        assert all(simulator.applied[pair] == 1 for pair in pairs)
        assert journal.stat().st_mode & 0o777 == 0o600

    def test_a_journal_is_a_source_of_what_it_left_unsettled(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=6)
        lines = [json.dumps([*pair]) for pair in pairs[2:]]
        lines += [json.dumps([*pairs[0], "777"]), json.dumps([*pairs[1], "778"])]
        source = tmp_path / "pairs.jsonl"
        source.write_text("\n".join(lines), encoding="utf-8")
        journal = tmp_path / "run.jsonl"
        assert command("detach", source, *base, "--journal", journal).status == 1
        simulator.workspace.add_admin(admin_id="777")
        ended = command("detach", journal, "--base-url", simulator.url, "--json", "--quiet")
        assert ended.status == 1
        outcomes = json.loads(ended.out)["outcomes"]
        assert (outcomes["detached"], outcomes["failed"]) == (1, 1)
        assert not simulator.workspace.attached(*pairs[0])

    def test_another_input_is_refused_in_words(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=4)
        journal = tmp_path / "run.jsonl"
        source = write_csv(tmp_path / "pairs.csv", pairs[:2])
        assert command("detach", source, *base, "--journal", journal).status == 0
        source = write_csv(tmp_path / "pairs.csv", pairs[2:])
        ended = command("detach", source, *base, "--journal", journal)
        assert ended.status == 2
        assert "the input has changed" in ended.err
        assert simulator.applied.total() == 2

    def test_a_file_that_is_no_journal_is_not_overwritten(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        source = write_csv(tmp_path / "pairs.csv", [("1", "2")])
        before = source.read_bytes()
        ended = command("detach", source, *base, "--journal", source)
        assert ended.status == 2
        assert "no journal" in ended.err
        assert source.read_bytes() == before

    def test_a_journal_that_cannot_be_made_ends_the_run_before_it_began(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        source = write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=2))
        ended = command("detach", source, *base, "--journal", tmp_path / "no" / "run.jsonl")
        assert ended.status == 3
        assert "cannot be opened" in ended.err
        assert simulator.applied.total() == 0


class TestUndo:
    def test_an_undo_puts_back_what_a_run_removed(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=30)
        source = write_csv(tmp_path / "pairs.csv", [*pairs, pairs[0], ("no-such", "x")])
        journal = tmp_path / "run.jsonl"
        assert command("detach", source, *base, "--journal", journal).status == 0
        undo = ("attach", "--undo", journal, "--base-url", simulator.url, "--quiet")
        ended = command(*undo, "--json", "--journal", tmp_path / "undo.jsonl")
        assert ended.status == 0
        summary = json.loads(ended.out)
        assert (summary["outcomes"]["attached"], summary["duplicates"]) == (31, 1)
        assert all(simulator.workspace.attached(*pair) for pair in pairs)

    def test_what_was_only_inferred_is_listed_and_left_out_unless_asked_for(
        self, command: Command, simulator: IntercomSimulator, base: tuple[str, ...], tmp_path: Path
    ) -> None:
        pairs = simulator.workspace.populate(conversations=3)
        source = write_csv(tmp_path / "pairs.csv", pairs)
        journal = tmp_path / "run.jsonl"
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
        journal, second = tmp_path / "run.jsonl", tmp_path / "undo.jsonl"
        assert command("detach", source, *base, "--journal", journal).status == 0
        ended = command("attach", "--undo", journal, "--region", "eu")
        assert ended.status == 2
        assert simulator.url in ended.err
        assert command("attach", "--undo", journal, *base, "--journal", second).status == 0
        ended = command("attach", "--undo", second, *base)
        assert ended.status == 2
        assert "the journal of a detach" in ended.err

    @pytest.mark.parametrize("arguments", [(), ("pairs.csv", "--undo", "run.jsonl")])
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
        assert "5 detached" in ended.err
        assert simulator.applied.total() == 0


class TestAsking:
    @pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 4)])
    def test_a_person_at_a_terminal_is_asked_first(
        self,
        command: Command,
        simulator: IntercomSimulator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        answer: str,
        status: int,
    ) -> None:
        source = write_csv(tmp_path / "pairs.csv", simulator.workspace.populate(conversations=2))
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        base = ("--admin-id", simulator.admin_id, "--base-url", simulator.url, "--quiet")
        ended = command("detach", source, *base)
        assert ended.status == status
        assert simulator.applied.total() == (2 if status == 0 else 0)


class TestFind:
    def test_found_pairs_can_be_piped_into_a_detach(
        self,
        command: Command,
        simulator: IntercomSimulator,
        base: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        workspace = simulator.workspace
        contact = workspace.add_contact(email="a@b.example", external_id="70")
        others = [workspace.add_contact() for _ in range(400)]
        groups = [workspace.add_conversation([contact, other]) for other in others]
        alone = workspace.add_conversation([contact])
        found = command("find", "--email", "a@b.example", "--base-url", simulator.url)
        assert found.status == 0
        assert found.out.splitlines() == [
            "conversation_id,contact_id",
            *(f"{conversation},{contact}" for conversation in groups),
        ]
        stdin = SimpleNamespace(buffer=io.BytesIO(found.out.encode()), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", stdin)
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
        assert "no contact found" in ended.err

    @pytest.mark.parametrize("given", [(), ("--contact", "1", "--email", "a@b.example")])
    def test_find_wants_exactly_one_thing_to_look_for(
        self, command: Command, simulator: IntercomSimulator, given: tuple[str, ...]
    ) -> None:
        ended = command("find", *given, "--base-url", simulator.url)
        assert ended.status == 2
        assert "exactly one" in ended.err
