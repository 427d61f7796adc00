"""Options that commands share, and what becomes of them."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from intercom_async.cli.token_file import read_token
from intercom_async.client import TOKEN_VARIABLE, IntercomClient
from intercom_async.errors import InvalidArgumentError
from intercom_async.transport.window import RateLimitPolicy

Region = Annotated[str, typer.Option(help="Where the workspace is hosted: us, eu or au.")]
BaseURL = Annotated[
    str | None, typer.Option("--base-url", help="Another address, e.g. a simulator's.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help=f"File with the access token; default: ${TOKEN_VARIABLE}, else a hidden prompt.",
    ),
]
Version = Annotated[
    str, typer.Option("--intercom-version", help="Value of the Intercom-Version header.")
]
AdminId = Annotated[str | None, typer.Option("--admin-id", help="Admin in whose name it happens.")]
Columns = Annotated[
    str | None,
    typer.Option(help="Header names: conversation_id=...,contact_id=...[,admin_id=...]."),
]
JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        help="Keep what became of each pair in this file; the same command resumes from it.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", help="Write each result as a JSON line to this file.")
]
Concurrency = Annotated[
    int | None, typer.Option(help="Requests in flight at most; default: computed.")
]
Reserve = Annotated[
    float,
    typer.Option(min=0, max=100, help="Percent of the quota left to interactive calls."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Take only so many pairs.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first line that gives no pair.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing anything.")]
AsJSON = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def open_client(
    *,
    region: str,
    base_url: str | None,
    token_file: Path | None,
    version: str,
    reserve: float = 3.0,
) -> IntercomClient:
    """Return a client for what the command was given.

    Raises:
        InvalidArgumentError: something cannot be used, or there is no token.
        OSError: the token's file cannot be read.
    """
    return IntercomClient(
        _token(token_file),
        region=region,
        base_url=base_url,
        version=version,
        rate_limit=RateLimitPolicy(reserve=reserve / 100.0),
    )


def _token(file: Path | None) -> str | None:
    """The token: from a file, the environment or a hidden prompt, never the command line."""
    if file is not None:
        return read_token(file)
    if TOKEN_VARIABLE not in os.environ and sys.stdin.isatty():
        return getpass.getpass("Intercom access token: ").strip()
    return None


def parse_columns(text: str | None) -> dict[str, str]:
    """Return the header names by what they stand for.

    Raises:
        InvalidArgumentError: it is no list of name=header.
    """
    columns: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, header = part.partition("=")
        if not equals or not header.strip():
            raise InvalidArgumentError(
                "--columns", text, "like conversation_id=Conversation,contact_id=Contact"
            )
        columns[name.strip()] = header.strip()
    return columns
