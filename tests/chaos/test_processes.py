"""Ctrl-C, loops that end too early, forks and second loops: in processes of their own."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from intercom_async import Outcome
from tests.support.rows import outcomes_in

PREAMBLE = """
import asyncio, gc, json, os, signal, sys, threading
from intercom_async import ClientStateError, IntercomClient, Outcome, RetryPolicy
from intercom_async.simulator import IntercomSimulator
"""


def run(program: str, *arguments: str) -> str:
    """Run a program whose warnings are errors; it must end well and say nothing but its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_a_keyboard_interrupt_leaves_a_journal_that_agrees_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    out = run(
        """
        sim = IntercomSimulator(limit=1667, latency=0.02)
        work = []

        async def press():
            while len(sim.applied) < 50:
                await asyncio.sleep(0.005)
            signal.raise_signal(signal.SIGINT)

        async def main():
            async with sim:
                work.extend(sim.workspace.populate(conversations=400))
                async with IntercomClient("token", base_url=sim.url) as client:
                    pressing = asyncio.create_task(press())
                    await client.detach_contacts(work, admin_id=sim.admin_id, journal=sys.argv[1])

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print(json.dumps([list(pair) for pair in sim.applied]))
        """,
        str(path),
    )
    applied = {(conversation, contact) for conversation, contact in json.loads(out)}
    kept = outcomes_in(path)
    assert 0 < len(applied) < 400
    for pair, outcome in kept.items():
        assert outcome in {Outcome.DETACHED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED}
        assert outcome is Outcome.UNKNOWN or (pair in applied) is (outcome is Outcome.DETACHED)


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
                print("another event loop" in str(error))
            await client.aclose()

        asyncio.run(again())
        """
    )
    assert out == "True\n"


@pytest.mark.skipif(sys.platform == "win32", reason="it cannot fork")
def test_a_fork_refuses_the_old_client_and_works_with_a_new_one() -> None:
    out = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks with threads

        def child(client, sim, pair):
            async def main():
                try:
                    await client.whoami()
                except ClientStateError as error:
                    if "process" not in str(error):
                        return 2
                async with IntercomClient("token", base_url=sim) as new:
                    await new.detach_contact(*pair, admin_id="5017690")
                return 0
            return asyncio.run(main())

        async def main():
            async with IntercomSimulator() as sim:
                first, second, third = sim.workspace.populate(conversations=3)
                async with IntercomClient("token", base_url=sim.url) as client:
                    await client.detach_contact(*first, admin_id=sim.admin_id)
                    pid = os.fork()
                    if pid == 0:
                        try:
                            code = child(client, sim.url, second)
                        except BaseException as error:
                            print(repr(error), flush=True)
                            code = 3
                        os._exit(code)
                    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
                    await client.detach_contact(*third, admin_id=sim.admin_id)
                print(os.waitstatus_to_exitcode(status), sorted(sim.applied.values()))

        asyncio.run(main())
        """
    )
    assert out == "0 [1, 1, 1]\n"


def test_two_loops_in_two_threads_each_with_a_client_do_not_disturb_each_other() -> None:
    out = run(
        """
        reported = []

        async def main():
            async with IntercomSimulator(limit=1667) as sim:
                work = sim.workspace.populate(conversations=200)
                async with IntercomClient("token", base_url=sim.url) as client:
                    summary = await client.detach_contacts(work, admin_id=sim.admin_id)
                assert client.rate_limit.in_flight == 0
                reported.append((summary.outcomes[Outcome.DETACHED], sum(sim.applied.values())))

        threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(reported)
        """
    )
    assert out == "[(200, 200), (200, 200)]\n"
