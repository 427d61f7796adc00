"""The options of the commands, each spelled once, and commands made of them."""

import functools
import getpass
import inspect
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_origin, get_type_hints

import attrs
import typer

from intercom_async.cli.running import EXIT_STATUS, ExitStatus, carry_out
from intercom_async.cli.signals import asking
from intercom_async.cli.token_file import read_token
from intercom_async.client import TOKEN_VARIABLE, IntercomClient
from intercom_async.errors import InvalidArgumentError
from intercom_async.pairs import COLUMNS
from intercom_async.transport.http import CONNECTIONS
from intercom_async.transport.window import RateLimitPolicy

REGION_VARIABLE: Final = "INTERCOM_REGION"
BASE_URL_VARIABLE: Final = "INTERCOM_BASE_URL"
ADMIN_ID_VARIABLE: Final = "INTERCOM_ADMIN_ID"


@attrs.frozen(kw_only=True)
class Plain:
    """The options of a command, as the fields of a class."""


@attrs.frozen(kw_only=True)
class Connection(Plain):
    """Which workspace, and as whom."""

    region: Annotated[
        str | None,
        typer.Option(help=f"us, eu or au; default: ${REGION_VARIABLE}, else us."),
    ] = None
    base_url: Annotated[
        str | None,
        typer.Option(help=f"Another address, e.g. a simulator's; default: ${BASE_URL_VARIABLE}."),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File with the access token; default: ${TOKEN_VARIABLE}, else a hidden prompt."
        ),
    ] = None
    intercom_version: Annotated[str, typer.Option(help="Value of the Intercom-Version header.")] = (
        "Preview"
    )
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False

    def open_client(self, *, reserve: float = 3.0) -> IntercomClient:
        """Return a client.

        What the command line says goes before the environment, so that `--region` there beats
        an address here.

        Raises:
            InvalidArgumentError: something cannot be used, or there is no token.
            OSError: the token's file cannot be read.
        """
        base_url = self.base_url
        if base_url is None and self.region is None:
            base_url = os.environ.get(BASE_URL_VARIABLE) or None
        return IntercomClient(
            _token(self.token_file),
            region=self.region or os.environ.get(REGION_VARIABLE) or "us",
            base_url=base_url,
            version=self.intercom_version,
            rate_limit=RateLimitPolicy(reserve=reserve / 100.0),
        )


@attrs.frozen(kw_only=True)
class BulkOptions(Connection):
    """What a run is given."""

    verb: ClassVar[str]

    source: Annotated[
        str | None,
        typer.Argument(
            help="CSV with a header, JSON lines, or the journal of a run, which then goes on; "
            "- for standard input.",
            show_default=False,
        ),
    ] = None
    journal: Annotated[
        Path | None,
        typer.Option(
            help="Keep what became of each pair in this database; the same command goes on from it."
        ),
    ] = None
    admin_id: Annotated[
        str | None,
        typer.Option(
            help="Admin in whose name it happens; "
            f"default: ${ADMIN_ID_VARIABLE}, else the token's own."
        ),
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False
    columns: Annotated[
        str | None,
        typer.Option(help="Names in the header: conversation_id=Thread,contact_id=Person."),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first line that gives no pair.")
    ] = False
    limit: Annotated[int | None, typer.Option(min=1, help="Take at most so many pairs.")] = None
    output: Annotated[
        Path | None,
        typer.Option(help="Write each result as a JSON line to this file; - for standard output."),
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False
    patience: Annotated[
        float,
        typer.Option(min=0.1, help="Minutes to wait while Intercom is away before the run stops."),
    ] = 15.0
    force: Annotated[
        bool,
        typer.Option("--force", help="Go on even if none of the first 100 conversations exists."),
    ] = False
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=CONNECTIONS, help="Requests in flight at most; default: computed."),
    ] = None
    reserve: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the quota left to others' calls.")
    ] = 3.0
    # Options of one of the two commands alone, which overrides them.
    dry_run: bool = False
    undo: Path | None = None
    with_inferred: bool = False

    def admin(self) -> str | None:
        """Return the admin that was named, None for the token's own.

        Raises:
            InvalidArgumentError: the name is empty.
        """
        if self.admin_id is not None and not self.admin_id.strip():
            raise InvalidArgumentError("--admin-id", self.admin_id, "an admin's id")
        return self.admin_id or os.environ.get(ADMIN_ID_VARIABLE, "").strip() or None


Options = TypeVar("Options", bound=Plain)


def command(
    app: typer.Typer, options: type[Options], *examples: str
) -> Callable[
    [Callable[[Options], Coroutine[Any, Any, ExitStatus]]],
    Callable[[Options], Coroutine[Any, Any, ExitStatus]],
]:
    """Make a command of a coroutine function: its options are the fields of `options`."""

    def register(
        work: Callable[[Options], Coroutine[Any, Any, ExitStatus]],
    ) -> Callable[[Options], Coroutine[Any, Any, ExitStatus]]:
        def call(**given: Any) -> None:
            raise typer.Exit(carry_out(lambda: work(options(**given))))

        call.__name__, call.__doc__ = work.__name__, work.__doc__
        hints, fields = get_type_hints(options, include_extras=True), attrs.fields_dict(options)
        # A class's own options are shown before those that it shares with others.
        own_first = [name for kind in options.__mro__ for name in inspect.get_annotations(kind)]
        hints = {name: hints[name] for name in own_first if get_origin(hints[name]) is Annotated}
        call.__annotations__ = hints
        parameters = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=fields[name].default, annotation=hint
            )
            for name, hint in hints.items()
        ]
        vars(call)["__signature__"] = inspect.Signature(parameters)
        app.command(epilog=_epilog(*examples))(call)
        return work

    return register


def guarded(app: typer.Typer, function: Callable[..., None], *examples: str) -> None:
    """Add a command that is no coroutine and names its options in its own signature."""

    @functools.wraps(function)
    def call(**given: Any) -> None:
        raise typer.Exit(carry_out(lambda: function(**given)))

    app.command(epilog=_epilog(*examples))(call)


def _epilog(*examples: str) -> str:
    lines = "".join(f"\n  {example}" for example in examples)
    return f"\b\nExamples:{lines}\n\n{EXIT_STATUS}"


def _token(file: Path | None) -> str | None:
    """Return the token from a file or a hidden prompt; None if the environment has it.

    Raises:
        InvalidArgumentError: there is none.
    """
    if file is not None:
        return read_token(file)
    if os.environ.get(TOKEN_VARIABLE):
        return None
    if sys.stdin.isatty():
        with asking():
            return getpass.getpass("Intercom access token: ").strip()
    raise InvalidArgumentError("--token-file", None, f"given, or the token be in ${TOKEN_VARIABLE}")


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
        if name.strip() not in COLUMNS or not equals or not header.strip():
            raise InvalidArgumentError(
                "--columns", text, "like conversation_id=Thread,contact_id=Person,admin_id=Agent"
            )
        columns[name.strip()] = header.strip()
    return columns
