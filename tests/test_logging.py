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


COMMAND = """
from intercom_async.cli.app import app
app(['-v', 'simulate', '--help'], standalone_mode=False)
"""


@pytest.mark.parametrize(
    ("before", "level", "retried", "sent"),
    [
        ("", None, 0, 0),
        ("", "info", 1, 0),
        ("", "DEBUG", 1, 1),
        ("", "loud", 1, 0),
        # An application with handlers of its own sees each line once.
        ("logging.basicConfig()", "info", 1, 0),
        ("logging.getLogger('intercom_async').addHandler(logging.StreamHandler())", "info", 1, 0),
        (COMMAND, None, 1, 0),
    ],
)
def test_the_environment_or_the_command_s_v_says_what_is_shown(
    before: str, level: str | None, retried: int, sent: int
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "INTERCOM_LOG"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        env=environment if level is None else environment | {"INTERCOM_LOG": level},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("attempt 1 failed") == retried
    assert done.stderr.count("/me: 200") == sent
    assert ("use debug or info" in done.stderr) is (level == "loud")
