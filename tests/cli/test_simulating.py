"""`simulate`: serves, with faults by their names and a picture of the quota; `demo`."""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from intercom_async import IntercomClient, InvalidArgumentError
from intercom_async.cli import demo
from intercom_async.cli.demo import DemoOptions
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.simulating import SHARE, order, picture
from intercom_async.simulator import Fault, IntercomSimulator
from tests.cli.conftest import Shell, press_ctrl_c
from tests.simulator.asking import until

PAIRS, PEOPLE = Path("pairs.csv"), Path("people.csv")


def test_simulate_writes_its_files_for_their_owner_alone_and_serves_until_ctrl_c(
    shell: Shell,
) -> None:
    presser = press_ctrl_c(PEOPLE.exists)
    out = shell("simulate --port 0 --conversations 2 --pairs pairs.csv --people people.csv").out
    presser.join()
    assert "serving on http://127.0.0.1:" in out
    header, *lines = PAIRS.read_text("utf-8").splitlines()
    assert (header, len(lines)) == ("conversation_id,contact_id", 2)
    written = ["email", "person-0@customer.example", "person-1@customer.example"]
    assert PEOPLE.read_text("utf-8").splitlines() == written
    assert {path.stat().st_mode & 0o777 for path in (PAIRS, PEOPLE)} == {0o600}


def test_faults_are_ordered_by_their_names() -> None:
    simulator = IntercomSimulator()
    assert not order(simulator, [fault.value for fault in Fault])
    assert order(simulator, ["outage", "html", "late"])
    ordered = [(one.fault, one.probability, one.times) for one in simulator.faults._orders]
    faults = (*Fault, Fault.HTML_ERROR, Fault.LATENCY)
    assert ordered == [(fault, SHARE, None) for fault in faults]


def test_a_port_that_is_taken_is_named(shell: Shell, simulator: IntercomSimulator) -> None:
    port = simulator.url.rpartition(":")[2]
    assert "--port must be a free port" in shell(f"simulate --port {port}", 2).err


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


class TestDemo:
    @pytest.fixture
    def out(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def console(self, out: io.StringIO) -> Console:
        return Console(file=out, width=300, record=True)

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_every_result_is_checked(self, console: Console, out: io.StringIO) -> None:
        assert await demo.demo(DemoOptions(pairs=400, limit=167), console) == 0, out.getvalue()
        assert "All 400 results agree" in out.getvalue()
        assert "the simulator refused 0 requests (0.00%); " in out.getvalue()

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_a_result_that_is_not_so_is_noticed(
        self, console: Console, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo, "_FAULTS", ())
        monkeypatch.setattr(demo, "_GONE", frozenset[str]())
        assert await demo.demo(DemoOptions(pairs=3), console) == 1
        assert "3 results disagree" in out.getvalue()

    async def test_a_demo_goes_on_where_it_was_stopped_unless_it_is_another_one(
        self, console: Console, out: io.StringIO, tmp_path: Path
    ) -> None:
        journal, svg = tmp_path / "demo.db", tmp_path / "demo.svg"
        options = DemoOptions(pairs=300, journal=journal, svg=svg)
        first = asyncio.create_task(demo.demo(options, console))
        await until(journal.exists)
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.wait({first})
        for _ in range(2):
            assert await demo.demo(options, console) is ExitStatus.SETTLED, out.getvalue()
        text = out.getvalue()
        assert text.startswith("In up to 10 s, 300 contacts are detached on a simulated Intercom")
        assert "the rest of 300 contacts" in text
        assert "All 0 results agree" in text  # the third time there was nothing to do
        assert "results&#160;agree" in svg.read_text("utf-8")
        with pytest.raises(InvalidArgumentError, match="--svg must be another file than --journal"):
            await demo.demo(DemoOptions(pairs=300, journal=journal, svg=journal), console)
        for pairs, seed in ((300, 2), (299, 1)):
            with pytest.raises(InvalidArgumentError, match="the same --pairs and --seed"):
                await demo.demo(DemoOptions(pairs=pairs, seed=seed, journal=journal), console)
