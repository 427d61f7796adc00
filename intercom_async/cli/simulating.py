"""The simulator as a server for people."""

import asyncio
import csv
import io
from pathlib import Path

from rich.console import Console

from intercom_async.cli.running import ExitStatus, interrupts
from intercom_async.private_files import rewrite
from intercom_async.simulator import IntercomSimulator

CONVERSATION = "1295"
CONTACT = "5ba682d2"
"""The ids that the README's example uses."""


async def serve(
    *,
    port: int,
    token: str,
    limit: int,
    conversations: int,
    latency: float,
    pairs: Path | None,
    console: Console,
) -> ExitStatus:
    """Serve until Ctrl-C.

    Raises:
        OSError: the port is taken, or the file of pairs cannot be written.
    """
    simulator = IntercomSimulator(token=token, limit=limit, latency=latency, port=port)
    workspace = simulator.workspace
    contacts = [workspace.add_contact(contact_id=CONTACT), workspace.add_contact()]
    workspace.add_conversation(contacts, conversation_id=CONVERSATION)
    populated = workspace.populate(conversations=conversations)
    stop = asyncio.Event()
    with interrupts(stop.set):
        _write(populated, pairs)
        async with simulator:
            console.print(
                f"serving on {simulator.url}, {limit} requests per 10 seconds", style="bold"
            )
            console.print(f"token {token}, admin {simulator.admin_id}; try:")
            console.print(
                f"curl -X DELETE {simulator.url}/conversations/{CONVERSATION}/customers/{CONTACT} "
                f"-H 'Authorization: Bearer {token}' -H 'Accept: application/json' "
                "-H 'Content-Type: application/json' "
                f"""-d '{{"admin_id": "{simulator.admin_id}"}}'""",
                style="cyan",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            console.print("Ctrl-C to stop", style="dim")
            await stop.wait()
    console.print(f"served {simulator.requests.total:,} requests")
    return ExitStatus.SETTLED


def _write(populated: list[tuple[str, str]], path: Path | None) -> None:
    if path is not None:
        with io.TextIOWrapper(rewrite(path), encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["conversation_id", "contact_id"])
            writer.writerows(populated)
