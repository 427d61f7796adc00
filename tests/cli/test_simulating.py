"""`simulate`: faults by their names, a picture of the quota; `demo`: stopped and gone on with."""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from intercom_async import IntercomClient, InvalidArgumentError
from intercom_async.cli.demo import DemoOptions, demo
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.simulating import SHARE, order, picture
from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Shell
from tests.simulator.asking import until


def test_faults_are_ordered_by_their_names() -> None:
    simulator = IntercomSimulator()
    assert not order(simulator, [fault.value for fault in Fault])
    assert order(simulator, ["outage", "html", "late"])
    ordered = [(one.fault, one.probability, one.times) for one in simulator.faults._orders]
    faults = (*Fault, Fault.HTML_ERROR, Fault.LATENCY)
    assert ordered == [(fault, SHARE, None) for fault in faults]


def test_what_cannot_be_used_is_named_after_the_files_were_written_for_their_owner_alone(
    shell: Shell, simulator: IntercomSimulator
) -> None:
    said = shell("simulate --faults html,outgae", 2).err
    assert "one or more of outage, html, late, latency" in said
    assert "not 'outgae'" in said
    port = simulator.url.rpartition(":")[2]
    files = "--conversations 2 --pairs pairs.csv --people people.csv"
    assert "--port must be a free port" in shell(f"simulate --port {port} {files}", 2).err
    pairs, people = Path("pairs.csv"), Path("people.csv")
    header, *lines = pairs.read_text("utf-8").splitlines()
    assert (header, len(lines)) == ("conversation_id,contact_id", 2)
    written = ["email", "person-0@customer.example", "person-1@customer.example"]
    assert people.read_text("utf-8").splitlines() == written
    assert {path.stat().st_mode & 0o777 for path in (pairs, people)} == {0o600}


async def test_the_picture_shows_what_is_used_refused_and_answered() -> None:
    async with IntercomSimulator(limit=2000, clock=lambda: 1_800_000_003.0) as simulator:
        (pair,) = simulator.workspace.populate(conversations=1)
        async with IntercomClient(simulator.token, base_url=simulator.url) as client:
            await client.detach_contact(*pair, admin_id=simulator.admin_id)
        simulator.quota.refuse(simulator.now())
        shown = io.StringIO()
        Console(file=shown, width=120).print(picture(simulator))
    for text in ("7 s left", "1 of 2,000", "1 refused", "1 x 200"):
        assert text in shown.getvalue()


async def test_a_demo_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    journal = tmp_path / "demo.db"
    out = io.StringIO()
    console = Console(file=out, width=300)

    async def show() -> ExitStatus:
        return await demo(DemoOptions(pairs=300, journal=journal), console)

    first = asyncio.create_task(show())
    await until(journal.exists)
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.wait({first})
    assert await show() is ExitStatus.SETTLED, out.getvalue()
    assert await show() is ExitStatus.SETTLED
    text = out.getvalue()
    assert text.startswith("In up to 10 s, 300 contacts are detached on a simulated Intercom")
    assert "the rest of 300 contacts" in text
    assert "All 0 results agree" in text  # the third time there was nothing to do


async def test_a_demo_draws_its_last_screen_and_refuses_the_journal_of_another_one(
    tmp_path: Path,
) -> None:
    journal, svg = tmp_path / "demo.db", tmp_path / "demo.svg"
    console = Console(file=io.StringIO(), record=True)
    await demo(DemoOptions(pairs=3, journal=journal, svg=svg), console)
    assert "results&#160;agree" in svg.read_text("utf-8")
    with pytest.raises(InvalidArgumentError, match="--svg must be another file than --journal"):
        await demo(DemoOptions(pairs=3, journal=journal, svg=journal), console)
    for pairs, seed in ((3, 2), (2, 1)):
        with pytest.raises(InvalidArgumentError, match="the same --pairs and --seed"):
            await demo(DemoOptions(pairs=pairs, seed=seed, journal=journal), console)
