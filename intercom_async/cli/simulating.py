"""The simulator as a server for people."""

import asyncio
import io
from pathlib import Path

from rich.console import Console

from intercom_async.cli.running import ExitStatus, amount, say
from intercom_async.cli.signals import interrupts
from intercom_async.private_files import rewrite
from intercom_async.simulator import IntercomSimulator

CONVERSATION = "1295"
CONTACT = "5ba682d2"
"""The ids that the README's example uses."""


async def serve(
    simulator: IntercomSimulator, *, conversations: int, pairs: Path | None, console: Console
) -> ExitStatus:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        OSError: the port is taken, or the file of pairs cannot be written.
    """
    workspace = simulator.workspace
    contacts = [workspace.add_contact(contact_id=CONTACT), workspace.add_contact()]
    workspace.add_conversation(contacts, conversation_id=CONVERSATION)
    populated = workspace.populate(conversations=conversations)
    stop = asyncio.Event()
    with interrupts(stop.set):
        if pairs is not None:
            write_pairs(populated, pairs)
        async with simulator:
            limit = simulator.quota.limit
            say(console, f"serving on {simulator.url}, {limit} requests per 10 seconds", "bold")
            say(console, f"token {simulator.token}, admin {simulator.admin_id}; try:")
            say(
                console,
                f"curl -X DELETE {simulator.url}/conversations/{CONVERSATION}/customers/{CONTACT} "
                f"-H 'Authorization: Bearer {simulator.token}' -H 'Accept: application/json' "
                "-H 'Content-Type: application/json' "
                f"""-d '{{"admin_id": "{simulator.admin_id}"}}'""",
                "cyan",
            )
            say(console, "Ctrl-C to stop", "dim")
            await stop.wait()
    say(console, f"served {amount(simulator.requests.total, 'request')}")
    return ExitStatus.SETTLED


def write_pairs(pairs: list[tuple[str, str]], path: Path) -> None:
    """Write a CSV file that `detach` reads, for its owner alone."""
    with io.TextIOWrapper(rewrite(path), encoding="utf-8", newline="") as file:
        file.write("conversation_id,contact_id\n")
        file.writelines(f"{conversation},{contact}\n" for conversation, contact in pairs)
