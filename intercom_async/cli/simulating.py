"""The command `simulate`: the simulator as a server to try things on."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from intercom_async.cli.display import show_live
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.options import option
from intercom_async.cli.printing import amount, say
from intercom_async.cli.signals import interrupts
from intercom_async.errors import InvalidArgumentError
from intercom_async.private_files import rewrite
from intercom_async.simulator import Fault, IntercomSimulator, Workspace

# The ids and the address in the README's examples.
_CONVERSATION: Final = "1295"
_CONTACT: Final = "5ba682d2"
_PERSON: Final = "joe@customer.example"

SHARE: Final = 0.02  # of the requests that a fault hits
_OUTAGE: Final = "outage"
_OUTAGE_EVERY: Final = 60.0
_OUTAGE_SECONDS: Final = 20.0
_SHORT: Final = {"html": Fault.HTML_ERROR, "late": Fault.LATENCY}
_WINDOWS_SHOWN: Final = 8


@attrs.frozen(kw_only=True)
class SimulateOptions:
    """The options of `simulate`."""

    port: int = option(8000, "Port; 0 for any free one.", min=0, max=65535)
    token: str = option("token", "The access token to accept.")
    limit: int = option(167, "Requests per 10-second window.", min=1)
    conversations: int = option(1000, "Conversations in the workspace.", min=0)
    latency: float = option(0.05, "Seconds a reply takes.", min=0)
    faults: str = option(
        "",
        f"What goes wrong, with commas: outage ({_OUTAGE_SECONDS:.0f} s of each minute), or faults "
        f"that hit {SHARE:.0%} of the requests: html, late, reset_after_applying ...",
    )
    pairs: Path | None = option(None, "Write pairs to detach to this CSV file.")
    people: Path | None = option(None, "Write their people's e-mail addresses to this CSV file.")


def order(simulator: IntercomSimulator, names: Sequence[str]) -> bool:
    """Order faults by their names; return whether outages are among them."""
    faults = {fault.value: fault for fault in Fault} | _SHORT
    for name in names:
        if name == _OUTAGE:
            continue
        if name not in faults:
            choices = ", ".join([_OUTAGE, *_SHORT, *(fault.value for fault in Fault)])
            raise InvalidArgumentError("--faults", name, f"one or more of {choices}")
        simulator.faults.add(faults[name], probability=SHARE)
    return _OUTAGE in names


async def simulate(options: SimulateOptions) -> ExitStatus:
    """Serve a simulated Intercom on this machine."""
    console = Console()
    simulator = IntercomSimulator(
        token=options.token, limit=options.limit, latency=options.latency, port=options.port
    )
    names = [name.strip() for name in options.faults.split(",") if name.strip()]
    goes_away = order(simulator, names)
    stop = asyncio.Event()
    with interrupts(stop.set):
        _populate(simulator.workspace, options)
        try:
            await simulator.start()
        except OSError as error:
            reason = f"cannot be used: {os.strerror(error.errno or 0)}"
            raise InvalidArgumentError(
                "--port", options.port, "a free port", seen=reason
            ) from error
        async with contextlib.aclosing(simulator):
            limit = simulator.quota.limit
            say(console, f"serving on {simulator.url}, {limit} requests per 10 seconds", "bold")
            say(console, f"access token: {simulator.token}; admin id: {simulator.admin_id}; try:")
            say(
                console,
                f"curl -X DELETE {simulator.url}/conversations/{_CONVERSATION}"
                f"/customers/{_CONTACT} -H 'Authorization: Bearer {simulator.token}' "
                "-H 'Accept: application/json' -H 'Content-Type: application/json' "
                f"""-d '{{"admin_id": "{simulator.admin_id}"}}'""",
                "cyan",
            )
            say(console, "Ctrl-C to stop", "dim")
            background = [asyncio.create_task(show_live(console, lambda: picture(simulator)))]
            if goes_away:
                background.append(asyncio.create_task(_go_away(simulator)))
            await stop.wait()
            for task in background:
                task.cancel()
            await asyncio.wait(background)
    say(console, f"served {amount(simulator.requests.total, 'request')}")
    return ExitStatus.SETTLED


def _populate(workspace: Workspace, options: SimulateOptions) -> None:
    """Add what the README names, and a group of two for each person with an address."""
    contacts = [workspace.add_contact(contact_id=_CONTACT), workspace.add_contact()]
    workspace.add_conversation(contacts, conversation_id=_CONVERSATION)
    person = workspace.add_contact(email=_PERSON)
    for _ in range(3):
        workspace.add_conversation([person, workspace.add_contact()])
    pairs = list[tuple[str, str]]()
    people = [f"person-{number}@customer.example" for number in range(options.conversations)]
    for address in people:
        contact = workspace.add_contact(email=address)
        pairs.append((workspace.add_conversation([contact, workspace.add_contact()]), contact))
    lines = ["conversation_id,contact_id", *map(",".join, pairs)]
    for path, written in ((options.pairs, lines), (options.people, ["email", *people])):
        if path is not None:
            with rewrite(path) as file:
                file.write("".join(f"{line}\n" for line in written).encode())


async def _go_away(simulator: IntercomSimulator) -> None:
    while True:
        await asyncio.sleep(_OUTAGE_EVERY - _OUTAGE_SECONDS)
        await simulator.outage(_OUTAGE_SECONDS)


def picture(simulator: IntercomSimulator) -> Table:
    """Return the last windows as bars, the current one last, and the replies by status."""
    quota, requests = simulator.quota, simulator.requests
    now = simulator.now()
    current = quota.usage(now)
    table = Table.grid(padding=(0, 2))
    for window in quota.windows[-_WINDOWS_SHOWN:]:
        left = window.start + quota.window - now
        full = window.used >= quota.limit
        refused = f"{window.refused:,} refused" if window.refused else ""
        table.add_row(
            Text(f"{left:.0f} s left" if window is current else f"{-left:.0f} s ago", "dim"),
            ProgressBar(total=quota.limit, completed=window.used, width=40),
            Text(f"{window.used:,} of {quota.limit:,}", "bold" if full else ""),
            Text(refused, "red"),
        )
    statuses = ", ".join(
        f"{count:,} x {status}" for status, count in sorted(requests.by_status.items())
    )
    lost = f", {requests.unanswered:,} without a reply" if requests.unanswered else ""
    table.add_row(Text("replies", "dim"), Text(f"{statuses or 'none yet'}{lost}"))
    return table
