"""The question before a run: what would change, in which workspace, as whom, for how long."""

import math
import select
import sys

from rich.console import Console
from rich.text import Text

from intercom_async.cli.inputs import Input
from intercom_async.cli.options import ChangeOptions
from intercom_async.cli.printing import amount, say, span
from intercom_async.cli.signals import interruptible
from intercom_async.cli.summary import WARNING
from intercom_async.client import IntercomClient
from intercom_async.errors import readable
from intercom_async.model import Identity
from intercom_async.pacing.server_clock import WINDOW


def question(
    options: ChangeOptions,
    given: Input,
    client: IntercomClient,
    identity: Identity | None,
    *,
    total: int | None,
    resumes: bool,
) -> str:
    """Return the whole question.

    Args:
        resumes: whether the journal has pairs of earlier sessions.
    """
    rest = "the rest of " if resumes else ""
    whom = _as_whom(identity, options.admin())
    contacts = "contacts" if total is None else amount(total, "contact")
    how_long = _how_long(client, total)
    if given.by is not None:
        contacts, how_long = f"{contacts} from every group conversation", ""
    return f"{options.verb.capitalize()} {rest}{contacts}{whom}{how_long}?"


def confirmed(options: ChangeOptions, question: str, console: Console) -> bool:
    """Ask before anything is changed, unless there is no terminal."""
    if options.yes or options.dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    try:
        with interruptible():
            if options.verb == "detach":
                say(console, WARNING, "dim")
            console.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
            # Do not wait in a read: a signal just before it would have to wait for its end.
            while sys.platform != "win32" and not select.select([sys.stdin], [], [], 0.2)[0]:
                pass
            answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer.endswith("\n"):
        console.print()
    return answer.strip().lower() in {"y", "yes"}


def _as_whom(identity: Identity | None, admin_id: str | None) -> str:
    text = ""
    if identity is not None and identity.app is not None:
        app = identity.app
        region = f" ({readable(app.region, 20)})" if app.region else ""
        text = f" in {readable(app.name or app.id_code or 'this workspace', 80)}{region}"
    if identity is not None and admin_id in {None, identity.id}:
        return f"{text} as {readable(identity.name or 'admin', 80)} ({identity.id})"
    return text if admin_id is None else f"{text} as admin {readable(admin_id, 80)}"


def _how_long(client: IntercomClient, total: int | None) -> str:
    limit = None if client.rate_limit is None else client.rate_limit.limit
    if not total or not limit:
        return ""
    rate = limit * 60 / WINDOW
    minutes = math.ceil(total / rate)
    time = "less than a minute" if minutes <= 1 else f"about {span(minutes * 60)}"
    return f", {time} at {float(f'{rate:.2g}'):,.0f} a minute"
