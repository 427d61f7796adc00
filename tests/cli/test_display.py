"""What a person is told of a run, and a program."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from intercom_async.bulk import DetachSummary
from intercom_async.bulk.summary import Cause
from intercom_async.cli.display import Display, outage_line, progress_line, show_summary
from intercom_async.cli.running import amount
from intercom_async.detaching import Detach, Outcome
from intercom_async.observing import OutageStatus

ESCAPES = "\x1b]0;owned\x07"


def summary(outcomes: dict[Outcome, int], **facts: Any) -> DetachSummary:
    return DetachSummary(outcomes={**dict.fromkeys(Outcome, 0), **outcomes}, **facts)


def shown(told: DetachSummary, *, bad_lines: int = 0, dry_run: bool = False) -> str:
    out = io.StringIO()
    show_summary(Console(file=out, width=80), told, bad_lines=bad_lines, dry_run=dry_run)
    return out.getvalue()


CAUSE = Cause(outcome=Outcome.FAILED, error=f"HTTP 500{ESCAPES}", count=2, example=Detach("1", "2"))


class TestSummary:
    def test_causes_are_told_with_an_example_each(self) -> None:
        told = summary({Outcome.FAILED: 2}, causes=(CAUSE,))
        assert "  2 failed: HTTP 500\\x1b]0;owned\\x07 (for example 1,2)\n" in shown(told)
        (cause,) = told.to_dict()["causes"]
        assert cause == {
            "outcome": "failed",
            "error": CAUSE.error,
            "count": 2,
            "example": {"conversation_id": "1", "contact_id": "2"},
        }

    def test_one_is_not_many(self) -> None:
        told = shown(summary({Outcome.DETACHED: 1}, requests=1, inferred=1), bad_lines=1)
        assert "1 pair accounted for" in told
        assert "1 request\n" in told
        assert "1 line gave no pair" in told
        assert (amount(1, "pair"), amount(2000, "pair")) == ("1 pair", "2,000 pairs")

    def test_a_dry_run_says_would_be(self) -> None:
        outcomes = {Outcome.DETACHED: 5, Outcome.ALREADY_ABSENT: 1}
        told = shown(summary(outcomes), dry_run=True)
        assert "5 would be detached  1 already absent" in told

    def test_the_second_try_is_told_as_such(self) -> None:
        told = shown(summary({Outcome.DETACHED: 5}, second_tries=2))
        assert "2 pairs failed at first and tried again at the end" in told

    @pytest.mark.parametrize(("before", "loud"), [(0, True), (3, False)])
    def test_a_run_that_found_nobody_attached_says_so_loudly(
        self, before: int, *, loud: bool
    ) -> None:
        told = shown(summary({Outcome.ALREADY_ABSENT: 3}, settled_before=before))
        assert ("no contact was in its conversation" in told) is loud

    def test_a_job_of_two_seconds_is_not_told_to_have_used_398_percent_of_the_quota(self) -> None:
        told = summary({Outcome.DETACHED: 3}, requests=160, limit=200, elapsed=2.0)
        assert told.quota_used == 4.0
        assert told.to_dict()["quota_used"] is None
        told = summary({Outcome.DETACHED: 3}, requests=160, limit=200, elapsed=20.0)
        assert told.to_dict()["quota_used"] == 0.4


class TestProgress:
    OUTAGE = OutageStatus(since=192.0, reason=f"HTTP 503{ESCAPES}", next_look=12.0)

    def test_an_outage_is_told_with_its_begin_its_reason_and_the_next_look(self) -> None:
        line = outage_line(self.OUTAGE, 1_750_000_192.0).plain
        told = r"Intercom is away since \d\d:\d\d:\d\d, asking again in 12 s: HTTP 503\\x1b"
        assert re.match(told, line)
        assert "\x1b" not in line

    @pytest.mark.parametrize(
        ("seconds", "told"), [(0.0, "asking again now"), (0.3, "asking again in 1 s")]
    )
    def test_the_next_look_is_now_or_later(self, seconds: float, told: str) -> None:
        outage = OutageStatus(since=1.0, reason="HTTP 503", next_look=seconds)
        assert told in outage_line(outage, 1_750_000_192.0).plain

    @pytest.mark.parametrize(("outage", "colour"), [(None, 32), (OUTAGE, 33)])
    def test_the_bar_is_green_while_all_is_well_and_fits_80_columns(
        self, outage: OutageStatus | None, colour: int
    ) -> None:
        out = io.StringIO()
        console = Console(file=out, width=80, force_terminal=True, color_system="standard")
        now = summary(dict.fromkeys(Outcome, 1_234_567), retries=99_999, refusals=99_999)
        run: Any = SimpleNamespace(summary=now, rate_limit=None, outage=outage)
        console.print(Display(console, run, total=20_000_000).picture())
        bar, *lines = out.getvalue().splitlines()
        assert bar.startswith(f"\x1b[{colour}m━")
        assert len(lines) == (1 if outage is None else 2)
        assert max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines) <= 80

    @pytest.mark.parametrize(
        ("dry_run", "told"), [(True, "3 would be detached"), (False, "3 detached")]
    )
    def test_a_dry_run_only_says_what_would_be(self, told: str, *, dry_run: bool) -> None:
        line = progress_line(
            summary({Outcome.DETACHED: 3}), None, rate=1.0, total=None, dry_run=dry_run
        )
        assert f"  {told}  " in line.plain
