"""Loops that end too early, and forks: in processes of their own."""

import subprocess
import sys
import textwrap

import pytest

PREAMBLE = """
import asyncio, os, warnings
from intercom_async import ClientStateError, IntercomClient
from intercom_async.simulator import IntercomSimulator
"""


def run(program: str) -> str:
    """Run a program whose warnings are errors; it must end well and say nothing but its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_loop_that_ends_under_a_run_leaves_nothing_that_complains() -> None:
    out = run(
        """
        async def main():
            sim = await IntercomSimulator(latency=0.05).__aenter__()
            client = IntercomClient("token", base_url=sim.url)
            work = sim.workspace.populate(conversations=50)

            async def detach():
                await client.detach_contacts(work, admin_id=sim.admin_id)

            run = asyncio.create_task(detach())
            while not sim.requests.in_flight:
                await asyncio.sleep(0.005)
            await sim.aclose()
            return client, run

        with asyncio.Runner() as runner:
            client, run = runner.run(main())
        assert run.cancelled() or run.exception() is not None

        async def again():
            try:
                await client.whoami()
            except ClientStateError as error:
                print(error)
            await client.aclose()

        asyncio.run(again())
        """
    )
    assert "another event loop" in out


@pytest.mark.skipif(sys.platform == "win32", reason="it cannot fork")
def test_after_a_fork_the_child_works_with_a_new_client_and_the_parent_with_the_old_one() -> None:
    out = run(
        """
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks with threads

        async def child(url, pair):
            async with IntercomClient("token", base_url=url) as new:
                await new.detach_contact(*pair, admin_id="5017690")

        async def main():
            async with (
                IntercomSimulator() as sim,
                IntercomClient("token", base_url=sim.url) as client,
            ):
                first, second, third = sim.workspace.populate(conversations=3)
                await client.detach_contact(*first, admin_id=sim.admin_id)
                pid = os.fork()
                if pid == 0:
                    try:
                        asyncio.run(child(sim.url, second))
                    finally:
                        os._exit(0)
                await asyncio.to_thread(os.waitpid, pid, 0)
                await client.detach_contact(*third, admin_id=sim.admin_id)
                print(sorted(sim.applied.values()))

        asyncio.run(main())
        """
    )
    assert out == "[1, 1, 1]\n"
