"""The commands of runs that many machines share, on a real PostgreSQL."""

import contextlib
import json
import os
import secrets
from pathlib import Path

import pytest

from intercom_async.cli.jobs import DATABASE_VARIABLE
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Shell, press_ctrl_c
from tests.support.postgres_server import PostgresServer

TRIPLES, WORKSPACES = Path("triples.csv"), Path("workspaces.json")


@pytest.fixture(autouse=True)
def database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    url = postgres.create(secrets.token_hex(8))
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    return url


def test_a_run_is_submitted_worked_off_shown_reported_and_exported(
    shell: Shell, simulator: IntercomSimulator, database: str
) -> None:
    pairs = simulator.workspace.populate(conversations=10, contacts_per_conversation=3)
    lines = [f"acme,{conversation},{contact}" for conversation, contact in pairs]
    header = "workspace,conversation_id,contact_id"
    TRIPLES.write_text("\n".join([header, *lines, "acme,1,a", "nobody,1,a"]), encoding="utf-8")
    access = {"token": simulator.token, "base_url": simulator.url}
    WORKSPACES.write_text(json.dumps({"acme": access}), encoding="utf-8")

    submitted = shell("submit triples.csv --run cleanup-7 --prepare").out
    assert submitted == "22 pairs are new in the run cleanup-7\n"
    assert shell("submit triples.csv --run cleanup-7").out.startswith("0 pairs")
    shell("work --until-empty")
    shown = json.loads(shell("status --run cleanup-7").out)
    assert simulator.applied == dict.fromkeys(pairs, 1)
    states = {"detached": 20, "conversation_missing": 1, "pending": 1}
    assert shown["counts"] == states

    report = json.loads(shell(f"report {database} --run cleanup-7 --json", 1).out)
    assert (report["states"], report["pairs"], report["left"]) == (states, 22, 1)
    assert report["requests"] == simulator.requests.by_method["DELETE"]
    assert sum(column["pairs"] for column in report["timeline"]) == 21
    left = {one["workspace"]: one["left"] for one in report["workspaces"]}
    assert left == {"nobody": 1, "acme": 0}
    text = shell(f"report '{database}?run=cleanup-7'", 1).out
    assert "1 pair is not settled" in text
    assert text.endswith("\nTo go on:\n  intercom-async work\n")
    rest = shell(f"export {database} --run cleanup-7 --csv --state unsettled").out
    assert rest.splitlines()[1].startswith('"1","a",')


def test_what_cannot_be_used_is_named_without_a_token(shell: Shell) -> None:
    bad = Path("bad")
    bad.write_text("conversation_id,contact_id\n1,a\n", encoding="utf-8")
    said = shell("submit bad", 2).err
    assert "bad, line 1: the header lacks 'workspace'" in said
    assert "--columns" not in said
    bad.write_text("workspace;conversation_id;contact_id\nacme;1;a\nacme;1.3E+14;a\n", "utf-8")
    assert "bad, line 3: conversation_id must be an id" in shell("submit bad", 2).err
    bad.write_text('{"acme": {"token": "marked-token", "colour": "red"}}', encoding="utf-8")
    assert "marked-token" not in shell("work bad", 2).err


def test_ctrl_c_ends_a_submit_that_waits_for_a_silent_pipe(shell: Shell) -> None:
    os.mkfifo(TRIPLES)
    writing: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):  # nobody reads the pipe yet
            writing.append(os.open(TRIPLES, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writing)

    presser = press_ctrl_c(is_read)
    ended = shell("submit triples.csv --prepare", 4)
    presser.join()
    os.close(writing[0])
    assert ended.err == "interrupted\n"


@pytest.mark.parametrize("line", ["submit -", "work workspaces.json", "status"])
def test_an_address_that_cannot_be_read_is_refused_at_once_and_not_shown(
    shell: Shell, line: str
) -> None:
    WORKSPACES.write_text("{}", encoding="utf-8")
    said = shell(f"{line} --database postgresql://me:marked%zz@127.0.0.1:9/db", 2).err
    assert "postgresql:// URL" in said
    assert "marked" not in said


def test_a_run_that_is_not_there_is_told_without_the_password(shell: Shell, database: str) -> None:
    assert "the name of a run" in shell("status --run none", 2).err
    url = database.replace("test@", "test:marked-password@")
    said = shell(f"report {url} --run nobody", 2).err
    assert "there is no run nobody" in said
    assert "marked-password" not in said
    shell(f"report {url}", 2)
    shell("report run.db --run nobody", 2)
