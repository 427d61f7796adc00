"""The question before a run: what it is about to do, where, as whom, and for how long."""

import math
import sys

from rich.console import Console
from rich.text import Text

from intercom_async.cli.inputs import Input
from intercom_async.cli.options import BulkOptions
from intercom_async.cli.people import WARNING
from intercom_async.cli.running import amount, say, span
from intercom_async.cli.signals import asking
from intercom_async.client import IntercomClient
from intercom_async.errors import readable
from intercom_async.model import Identity
from intercom_async.pacing.server_clock import WINDOW


def confirmed(options: BulkOptions, question: str, console: Console) -> bool:
    """Ask before anything is changed, unless nobody is at the terminal."""
    if options.yes or options.dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    try:
        with asking():
            if options.verb == "detach":
                say(console, WARNING, "dim")
            console.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
            answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer.endswith("\n"):
        console.print()
    return answer.strip().lower() in {"y", "yes"}


def question_of(
    options: BulkOptions,
    client: IntercomClient,
    identity: Identity | None,
    given: Input,
    total: int | None,
    *,
    resumes: bool,
) -> str:
    """Return the question, such as "Detach 2 contacts in Acme (EU) as Joe (5017690)?"."""
    how_many = "contacts" if total is None else amount(total, "contact")
    text = f"{options.verb.capitalize()} {'the rest of ' if resumes else ''}{how_many}"
    if given.by is not None:
        text += " from every group conversation"
    app = None if identity is None else identity.app
    if app is not None:
        region = f" ({readable(app.region, 20)})" if app.region else ""
        text += f" in {readable(app.name or app.id_code or 'this workspace', 80)}{region}"
    admin_id = options.admin()
    if identity is not None and admin_id in {None, identity.id}:
        text += f" as {readable(identity.name or 'admin', 80)} ({identity.id})"
    elif admin_id is not None:
        text += f" as admin {readable(admin_id, 80)}"
    limit = None if client.rate_limit is None else client.rate_limit.limit
    if total and limit and given.by is None:
        rate = limit * 60 / WINDOW
        minutes = math.ceil(total / rate)
        time = "less than a minute" if minutes <= 1 else f"about {span(minutes * 60)}"
        text += f", {time} at {float(f'{rate:.2g}'):,.0f} a minute"
    return f"{text}?"
