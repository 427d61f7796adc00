"""The command `demo`: a bulk detach with faults on the simulator, checked pair by pair."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs
from rich.console import Console

from intercom_async.cli.display import Display
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.files import journal_files, refuse_same_files
from intercom_async.cli.options import option
from intercom_async.cli.picture import save_picture
from intercom_async.cli.printing import amount, say, span
from intercom_async.cli.running import stopping
from intercom_async.cli.summary import show_summary
from intercom_async.client import IntercomClient
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal import reader
from intercom_async.private_files import rewrite
from intercom_async.simulator import Fault, IntercomSimulator

_LATENCY: Final = (0.02, 0.08)  # seconds that a reply from a nearby data centre takes

_FAULTS: Final = (
    (Fault.SERVER_ERROR, 0.004),
    (Fault.SERVER_ERROR_AFTER_APPLYING, 0.002),
    (Fault.HTML_ERROR, 0.002),
    (Fault.RESET_BEFORE_APPLYING, 0.002),
    (Fault.RESET_AFTER_APPLYING, 0.002),
    (Fault.TRUNCATED_BODY, 0.002),
)
"""What goes wrong, and with which part of the requests."""

_GONE: Final = frozenset({Outcome.DETACHED, Outcome.ALREADY_ABSENT})


@attrs.frozen(kw_only=True)
class DemoOptions:
    """The options of `demo`."""

    pairs: int = option(4000, "Contacts to detach.", min=1)
    limit: int = option(1667, "Requests per 10-second window.", min=1)
    seed: int = option(1, "Seed of the random faults.")
    journal: Path | None = option(
        None, "Keep the run in this file: the same command goes on after a Ctrl-C or a crash."
    )
    svg: Path | None = option(None, "Also save what it prints as a picture.")


async def demo(options: DemoOptions, console: Console | None = None) -> ExitStatus:
    """Show a bulk detach on a simulator with faults.

    Each result is compared with what the simulator did.
    """
    console, progress = console or Console(record=True), Console(stderr=True)
    simulator, pairs, detached = _prepare(options)
    seconds = math.ceil((len(pairs) - detached) / options.limit) * simulator.quota.window
    say(
        console,
        f"In up to {span(seconds)}, {'the rest of ' if detached else ''}{len(pairs):,} contacts "
        "are detached on a simulated Intercom in this process; Ctrl-C stops it.",
    )
    say(
        console,
        f"{options.limit:,} requests fit into a 10-second window, and "
        f"{sum(probability for _, probability in _FAULTS):.1%} of the requests go wrong.",
    )
    async with simulator, IntercomClient(simulator.token, base_url=simulator.url) as client:
        run = client.detach_contacts(pairs, admin_id=simulator.admin_id, journal=options.journal)
        with stopping(run, progress) as stopped:
            async with run, Display(progress, run, total=len(pairs)):
                results = [(result.detach, result.outcome) async for result in run]
    summary = run.summary
    problems = [*_problems(results, simulator)]
    missing = len(pairs) - len(results) - summary.settled_before
    if missing and not stopped:
        problems.append(f"{missing} pairs were never reported")

    show_summary(console, summary)
    say(console, _quota(simulator))
    for problem in problems[:20]:
        say(console, problem, "red")
    if problems:
        say(console, f"{len(problems)} results disagree with the simulator", "bold red")
    else:
        agreed = f"All {len(results):,} results agree with the simulator's state, pair by pair."
        say(console, agreed, "bold green")
    if options.svg is not None:
        with rewrite(options.svg) as file:
            save_picture(console, "intercom-async demo", file)
    if stopped:
        how = "run the same command again" if options.journal else "begin with --journal demo.db"
        say(console, f"To go on with a demo that was stopped, {how}.")
    if stopped and not problems:
        return ExitStatus.INTERRUPTED
    done = not problems and summary.settled == summary.total
    return ExitStatus.SETTLED if done else ExitStatus.SOME_FAILED


def _prepare(options: DemoOptions) -> tuple[IntercomSimulator, list[tuple[str, str]], int]:
    """Return the simulator, its pairs, and how many of them an earlier session detached."""
    if options.journal is not None and options.svg is not None:
        kept = (("--journal", file) for file in journal_files(options.journal))
        refuse_same_files(kept, [("--svg", options.svg)])
    port, states = 0, dict[tuple[str, str], str]()
    if options.journal is not None and reader.is_journal(options.journal):
        with reader.open(options.journal) as journal:
            port = urlsplit(journal.binding.base_url).port or 0
            states = {(row.conversation_id, row.contact_id): row.state for row in journal.rows()}
    simulator = IntercomSimulator(
        limit=options.limit, latency=_LATENCY, seed=options.seed, port=port
    )
    pairs = simulator.workspace.populate(conversations=options.pairs)
    if not set(pairs).issuperset(states):
        expected = "the journal of a demo with the same --pairs and --seed"
        raise InvalidArgumentError("--journal", str(options.journal), expected)
    detached = [pair for pair, state in states.items() if state in _GONE]
    for pair in detached:  # this simulator knows nothing of the earlier session
        simulator.workspace.detach(*pair)
    for fault, probability in _FAULTS:
        simulator.faults.add(fault, probability=probability)
    return simulator, pairs, len(detached)


def _problems(
    results: Sequence[tuple[Detach, Outcome]], simulator: IntercomSimulator
) -> Iterator[str]:
    """Yield a sentence for each result that disagrees with the simulator."""
    for pair, outcome in results:
        key = (pair.conversation_id, pair.contact_id)
        attached = simulator.workspace.attached(*key)
        if simulator.applied[key] > 1:
            yield f"{key} was applied {simulator.applied[key]} times"
        elif outcome is not Outcome.UNKNOWN and attached is (outcome in _GONE):
            yield f"{key} is reported {outcome}, but attached is {attached}"
    for pair, times in Counter(pair for pair, _ in results).items():
        if times > 1:
            yield f"{pair} was reported {times} times"


def _quota(simulator: IntercomSimulator) -> str:
    requests, limit = simulator.requests, simulator.quota.limit
    share = requests.refused / requests.total if requests.total else 0.0
    text = f"the simulator refused {requests.refused:,} requests ({share:.2%})"
    if whole := simulator.quota.windows[1:-1]:
        used = sum(window.accepted for window in whole) / (limit * len(whole))
        text += f"; {used:.1%} of the quota used in {amount(len(whole), 'whole window')}"
    return text
