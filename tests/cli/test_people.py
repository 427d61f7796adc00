"""Lists of people on the command line: detached, found, killed, and said of."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Shell, serving, wait_until, write_csv
from tests.cli.journals import cut_off
from tests.cli.test_endings import process
from tests.support.people import addresses, town

PEOPLE, JOURNAL = Path("people.csv"), Path("run.db")


def list_people(*lines: str) -> None:
    PEOPLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_people_are_looked_up_and_detached_and_counted_beside_their_pairs(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    pairs = town(simulator, 20, conversations=3)
    simulator.workspace.add_contact(email="p1@x.example")
    list_people("Name;Mail", *(f"n;{one}" for one in [*addresses(20), "x"]))
    detach = "detach --people people.csv --columns email=Mail"
    said = shell(f"{detach} --dry-run", 1).err
    assert "nothing was changed" in said
    assert "60 would be detached" in said
    assert simulator.applied.total() == 0
    said = shell(f"{detach} --journal run.db --one-per-address", 1).err
    for line in (
        "57 detached",
        "21 people: 19 done, 1 not found, 1 ambiguous; 21 contacts",
        "ambiguous: p1@x.example: c1, ",
        "not found: x",
        "a contact without an e-mail address cannot be attached again",
        "own bulk delete of contacts (in the API's Preview",
    ):
        assert line in said
    assert {pair for pair in pairs if simulator.workspace.attached(*pair)} == {
        pair for pair in pairs if pair[1] == "c1"
    }
    with closing(sqlite3.connect(JOURNAL)) as journal:
        counted = "SELECT state, count(*), sum(pairs), sum(unsettled) FROM people GROUP BY state"
        assert journal.execute(counted).fetchall() == [
            ("ambiguous", 1, 0, 0),
            ("done", 19, 57, 0),
            ("not_found", 1, 0, 0),
        ]


def test_a_run_that_is_killed_twice_goes_on_and_every_count_agrees(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(latency=0.005, in_refused=["contact_ids"], keep_log=True) as simulator:
        pairs = town(simulator, 40, conversations=10)
        list_people(*addresses(40))
        monkeypatch.setenv("INTERCOM_BASE_URL", simulator.url)

        def kill_once(detached: int) -> None:
            with process("detach --people people.csv --journal run.db -q") as running:
                wait_until(lambda: simulator.applied.total() >= detached)
                running.kill()
                assert running.wait() == -signal.SIGKILL

        kill_once(50)
        kill_once(200)
        summary = json.loads(shell("detach run.db --json --quiet").out)
        assert summary["people"]["states"] == {"done": 40}
        assert summary["total"] + summary["settled_before"] == len(pairs)
        assert simulator.applied == dict.fromkeys(pairs, 1)
        report = json.loads(shell("report run.db --json").out)
        assert (report["complete"], report["people"]) == (True, {"done": 40})
        assert report["states"] == {"detached": len(pairs)}
        log = simulator.requests.log or ()
        searched = [one for one in log if one.segments == ("conversations", "search")]
        # Once each, but for what was under way.
        assert 40 <= len(searched) <= 40 + 8 * 3 + 8 * 2


def test_a_journal_goes_on_by_the_rules_that_its_people_were_looked_up_by(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    town(simulator, 1, conversations=1)
    simulator.workspace.add_contact(email="p0@x.example")
    list_people("p0@x.example")
    shell("detach --people people.csv --one-per-address --journal run.db", 1)
    with closing(sqlite3.connect(JOURNAL, isolation_level=None)) as table:
        table.execute("UPDATE person SET state = 'pending'")
    assert "1 person: 1 ambiguous" in shell("detach run.db", 1).err
    assert simulator.applied.total() == 0


def test_people_whose_pipe_was_cut_off_are_asked_for_as_people(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    cut_off(JOURNAL, simulator.url, ("standard input of people", None))
    again = "for the rest, run: intercom-async detach --people INPUT --journal run.db"
    assert again in shell("detach run.db", 1).err


def test_people_without_a_group_are_no_empty_input(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    simulator.workspace.add_contact(email="p0@x.example")
    list_people("p0@x.example")
    shell("detach --people people.csv --journal run.db")
    out = shell("report run.db").out
    assert out.startswith("None of the people is in a group conversation.")


def test_when_many_are_absent_it_is_written_how_many_nobody_knows(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    ((conversation, _),) = town(simulator, 1, conversations=1)
    known = [(conversation, simulator.workspace.add_contact()) for _ in range(4)]
    unknown = [(conversation, f"{number:024x}") for number in range(16)]
    write_csv(Path("pairs.csv"), known + unknown)
    said = shell("detach pairs.csv").err
    assert "16 of 20 contacts that were not in their conversations are unknown" in said
    summary = json.loads(shell("detach pairs.csv --json").out)
    assert summary["absent_contacts"] == {"asked": 20, "unknown": 16}


def test_a_list_of_people_gives_their_pairs(shell: Shell, simulator: IntercomSimulator) -> None:
    pairs = town(simulator, 20, conversations=2)
    list_people("email", *addresses(20), "#N/A")
    ended = shell("find --from people.csv", 1)
    assert "line 22: email must be an id; '#N/A' looks like" in ended.err
    assert {*ended.out.splitlines()} == {"conversation_id,contact_id", *map(",".join, pairs)}
    assert simulator.applied.total() == 0


def test_a_list_that_is_not_complete_does_not_pass_for_one(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    town(simulator, 1, conversations=1)
    list_people("p0@x.example")
    for fault, answer, status in ((Fault.UNAUTHORIZED, 401, 3), (Fault.HTML_ERROR, 302, 1)):
        order = simulator.faults.add(
            fault, status=answer, probability=1.0, match=lambda _, path: path.endswith("/search")
        )
        ended = shell("find --from people.csv", status)
        assert ended.out.endswith("find failed: this list is not complete\n")
        simulator.faults.remove(order)
    assert "failed: p0@x.example: HTTP 30" in ended.err
    Path("pairs.csv").write_text(ended.out, encoding="utf-8")
    assert json.loads(shell("detach pairs.csv --json", 1).out)["bad_lines"] == 1
