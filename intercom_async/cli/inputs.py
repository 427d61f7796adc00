"""Where the pairs of a run come from: a file, standard input, what a journal left, an undo."""

import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console

from intercom_async.cli.options import BulkOptions, parse_columns
from intercom_async.cli.running import amount, say
from intercom_async.cli.sources import BadLine, read_pairs
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal import Binding, Source
from intercom_async.journal import reader as journal_reader
from intercom_async.journal.reader import Reader

LISTED: Final = 100
"""Pairs that an undo lists as left out, at most."""

_DETACHED: Final = (Outcome.DETACHED.value,)


@attrs.frozen(kw_only=True)
class Input:
    """Pairs, not read yet.

    Attributes:
        lines: opens and reads it, in a thread; None for what the run's own journal left.
        name: for messages.
        source: what the journal keeps of it.
        countable: whether it can be read twice.
        files: what must not be written meanwhile.
        journal: where the run's journal is unless it is named.
        binding: what the journal that it comes from belongs to.
        total: pairs there are, where that is known without reading.
        missing: why a part of the input cannot be had, None if it can.
    """

    lines: Callable[[], Iterator[Detach | BadLine]] | None
    name: str
    source: Source
    countable: bool = False
    files: Mapping[str, Path | int] = attrs.field(factory=dict[str, Path | int])
    journal: Path | None = None
    binding: Binding | None = None
    total: int | None = None
    missing: str | None = None


def find_input(options: BulkOptions, console: Console) -> Input:
    """Say where the pairs come from.

    Raises:
        InvalidArgumentError: the arguments name nothing, or something else.
        JournalError: a journal cannot be read.
        OSError: there is no such file.
    """
    if options.source is not None and options.undo is not None:
        raise InvalidArgumentError("SOURCE", options.source, "left out with --undo")
    if options.undo is not None:
        return _undo(options.undo, console, with_inferred=options.with_inferred)
    if options.source is None:
        expected = "a file, or - for standard input"
        undo = ", or --undo JOURNAL" if options.verb == "attach" else ""
        raise InvalidArgumentError("SOURCE", None, expected + undo)
    columns = parse_columns(options.columns)
    if options.source == "-":
        return _standard_input(columns)
    path = Path(options.source)
    regular = stat.S_ISREG(path.stat().st_mode)
    if regular and journal_reader.is_journal(path):
        if options.limit is not None:
            raise InvalidArgumentError("--limit", options.limit, "left out with a journal")
        return _journal(path, options)
    # A limited run took what it was to take: nobody is to read on in its file.
    kind = "file" if regular and options.limit is None else "a part of a file"
    return Input(
        lines=lambda: _read_file(path, columns),
        name=options.source,
        source=Source(kind=kind, name=str(path.absolute()), columns=columns or None),
        countable=regular,
        files={"SOURCE": path},
    )


def _read_file(path: Path, columns: Mapping[str, str]) -> Iterator[Detach | BadLine]:
    with path.open("rb") as stream:
        yield from read_pairs(stream, str(path), columns=columns)


def _standard_input(columns: Mapping[str, str]) -> Input:
    def read() -> Iterator[Detach | BadLine]:
        # Not Python's own stream: a thread that waits in it would keep the process from ending.
        with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
            yield from read_pairs(stream, "standard input", columns=columns)

    return Input(
        lines=read,
        name="standard input",
        source=Source(kind="standard input", columns=columns or None),
        files={"standard input": sys.stdin.fileno()},
    )


def _journal(path: Path, options: BulkOptions) -> Input:
    with journal_reader.open(path) as journal:
        binding, sessions = journal.binding, journal.sessions
        counts = journal.counts()
    if binding.operation != options.verb:
        raise InvalidArgumentError(
            "SOURCE",
            str(path),
            f"pairs, or the journal of {_an(options.verb)}",
            seen=f"is the journal of {_an(binding.operation)}; `attach --undo` puts back what a "
            "detach removed",
        )
    last = next(
        (one for one in reversed(sessions) if one.source and one.source.kind != "journal"), None
    )
    missing = None
    if last is not None and last.source is not None and not last.input_ended:
        source = last.source
        file = Path(source.name) if source.kind == "file" and source.name else None
        if file is not None and file.is_file():
            say(Console(stderr=True), f"the run had not read {file} to its end: reading on", "dim")
            return Input(
                lines=lambda: _read_file(file, source.columns or {}),
                name=str(file),
                source=source,
                countable=True,
                files={"SOURCE": file},
                journal=path,
                binding=binding,
            )
        where = source.kind if source.name is None else f"{source.kind}, {source.name}"
        missing = (
            f"the input ({where}) was not read to its end and cannot be read again; for the rest: "
            f"{options.verb} INPUT --journal {path}"
        )
    settled = {outcome.value for outcome in Outcome if outcome.settled}
    return Input(
        lines=None,
        name=str(path),
        source=Source(kind="journal", name=str(path.absolute())),
        journal=path,
        binding=binding,
        total=sum(count for state, count in counts.items() if state not in settled),
        missing=missing,
    )


def _an(operation: str) -> str:
    return f"{'an' if operation[:1] == 'a' else 'a'} {operation}"


def _undo(path: Path, console: Console, *, with_inferred: bool) -> Input:
    with journal_reader.open(path) as journal:
        binding = journal.binding
        if binding.operation != "detach":
            raise InvalidArgumentError(
                "--undo",
                str(path),
                "the journal of a detach",
                seen=f"is the journal of {_an(binding.operation)}",
            )
        only = None if with_inferred else False
        total = sum(1 for _ in journal.rows(states=_DETACHED, inferred=only))
        if not with_inferred:
            _show_left_out(journal, console)

    def read() -> Iterator[Detach | BadLine]:
        with journal_reader.open(path) as journal:
            for row in journal.rows(states=_DETACHED, inferred=only):
                yield Detach(row.conversation_id, row.contact_id, row.admin_id)

    return Input(
        lines=read,
        name=str(path),
        source=Source(kind="undo", name=str(path.absolute())),
        files={"--undo": path},
        journal=path.with_suffix(f".undo{path.suffix}"),
        binding=binding,
        total=total,
    )


def _show_left_out(journal: Reader, console: Console) -> None:
    count = 0
    for count, row in enumerate(journal.rows(states=_DETACHED, inferred=True), start=1):
        if count == 1:
            say(
                console,
                "left out, because only a check said that they were removed (they may have been "
                "absent before the run); --with-inferred puts them back, too:",
                "yellow",
            )
        if count <= LISTED:
            say(console, f"  {row.conversation_id},{row.contact_id}", "yellow")
    if count:
        say(console, f"  {amount(count, 'pair')} in all", "yellow")
