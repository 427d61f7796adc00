"""What a run removed, read from its journal to be put back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from intercom_async.cli.running import say
from intercom_async.detaching import Detach, Outcome
from intercom_async.journal import latest

LISTED: Final = 100
"""Pairs that are listed at most."""


class Undo:
    """The pairs that a run detached, as an iterable of known length.

    Pairs of which only a check said that they were removed are left out unless asked for: they
    may have been absent before the run.

    Args:
        path: the run's journal.
        with_inferred: whether such pairs are put back, too.

    Raises:
        JournalError: the journal cannot be read.
    """

    def __init__(self, path: Path, *, with_inferred: bool) -> None:
        self._path = path
        self._with_inferred = with_inferred
        self._length = 0
        self._left_out: list[Detach] = []
        self._left_out_count = 0
        for record in latest(path):
            if record.outcome is not Outcome.DETACHED:
                continue
            if with_inferred or not record.inferred:
                self._length += 1
                continue
            self._left_out_count += 1
            if len(self._left_out) < LISTED:
                self._left_out.append(record.detach)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Detach]:
        for record in latest(self._path):
            wanted = self._with_inferred or not record.inferred
            if record.outcome is Outcome.DETACHED and wanted:
                yield record.detach

    def show_left_out(self, console: Console) -> None:
        """List the pairs that are left out."""
        if not self._left_out:
            return
        say(
            console,
            f"left out: {self._left_out_count:,} pairs whose detach was only inferred (they may "
            "have been absent before the run); --with-inferred puts them back, too:",
            "yellow",
        )
        for pair in self._left_out:
            say(console, f"  {pair.conversation_id},{pair.contact_id}", "yellow")
        if self._left_out_count > len(self._left_out):
            say(console, f"  and {self._left_out_count - len(self._left_out):,} more", "yellow")
