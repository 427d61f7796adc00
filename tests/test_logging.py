"""Log records carry their facts; an environment variable, and the command's -v, show them."""

import json
import logging
import os
import subprocess
import sys

import pytest

from intercom_async import IntercomClient, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator

TOKEN = "dG9rOm1hcmtlZC1zZWNyZXQ="

PROGRAM = """
import asyncio, logging, intercom_async
from intercom_async.simulator import Fault, IntercomSimulator

async def main():
    policy = intercom_async.RetryPolicy(backoff=0.0)
    async with IntercomSimulator(token="t") as sim:
        sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
        async with intercom_async.IntercomClient("t", base_url=sim.url, retry=policy) as client:
            await client.whoami()

{before}
asyncio.run(main())
"""


@pytest.mark.asyncio(loop_factories=["driven"])
async def test_a_record_has_what_a_json_formatter_wants(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="intercom_async")
    async with IntercomSimulator(token=TOKEN) as sim:
        sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
        sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1)
        policy = RetryPolicy(attempts=2)
        async with IntercomClient(TOKEN, base_url=sim.url, retry=policy) as client:
            await client.whoami()
    facts = {getattr(record, "event", ""): vars(record) for record in caplog.records}
    assert TOKEN not in json.dumps(list(facts.values()), default=repr)
    retried = facts["RequestRetried"]
    assert retried["call"] == facts["RequestSent"]["call"] == facts["RequestRefused"]["call"]
    assert retried["attempt"] == 1
    assert retried["wait"] >= 0.0
    assert retried["request_id"]
    assert facts["RequestSent"]["status"] == 200
    assert facts["RequestSent"]["attempt"] == 2
    assert facts["RequestRefused"]["rate_limit"]["limit"] == 167


def stderr_of(program: str, level: str | None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "INTERCOM_LOG"}
    if level is not None:
        environment["INTERCOM_LOG"] = level
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize(
    ("level", "retried", "sent"),
    [(None, 0, 0), ("info", 1, 0), ("DEBUG", 1, 1), ("loud", 1, 0)],
)
def test_the_environment_says_what_is_shown(level: str | None, retried: int, sent: int) -> None:
    shown = stderr_of(PROGRAM.format(before=""), level)
    assert shown.count("attempt 1 failed") == retried
    assert shown.count("/me: 200") == sent
    assert ("use debug or info" in shown) is (level == "loud")


def test_an_application_with_handlers_of_its_own_sees_each_line_once() -> None:
    for before in (
        "logging.basicConfig()",
        "logging.getLogger('intercom_async').addHandler(logging.StreamHandler())",
    ):
        shown = stderr_of(PROGRAM.format(before=before), "info")
        assert shown.count("attempt 1 failed") == 1


def test_the_command_shows_the_same_with_v() -> None:
    app = "from intercom_async.cli.app import app"
    call = "app(['-v', 'simulate', '--help'], standalone_mode=False)"
    shown = stderr_of(PROGRAM.format(before=f"{app}\n{call}"), None)
    assert shown.count("attempt 1 failed") == 1
