"""The options that commands share, and how a class of options becomes a command."""

import contextlib
import getpass
import inspect
import os
import sys
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, cast

import attrs
import typer

from intercom_async.cli.exit_status import EXIT_STATUS, ExitStatus
from intercom_async.cli.running import carry_out
from intercom_async.cli.signals import interruptible
from intercom_async.cli.sources import PEOPLE
from intercom_async.cli.token_file import read_token
from intercom_async.client import TOKEN_VARIABLE, IntercomClient
from intercom_async.errors import InvalidArgumentError
from intercom_async.pacing.window import RateLimitPolicy
from intercom_async.pairs import COLUMNS
from intercom_async.people import By
from intercom_async.transport.http import CONNECTIONS
from intercom_async.transport.wire import Region  # noqa: TC001  typer reads no such hint

_REGION_VARIABLE: Final = "INTERCOM_REGION"
_BASE_URL_VARIABLE: Final = "INTERCOM_BASE_URL"
_ADMIN_ID_VARIABLE: Final = "INTERCOM_ADMIN_ID"
_TYPER: Final = "typer"


def option(default: Any, text: str, *names: str, **facts: Any) -> Any:
    """Return a field that is an option of the command line; a flag must be named."""
    return attrs.field(default=default, metadata={_TYPER: typer.Option(*names, help=text, **facts)})


def argument(default: Any, text: str, **facts: Any) -> Any:
    """Return a field that is a positional argument of the command line."""
    return attrs.field(default=default, metadata={_TYPER: typer.Argument(help=text, **facts)})


@attrs.frozen(kw_only=True)
class Connection:
    """How to reach a workspace, and with which token."""

    region: str | None = option(None, f"us, eu or au; default: ${_REGION_VARIABLE}, else us.")
    base_url: str | None = option(
        None, f"Another address, e.g. a simulator's; default: ${_BASE_URL_VARIABLE}."
    )
    token_file: Path | None = option(
        None, f"File with the access token; default: ${TOKEN_VARIABLE}, else a hidden prompt."
    )
    proxy: str | None = option(
        None, "HTTP proxy, e.g. http://proxy:3128; default: $HTTPS_PROXY, unless $NO_PROXY applies."
    )
    intercom_version: str = option("Preview", "Value of the Intercom-Version header.")
    as_json: bool = option(False, "Print JSON on standard output.", "--json")

    def open_client(self, *, reserve: float = 3.0) -> IntercomClient:
        """Return a client; --region on the command line precedes an address in the environment."""
        base_url = self.base_url
        if base_url is None and self.region is None:
            base_url = os.environ.get(_BASE_URL_VARIABLE) or None
        return IntercomClient(
            self._token(),
            region=cast("Region", self.region or os.environ.get(_REGION_VARIABLE) or "us"),
            proxy=self.proxy,
            base_url=base_url,
            version=self.intercom_version,
            rate_limit=RateLimitPolicy(reserve=reserve / 100.0),
        )

    def _token(self) -> str | None:
        """Return the token from a file or a hidden prompt; None if the environment has it."""
        if self.token_file is not None:
            return read_token(self.token_file)
        if os.environ.get(TOKEN_VARIABLE):
            return None
        if sys.stdin.isatty():
            with interruptible(), contextlib.suppress(EOFError):
                return getpass.getpass("Intercom access token: ").strip()
        expected = f"given, unless the token is in ${TOKEN_VARIABLE}"
        raise InvalidArgumentError("--token-file", None, expected)


@attrs.frozen(kw_only=True)
class JournalOptions:
    """Which run a report or an export is about."""

    journal: str = argument(
        attrs.NOTHING,
        "The journal of a run, even one that is still going on: a file, or postgresql://...",
    )
    run: str | None = option(None, "The run's name in PostgreSQL.")


@attrs.frozen(kw_only=True)
class PeopleOptions(Connection):
    """How people are looked up, and where."""

    by: By = option("email", "What names the people in the list.")
    one_per_address: bool = option(
        False, "Leave out people who match several contacts, and list them.", "--one-per-address"
    )


