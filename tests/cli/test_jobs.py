"""The commands of runs that many machines share, on a real PostgreSQL."""

import contextlib
import json
import os
import secrets
from pathlib import Path

import pytest

from intercom_async.cli.jobs import DATABASE_VARIABLE
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Command, press_ctrl_c
from tests.support.postgres_server import PostgresServer


@pytest.fixture(autouse=True)
def _database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, postgres.create(secrets.token_hex(8)))


def test_a_run_is_submitted_worked_off_and_shown(
    command: Command, simulator: IntercomSimulator, tmp_path: Path
) -> None:
    pairs = simulator.workspace.populate(conversations=10, contacts_per_conversation=3)
    triples, workspaces = tmp_path / "triples.csv", tmp_path / "workspaces.json"
    lines = [f"acme,{conversation},{contact}" for conversation, contact in pairs]
    triples.write_text("\n".join(["workspace,conversation_id,contact_id", *lines]))
    access = {"token": simulator.token, "base_url": simulator.url}
    workspaces.write_text(json.dumps({"acme": access}))

    submitted = command("submit", str(triples), "--run", "cleanup-7", "--prepare")
    assert (submitted.status, submitted.out) == (0, "20 pairs are new in the run cleanup-7\n")
    assert command("submit", str(triples), "--run", "cleanup-7").out.startswith("0 pairs")
    assert command("work", str(workspaces), "--until-empty").status == 0
    shown = json.loads(command("status", "--run", "cleanup-7").out)
    assert shown["counts"] == {"detached": 20}
    assert sum(simulator.applied.values()) == 20


def test_what_cannot_be_used_is_named_without_a_token(command: Command, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("conversation_id,contact_id\n1,a\n")
    refused = command("submit", str(bad))
    assert refused.status == 2
    assert f"{bad}, line 1: the header lacks 'workspace'" in refused.err
    assert "--columns" not in refused.err
    bad.write_text("workspace;conversation_id;contact_id\nacme;1;a\nacme;1.3E+14;a\n")
    assert f"{bad}, line 3: conversation_id must be an id" in command("submit", str(bad)).err
    bad.write_text('{"acme": {"token": "marked-token", "colour": "red"}}')
    told = command("work", str(bad))
    assert told.status == 2
    assert "marked-token" not in told.err
    assert "the name of a run" in command("status", "--run", "none").err


def test_ctrl_c_ends_a_submit_that_waits_for_a_silent_pipe(
    command: Command, tmp_path: Path
) -> None:
    pipe = tmp_path / "triples"
    os.mkfifo(pipe)
    writing: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):  # nobody reads the pipe yet
            writing.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writing)

    presser = press_ctrl_c(is_read)
    ended = command("submit", str(pipe), "--prepare")
    presser.join()
    os.close(writing[0])
    assert (ended.status, ended.err) == (4, "interrupted\n")


def test_an_address_that_cannot_be_read_is_refused_at_once_and_not_shown(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "workspaces.json").write_text("{}")
    for given in ("submit -", f"work {tmp_path}/workspaces.json", "status"):
        told = command(*given.split(), "--database", "postgresql://me:marked%zz@127.0.0.1:9/db")
        assert told.status == 2
        assert "postgresql:// URL" in told.err
        assert "marked" not in told.err
