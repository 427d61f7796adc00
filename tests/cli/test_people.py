"""Lists of people on the command line: detached, found, killed, and said of."""

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Command, serving, write_csv
from tests.cli.journals import session
from tests.cli.journals import write as write_journal
from tests.cli.test_endings import COMMAND, process
from tests.support.people import addresses, town


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class TestDetach:
    def test_people_are_looked_up_and_detached_and_counted_beside_their_pairs(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        pairs = town(simulator, 20, conversations=3)
        simulator.workspace.add_contact(email="p1@x.example")
        rows = [f"n;{one}" for one in [*addresses(20), "x"]]
        source = write(tmp_path / "people.csv", "Name;Mail", *rows)
        detach = ("detach", "--people", source, "--columns", "email=Mail")
        ended = command(*detach, "--dry-run")
        assert "60 would be detached" in ended.err
        assert simulator.applied.total() == 0
        ended = command(*detach, "--journal", tmp_path / "run.db", "--one-per-address")
        assert ended.status == 1
        assert "57 detached" in ended.err
        assert "21 people: 19 done, 1 not found, 1 ambiguous; 21 contacts" in ended.err
        assert "ambiguous: p1@x.example: c1, " in ended.err
        assert "not found: x" in ended.err
        assert "a contact without an e-mail address cannot be attached again" in ended.err
        assert "own bulk delete of contacts (in the API's Preview" in ended.err
        assert {pair for pair in pairs if simulator.workspace.attached(*pair)} == {
            pair for pair in pairs if pair[1] == "c1"
        }
        with closing(sqlite3.connect(tmp_path / "run.db")) as journal:
            said = "SELECT state, count(*), sum(pairs), sum(unsettled) FROM people GROUP BY state"
            assert journal.execute(said).fetchall() == [
                ("ambiguous", 1, 0, 0),
                ("done", 19, 57, 0),
                ("not_found", 1, 0, 0),
            ]

    def test_a_run_that_is_killed_twice_goes_on_and_every_count_agrees(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(latency=0.005, in_refused=["contact_ids"], keep_log=True) as simulator:
            pairs = town(simulator, 40, conversations=10)
            source = write(tmp_path / "people.csv", *addresses(40))
            monkeypatch.setenv("INTERCOM_ACCESS_TOKEN", "token")
            monkeypatch.setenv("INTERCOM_BASE_URL", simulator.url)
            journal = tmp_path / "run.db"
            run = [*COMMAND, "detach", "--people", source, "--journal", journal, "-q"]
            for detached in (50, 200):
                with process(run) as running:
                    while simulator.applied.total() < detached and running.poll() is None:
                        time.sleep(0.002)
                    running.kill()
                    assert running.wait() == -signal.SIGKILL
            with process([*COMMAND, "detach", journal, "--json", "--quiet"]) as running:
                document = json.loads(running.communicate(timeout=60)[0])
            assert running.returncode == 0
            assert document["people"]["states"] == {"done": 40}
            assert document["total"] + document["settled_before"] == len(pairs)
            assert simulator.applied == dict.fromkeys(pairs, 1)
            with process([*COMMAND, "report", journal, "--json"]) as running:
                report = json.loads(running.communicate(timeout=60)[0])
            assert (report["complete"], report["people"]) == (True, {"done": 40})
            assert report["states"] == {"detached": len(pairs)}
            log = simulator.requests.log or ()
            searched = [one for one in log if one.segments == ("conversations", "search")]
            # Once each, but for what was under way.
            assert 40 <= len(searched) <= 40 + 8 * 3 + 8 * 2

    def test_a_journal_goes_on_by_the_rules_that_its_people_were_looked_up_by(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        town(simulator, 1, conversations=1)
        simulator.workspace.add_contact(email="p0@x.example")
        source, journal = write(tmp_path / "people.csv", "p0@x.example"), tmp_path / "run.db"
        command("detach", "--people", source, "--one-per-address", "--journal", journal)
        with closing(sqlite3.connect(journal, isolation_level=None)) as table:
            table.execute("UPDATE person SET state = 'pending'")
        ended = command("detach", journal)
        assert "1 person: 1 ambiguous" in ended.err
        assert simulator.applied.total() == 0

    def test_people_whose_pipe_was_cut_off_are_asked_for_as_people(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        cut = session(read=False, source_kind="standard input of people", source_name=None)
        journal = write_journal(
            tmp_path / "run.db", [], [cut],
            base_url=simulator.url, workspaces=[("", "simulator", None)],
        )  # fmt: skip
        ended = command("detach", journal)
        assert ended.status == 1
        again = f"intercom-async detach --people INPUT --journal {journal}"
        assert f"for the rest, run: {again}" in ended.err

    def test_people_without_a_group_are_no_empty_input(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        simulator.workspace.add_contact(email="p0@x.example")
        source, journal = write(tmp_path / "people.csv", "p0@x.example"), tmp_path / "run.db"
        assert command("detach", "--people", source, "--journal", journal).status == 0
        ended = command("report", journal)
        assert ended.status == 0
        assert ended.out.startswith("None of the people is in a group conversation.")

    def test_when_many_are_absent_it_is_written_how_many_nobody_knows(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        pairs = town(simulator, 20, conversations=1)
        (conversation, _), *_ = pairs
        known = [(conversation, simulator.workspace.add_contact()) for _ in range(4)]
        unknown = [(conversation, f"{number:024x}") for number in range(16)]
        source = write_csv(tmp_path / "pairs.csv", known + unknown)
        ended = command("detach", source)
        assert "16 of 20 contacts that were not in their conversations are unknown" in ended.err
        ended = command("detach", source, "--json")
        assert json.loads(ended.out)["absent_contacts"] == {"asked": 20, "unknown": 16}


class TestFind:
    def test_a_list_of_people_gives_their_pairs(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        pairs = town(simulator, 20, conversations=2)
        source = write(tmp_path / "people.csv", "email", *addresses(20), "#N/A")
        ended = command("find", "--from", source)
        assert ended.status == 1
        assert "line 22: email must be an id; '#N/A' looks like" in ended.err
        assert {*ended.out.splitlines()} == {"conversation_id,contact_id", *map(",".join, pairs)}
        assert simulator.applied.total() == 0

    def test_a_list_that_is_not_complete_is_no_input(
        self, command: Command, simulator: IntercomSimulator, tmp_path: Path
    ) -> None:
        town(simulator, 1, conversations=1)
        simulator.faults.add(
            Fault.HTML_ERROR,
            status=302,
            match=lambda _, path: path.endswith("/search"),
            probability=1.0,
        )
        ended = command("find", "--from", write(tmp_path / "people.csv", "p0@x.example"))
        assert ended.status == 1
        assert ended.out.endswith("find failed: this list is not complete\n")
        assert "failed: p0@x.example: HTTP 30" in ended.err
