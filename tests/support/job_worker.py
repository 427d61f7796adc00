"""Workers that can be killed: `python -m tests.support.job_worker work|submit <JSON>`."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import procrastinate

from intercom_async import IntercomPool, WorkspaceAccess
from intercom_async.integrations import procrastinate as integration
from intercom_async.integrations.procrastinate import DetachJobs
from intercom_async.journal import postgres, postgres_runs

SWIFT = {
    (postgres, "LEASE"): 2.0,
    (postgres_runs, "CHUNK"): 100,
    (integration, "LOOK_EVERY"): 0.2,
}
"""What takes half a minute in life takes two seconds in a test."""


def jobs_of(url: str, directory: dict[str, Any]) -> tuple[procrastinate.App, DetachJobs]:
    """The engine and the jobs of a test; the directory holds the address of each workspace."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, max_size=6))
    access = {
        workspace: WorkspaceAccess("token", base_url=base_url)
        for workspace, base_url in directory.items()
    }
    return app, DetachJobs(app, lambda: IntercomPool(access), url, admin_id="5017690")


def _slowly(triples: list[list[str]]) -> Iterator[list[str]]:
    for number, triple in enumerate(triples):
        if number % 100 == 99:
            time.sleep(0.02)
        yield triple


async def main(command: str, job: dict[str, Any]) -> None:
    for (module, name), value in SWIFT.items():
        setattr(module, name, value)
    app, jobs = jobs_of(job["url"], job["directory"])
    if command == "submit":
        async with app.open_async():
            await jobs.submit(_slowly(job["triples"]), run=job["run"])
    else:
        await jobs.work(concurrency=3, grace=2.0, fetch_job_polling_interval=0.3)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], cast("dict[str, Any]", json.loads(sys.stdin.read()))))