@attrs.frozen(kw_only=True)
class ChangeOptions(PeopleOptions):
    """All options of `detach` and `attach`; each command leaves some of them out."""

    verb: str = "detach"
    source: str | None = argument(
        None,
        "CSV with a header, or JSON lines; - for standard input. With the journal of a run, that "
        "run goes on.",
        show_default=False,
    )
    people: Path | None = option(
        None, "Detach these people from every group conversation; - for standard input."
    )
    undo: Path | None = option(None, "Put back the contacts that the run of this journal removed.")
    with_inferred: bool = option(
        False, "Also put back pairs that only a check showed to be removed.", "--with-inferred"
    )
    journal: Path | None = option(
        None, "Keep the run in this file; the same command then goes on with it."
    )
    dry_run: bool = option(
        False, "Change nothing; look at each pair and say what would happen.", "--dry-run"
    )
    admin_id: str | None = option(
        None, f"Admin who acts; default: ${_ADMIN_ID_VARIABLE}, else the token's own."
    )
    yes: bool = option(False, "Do not ask first.", "--yes", "-y")
    columns: str | None = option(
        None, "The columns' names in the file: conversation_id=Thread,contact_id=Person."
    )
    strict: bool = option(False, "Stop at the first line that is not a pair.", "--strict")
    limit: int | None = option(None, "Take only this many lines.", min=1)
    output: Path | None = option(
        None, "Write each result to this file as a JSON line; - for standard output."
    )
    quiet: bool = option(False, "Show no progress.", "--quiet", "-q")
    patience: float = option(
        15.0, "Minutes to wait while Intercom is away before the run stops.", min=0.1
    )
    force: bool = option(
        False, "Go on even if hardly any of the first 100 conversations exists.", "--force"
    )
    concurrency: int | None = option(
        None, "Requests in flight, at most; default: computed.", min=1, max=CONNECTIONS
    )
    reserve: float = option(3.0, "Percent of the quota left to other programs.", min=0, max=100)

    def admin(self) -> str | None:
        """Return the admin that was named, None for the token's own."""
        if self.admin_id is not None and not self.admin_id.strip():
            raise InvalidArgumentError("--admin-id", self.admin_id, "an admin's id")
        return self.admin_id or os.environ.get(_ADMIN_ID_VARIABLE, "").strip() or None


Options = TypeVar("Options", bound=attrs.AttrsInstance)


def command(
    app: typer.Typer,
    options: type[Options],
    work: Callable[[Options], Coroutine[Any, Any, ExitStatus] | ExitStatus],
    *examples: str,
    without: Collection[str] = (),
) -> None:
    """Add a command that does `work`; its options are the fields of `options`, without some."""

    def call(**given: Any) -> None:
        raise typer.Exit(carry_out(lambda: work(options(**given))))

    signature = inspect.signature(options)
    parameters: list[inspect.Parameter] = []
    # The help shows a command's own options before those it shares.
    for field in sorted(attrs.fields(options), key=lambda one: one.inherited):
        if _TYPER in field.metadata and field.name not in without:
            one = signature.parameters[field.name]
            parameters.append(
                one.replace(annotation=Annotated[one.annotation, field.metadata[_TYPER]])
            )
    call.__name__, call.__doc__ = work.__name__, work.__doc__
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    vars(call)["__signature__"] = signature.replace(parameters=parameters)
    lines = "".join(f"\n  intercom-async {example}" for example in examples)
    app.command(epilog=f"\b\nExamples:{lines}\n\n{EXIT_STATUS}")(call)


def parse_columns(text: str | None) -> dict[str, str]:
    """Return the file's name of each column that --columns gives."""
    columns: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, header = part.partition("=")
        if name.strip() not in {*COLUMNS, *PEOPLE.values()} or not equals or not header.strip():
            raise InvalidArgumentError(
                "--columns", text, "like conversation_id=Thread,contact_id=Person,admin_id=Agent"
            )
        columns[name.strip()] = header.strip()
    return columns
