"""The main job, shown on the embedded simulator: a bulk detach with faults, checked afterwards."""

from typing import Final

from rich.console import Console
from rich.table import Table

from intercom_async.bulk import DetachSummary
from intercom_async.cli.bulk import Interrupter
from intercom_async.cli.display import Display, outcome_counts
from intercom_async.cli.running import ExitStatus
from intercom_async.cli.signals import interrupts
from intercom_async.client import IntercomClient
from intercom_async.detaching import Detach, Outcome
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


async def show(*, pairs: int, limit: int, seed: int, console: Console) -> ExitStatus:
    """Run the demo and say whether the simulator agrees with every single result."""
    async with IntercomSimulator(limit=limit, latency=LATENCY, seed=seed) as simulator:
        for fault, probability in FAULTS:
            simulator.faults.add(fault, probability=probability)
        populated = simulator.workspace.populate(conversations=pairs)
        console.print(
            f"Detaching {pairs:,} contacts on a simulated Intercom at {simulator.url}: "
            f"{limit:,} requests per 10-second window, "
            f"{sum(probability for _, probability in FAULTS):.1%} of requests go wrong.",
            highlight=False,
        )
        mismatches: list[str] = []
        reported: set[tuple[str, str]] = set()
        async with IntercomClient(simulator.token, base_url=simulator.url) as client:
            run = client.detach_contacts(populated, admin_id=simulator.admin_id)
            interrupter = Interrupter(run, console)
            with interrupts(interrupter):
                async with run, Display(console, run, total=pairs):
                    async for result in run:
                        pair = (result.detach.conversation_id, result.detach.contact_id)
                        if pair in reported:
                            mismatches.append(f"{pair} was reported twice")
                        reported.add(pair)
                        problem = _check(simulator, result.detach, result.outcome)
                        if problem is not None:
                            mismatches.append(problem)
            summary = run.summary
    if not interrupter.presses and len(reported) != pairs:
        mismatches.append(f"{pairs - len(reported)} pairs were never reported")
    console.print(outcome_counts(summary), highlight=False)
    console.print(_table(summary, simulator, limit=limit))
    for mismatch in mismatches[:20]:
        console.print(mismatch, style="red", markup=False)
    if mismatches:
        console.print(f"{len(mismatches)} results disagree with the simulator", style="bold red")
        return ExitStatus.SOME_FAILED
    console.print(
        f"All {len(reported):,} results agree with the simulator's state, pair by pair.",
        style="bold green",
        highlight=False,
    )
    if interrupter.presses:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SETTLED if summary.settled == summary.total else ExitStatus.SOME_FAILED


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
