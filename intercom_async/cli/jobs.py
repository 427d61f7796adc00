"""The commands `submit`, `work` and `status`, for runs that many machines share."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.feed import Feed
from intercom_async.cli.inputs import read_file
from intercom_async.cli.options import argument, option
from intercom_async.cli.printing import print_out
from intercom_async.cli.sources import read_routed_pairs
from intercom_async.errors import ClientStateError, InvalidArgumentError
from intercom_async.pool import IntercomPool, WorkspaceAccess

if TYPE_CHECKING:
    import procrastinate

    from intercom_async.integrations.procrastinate import DetachJobs

DATABASE_VARIABLE: Final = "INTERCOM_DATABASE_URL"


@attrs.frozen(kw_only=True)
class JobOptions:
    """The options that all three commands have; `status` has no others."""

    run: str = option("default", "The run's name.")
    database: str | None = option(
        None, f"postgresql:// address without a password; default: ${DATABASE_VARIABLE}."
    )

    def open(
        self, access: dict[str, WorkspaceAccess] | None = None
    ) -> "tuple[procrastinate.App, DetachJobs]":
        """Return the engine and the jobs."""
        try:
            import procrastinate  # noqa: PLC0415  of an extra

            from intercom_async.integrations.procrastinate import DetachJobs  # noqa: PLC0415
        except ImportError as error:
            raise ClientStateError(
                "submit, work and status need the extra 'postgres': "
                f"pip install 'intercom_async[postgres]' ({error})"
            ) from error
        url = self.database or os.environ.get(DATABASE_VARIABLE)
        if not url:
            raise InvalidArgumentError("--database", None, f"given, or in ${DATABASE_VARIABLE}")
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        return app, DetachJobs(app, lambda: IntercomPool(access or {}), url)


@attrs.frozen(kw_only=True)
class SubmitOptions(JobOptions):
    """The options of `submit`."""

    source: str = argument(
        "-",
        "CSV with workspace, conversation_id and contact_id, or JSON lines; - for standard input.",
    )
    prepare: bool = option(False, "First create the engine's tables; needed once.", "--prepare")


@attrs.frozen(kw_only=True)
class WorkOptions(JobOptions):
    """The options of `work`."""

    workspaces: Path = argument(
        Path("workspaces.json"), 'JSON: {"acme": {"token": "...", "region": "eu"}, ...}.'
    )
    until_empty: bool = option(False, "End when nothing is left to do.", "--until-empty")
    at_once: int = option(50, "Workspaces to work on at once.", min=1)


async def submit(options: SubmitOptions) -> ExitStatus:
    """Put the pairs of many workspaces into PostgreSQL.

    After a crash, the same command goes on where it was.
    """
    app, jobs = options.open()
    async with app.open_async():
        if options.prepare:
            await app.schema_manager.apply_schema_async()
        entries = read_file(Path(options.source), read_routed_pairs)
        pairs = Feed(entries, options.source, None, True)
        new = await jobs.submit(pairs, run=options.run)
    print_out(f"{new:,} pairs are new in the run {options.run}")
    return ExitStatus.SETTLED


async def work(options: WorkOptions) -> ExitStatus:
    """Detach what was submitted, on any number of machines.

    It ends at Ctrl-C or SIGTERM, which let requests in flight finish.
    """
    _, jobs = options.open(_access(options.workspaces))
    await jobs.work(concurrency=options.at_once, wait=not options.until_empty)
    return ExitStatus.SETTLED


def _access(path: Path) -> dict[str, WorkspaceAccess]:
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_bytes())
        return {workspace: WorkspaceAccess(**facts) for workspace, facts in found.items()}
    except (ValueError, TypeError, AttributeError):
        # The cause is dropped: it may show a token.
        raise InvalidArgumentError(
            "WORKSPACES", str(path), 'JSON: {"acme": {"token": "...", "region": "eu"}}'
        ) from None


async def status(options: JobOptions) -> ExitStatus:
    """Show the numbers of a run as JSON."""
    _, jobs = options.open()
    found = await jobs.status(options.run)
    if found.state is None:
        raise InvalidArgumentError("--run", options.run, "the name of a run that was submitted")
    print_out(json.dumps(attrs.asdict(found)))
    return ExitStatus.SETTLED
