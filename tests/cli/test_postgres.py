"""Reports and exports of a run in PostgreSQL."""

import asyncio
import json
import secrets

from intercom_async import IntercomPool, PoolSummary
from tests.cli.conftest import Command
from tests.support.postgres_server import PostgresServer
from tests.support.town import mixed, town


async def detached(journal: str) -> PoolSummary:
    async with town(2) as places, IntercomPool(places.access) as pool:
        gone = [("ws0", f"1{n}", "a") for n in range(3)]
        return await pool.detach_contacts(
            [*mixed(places.populate(20)), *gone, ("nobody", "1", "a")], journal=journal
        )


def test_a_run_is_reported_and_exported_as_one_in_a_file_is(
    postgres: PostgresServer, command: Command
) -> None:
    name = secrets.token_hex(8)
    summary = asyncio.run(detached(f"{postgres.url}?run={name}"))
    ended = command("report", postgres.url, "--run", name, "--json")
    document = json.loads(ended.out)
    assert ended.status == 1
    assert document["states"] == {"detached": 40, "conversation_missing": 3, "pending": 1}
    assert document["pairs"] - document["left"] == summary.settled == 43
    assert document["requests"] == summary.requests
    assert sum(column["pairs"] for column in document["timeline"]) == 43
    assert {one["workspace"]: one["left"] for one in document["workspaces"]} == {
        "nobody": 1,
        "ws0": 0,
        "ws1": 0,
    }
    ended = command("report", f"{postgres.url}?run={name}")
    assert "1 pair is not settled" in ended.out
    assert ended.out.endswith("\nTo go on:\n  intercom-async work\n")
    ended = command("export", postgres.url, "--run", name, "--csv", "--state", "unsettled")
    (_, line) = ended.out.splitlines()
    assert line.startswith('"1","a",')


def test_a_run_that_is_not_there_is_told_without_the_password(
    postgres: PostgresServer, command: Command
) -> None:
    url = postgres.url.replace("test@", "test:marked-password@")
    ended = command("report", url, "--run", "nobody")
    assert ended.status == 2
    assert "there is no run nobody" in ended.err
    assert "marked-password" not in ended.err
    assert command("report", url).status == 2
    assert command("report", "run.db", "--run", "nobody").status == 2
