"""The main job, shown on the embedded simulator: a bulk detach with faults, checked afterwards."""

import math
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs
from rich.console import Console
from rich.table import Table

from intercom_async.bulk import DetachSummary
from intercom_async.cli.bulk import Interrupter
from intercom_async.cli.display import Display, outcome_counts
from intercom_async.cli.options import option
from intercom_async.cli.running import ExitStatus, span
from intercom_async.cli.signals import interrupts
from intercom_async.client import IntercomClient
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal import reader
from intercom_async.journal.reader import is_journal
from intercom_async.simulator import Fault, IntercomSimulator

LATENCY: Final = (0.02, 0.08)
"""Seconds a reply takes, about what a nearby data centre has."""

FAULTS: Final = (
    (Fault.SERVER_ERROR, 0.004),
    (Fault.SERVER_ERROR_AFTER_APPLYING, 0.002),
    (Fault.HTML_ERROR, 0.002),
    (Fault.RESET_BEFORE_APPLYING, 0.002),
    (Fault.RESET_AFTER_APPLYING, 0.002),
    (Fault.TRUNCATED_BODY, 0.002),
)
"""What goes wrong, and for which part of the requests."""


@attrs.frozen(kw_only=True)
class DemoOptions:
    """What `demo` is given."""

    pairs: int = option(4000, "Contacts to detach.", min=1)
    limit: int = option(1667, "Requests per 10-second window.", min=1)
    seed: int = option(1, "Of the faults.")
    journal: Path | None = option(
        None, "Keep the run in this file: the same command goes on after a Ctrl-C or a crash."
    )


async def demo(options: DemoOptions) -> ExitStatus:
    """Show a bulk detach on a simulator with faults.

    What each result says is compared with what the simulator did.
    """
    return await show(
        pairs=options.pairs,
        limit=options.limit,
        seed=options.seed,
        journal=options.journal,
        console=Console(),
    )


async def show(
    *, pairs: int, limit: int, seed: int, console: Console, journal: Path | None = None
) -> ExitStatus:
    """Run the demo and say whether the simulator agrees with every single result."""
    kept = _kept(journal)
    simulator = IntercomSimulator(limit=limit, latency=LATENCY, seed=seed, port=kept.port)
    populated = simulator.workspace.populate(conversations=pairs)
    if not set(populated).issuperset(kept.pairs):
        raise InvalidArgumentError("--journal", str(journal), "of the same --pairs and --seed")
    for pair in kept.detached:  # the simulator is as the earlier session left it
        simulator.workspace.detach(*pair)
    for fault, probability in FAULTS:
        simulator.faults.add(fault, probability=probability)
    seconds = math.ceil((pairs - len(kept.detached)) / limit) * simulator.quota.window
    console.print(
        f"In up to {span(seconds)}, {'the rest of ' if kept.detached else ''}{pairs:,} contacts "
        "are detached on a simulated Intercom in this process; Ctrl-C stops it.\n"
        f"{limit:,} requests fit into a 10-second window, and "
        f"{sum(probability for _, probability in FAULTS):.1%} of the requests go wrong.",
        highlight=False,
    )
    async with simulator:
        mismatches: list[str] = []
        reported: set[tuple[str, str]] = set()
        async with IntercomClient(simulator.token, base_url=simulator.url) as client:
            run = client.detach_contacts(populated, admin_id=simulator.admin_id, journal=journal)
            interrupter = Interrupter(run, console)
            with interrupts(interrupter):
                async with run, Display(console, run, total=pairs):
                    async for result in run:
                        pair = (result.detach.conversation_id, result.detach.contact_id)
                        problem = _check(simulator, result.detach, result.outcome)
                        if pair in reported:
                            problem = f"{pair} was reported twice"
                        reported.add(pair)
                        mismatches += [problem] if problem else []
            summary = run.summary
    interrupted = interrupter.presses > 0
    missing = pairs - len(reported) - summary.settled_before
    if missing and not interrupted:
        mismatches.append(f"{missing} pairs were never reported")
    console.print(outcome_counts(summary), highlight=False)
    console.print(_table(summary, simulator, limit=limit))
    agrees = _agrees(console, mismatches, len(reported))
    if interrupted:
        again = "the same command" if journal is not None else "begin with --journal demo.db"
        console.print(f"To go on where a demo was stopped: {again}.", highlight=False)
    if not agrees:
        return ExitStatus.SOME_FAILED
    if interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SETTLED if summary.settled == summary.total else ExitStatus.SOME_FAILED


def _agrees(console: Console, mismatches: list[str], reported: int) -> bool:
    """Say whether the simulator agrees with what was reported."""
    for mismatch in mismatches[:20]:
        console.print(mismatch, style="red", markup=False)
    if mismatches:
        console.print(f"{len(mismatches)} results disagree with the simulator", style="bold red")
    else:
        console.print(
            f"All {reported:,} results agree with the simulator's state, pair by pair.",
            style="bold green",
            highlight=False,
        )
    return not mismatches


@attrs.frozen
class _Kept:
    """What an earlier session left: the simulator's port, its pairs, and those detached."""

    port: int = 0
    pairs: tuple[tuple[str, str], ...] = ()
    detached: tuple[tuple[str, str], ...] = ()


def _kept(journal: Path | None) -> _Kept:
    if journal is None or not is_journal(journal):
        return _Kept()
    with reader.open(journal) as found:
        states = {(row.conversation_id, row.contact_id): row.state for row in found.rows()}
        gone = {Outcome.DETACHED, Outcome.ALREADY_ABSENT}
        detached = tuple(pair for pair, state in states.items() if state in gone)
        return _Kept(urlsplit(found.binding.base_url).port or 0, tuple(states), detached)


def _check(simulator: IntercomSimulator, pair: Detach, outcome: Outcome) -> str | None:
    """Compare one result with what the simulator holds; None when they agree."""
    key = (pair.conversation_id, pair.contact_id)
    applied = simulator.applied[key]
    attached = simulator.workspace.attached(*key)
    if applied > 1:
        return f"{key} was applied {applied} times"
    expected_attached = outcome not in {Outcome.DETACHED, Outcome.ALREADY_ABSENT}
    if outcome is not Outcome.UNKNOWN and attached is not expected_attached:
        return f"{key} is reported {outcome}, but attached is {attached}"
    return None


def _table(summary: DetachSummary, simulator: IntercomSimulator, *, limit: int) -> Table:
    requests = simulator.requests
    windows = simulator.quota.windows
    whole = windows[1:-1]
    table = Table.grid(padding=(0, 3))
    table.add_row("pairs accounted for", f"{summary.total:,}")
    table.add_row("confirmed by a check", f"{summary.inferred:,}")
    table.add_row(
        "requests", f"{requests.total:,} ({summary.retries:,} of them retries and checks)"
    )
    share = requests.refused / requests.total if requests.total else 0.0
    table.add_row("refused by the rate limit", f"{requests.refused:,} ({share:.2%})")
    if whole:
        used = sum(window.accepted for window in whole) / (limit * len(whole))
        table.add_row("quota used in whole windows", f"{used:.1%} of {len(whole)} x {limit:,}")
    table.add_row(
        "time", f"{summary.elapsed:.1f} s (with every window filled: {summary.ideal or 0:.1f} s)"
    )
    return table
