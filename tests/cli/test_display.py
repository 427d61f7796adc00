"""What a person sees of a run while it goes on and at its end."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from intercom_async.bulk import Cause, DetachSummary
from intercom_async.cli.display import Display
from intercom_async.cli.summary import show_summary
from intercom_async.detaching import Detach, Outcome
from intercom_async.observing import OutageStatus

ESCAPES = "\x1b]0;owned\x07"
CAUSE = Cause(outcome=Outcome.FAILED, error=f"HTTP 500{ESCAPES}", count=2, example=Detach("1", "2"))


def summary(outcomes: dict[Outcome, int], **facts: Any) -> DetachSummary:
    return DetachSummary(outcomes={**dict.fromkeys(Outcome, 0), **outcomes}, **facts)


def progress(now: DetachSummary, outage: OutageStatus | None = None, **options: Any) -> str:
    """The picture of a run's progress in a terminal of 80 columns."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard")
    run: Any = SimpleNamespace(summary=now, rate_limit=None, outage=outage)
    console.print(Display(console, run, **options).picture())
    return out.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def shown(of: DetachSummary, **options: Any) -> str:
    out = io.StringIO()
    show_summary(Console(file=out, width=80), of, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("outcomes", "facts", "said"),
    [
        ({Outcome.FAILED: 2}, {"causes": (CAUSE,)},
         "  2 failed: HTTP 500\\x1b]0;owned\\x07 (for example 1,2)\n"),
        ({Outcome.DETACHED: 1}, {"requests": 1}, "1 pair accounted for in 0 s: 1 request\n"),
        ({Outcome.DETACHED: 2000}, {"inferred": 1}, "1 pair without a reply, confirmed by a check"),
        ({Outcome.DETACHED: 5}, {"second_tries": 2},
         "2 pairs failed at first, and got a second try at the end"),
        ({Outcome.ALREADY_ABSENT: 3}, {}, "no contact was in its conversation"),
        *(({outcome: 3}, {}, f"3 {outcome.replace('_', ' ')}") for outcome in Outcome),
    ],
)  # fmt: skip
def test_a_summary_says_what_happened_and_why(
    outcomes: dict[Outcome, int], facts: dict[str, Any], said: str
) -> None:
    assert said in shown(summary(outcomes, **facts))


def test_a_resumed_run_with_nobody_attached_raises_no_alarm() -> None:
    text = shown(summary({Outcome.ALREADY_ABSENT: 3}, settled_before=3), bad_lines=1)
    assert "no contact was in its conversation" not in text
    assert "1 line gave no pair" in text


@pytest.mark.parametrize(
    ("dry_run", "said"), [(True, "3 would be detached"), (False, "3 detached")]
)
def test_a_dry_run_only_says_what_would_be(said: str, *, dry_run: bool) -> None:
    now = summary({Outcome.DETACHED: 3, Outcome.ALREADY_ABSENT: 1}, elapsed=2.0)
    line = plain(progress(now, dry_run=dry_run))
    assert line.startswith(f"4  2/s  {said}  1 already absent  ")
    assert f"{said}  1 already absent" in shown(now, dry_run=dry_run)


@pytest.mark.parametrize(
    ("next_look", "said"), [(12.0, "again in 12 s"), (0.3, "again in 1 s"), (0.0, "again now")]
)
def test_an_outage_is_shown_with_its_begin_its_reason_and_the_next_look(
    next_look: float, said: str
) -> None:
    outage = OutageStatus(since=192.0, reason=f"HTTP 503{ESCAPES}", next_look=next_look)
    _, line = plain(progress(summary({}), outage)).splitlines()
    since = r"Intercom has been away since \d\d:\d\d:\d\d"
    assert re.match(rf"{since}, asking {said}: HTTP 503\\x1b", line)


@pytest.mark.parametrize(("reason", "colour"), [(None, 32), ("HTTP 503" * 20, 33)])
def test_the_bar_is_green_while_all_is_well_and_fits_80_columns(
    reason: str | None, colour: int
) -> None:
    outage = OutageStatus(since=192.0, reason=reason, next_look=12.0) if reason else None
    now = summary(dict.fromkeys(Outcome, 1_234_567), retries=99_999, refusals=99_999)
    bar, *lines = progress(now, outage, total=20_000_000).splitlines()
    assert bar.startswith(f"\x1b[{colour}m━")
    assert [len(plain(line)) <= 80 for line in lines] == [True] * (2 if reason else 1)
