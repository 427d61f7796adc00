"""The simulator as a server for people."""

import asyncio
import io
from pathlib import Path

import attrs
from rich.console import Console

from intercom_async.cli.options import option
from intercom_async.cli.running import ExitStatus, amount, say
from intercom_async.cli.signals import interrupts
from intercom_async.private_files import rewrite
from intercom_async.simulator import IntercomSimulator

CONVERSATION = "1295"
CONTACT = "5ba682d2"
PERSON = "joe@customer.example"
"""What the README's examples name."""


@attrs.frozen(kw_only=True)
class SimulateOptions:
    """What `simulate` is given."""

    port: int = option(8000, "0 for a free one.", min=0, max=65535)
    token: str = option("token", "The access token it accepts.")
    limit: int = option(167, "Requests per 10-second window.", min=1)
    conversations: int = option(1000, "Conversations to hold.", min=0)
    latency: float = option(0.05, "Seconds a reply takes.", min=0)
    pairs: Path | None = option(None, "Write pairs that can be detached to this CSV file.")


async def simulate(options: SimulateOptions) -> ExitStatus:
    """Serve a loopback Intercom to try things on."""
    console = Console()
    simulator = IntercomSimulator(
        token=options.token, limit=options.limit, latency=options.latency, port=options.port
    )
    workspace = simulator.workspace
    contacts = [workspace.add_contact(contact_id=CONTACT), workspace.add_contact()]
    workspace.add_conversation(contacts, conversation_id=CONVERSATION)
    person = workspace.add_contact(email=PERSON)
    for _ in range(3):
        workspace.add_conversation([person, workspace.add_contact()])
    populated = workspace.populate(conversations=options.conversations)
    stop = asyncio.Event()
    with interrupts(stop.set):
        if options.pairs is not None:
            write_pairs(populated, options.pairs)
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
