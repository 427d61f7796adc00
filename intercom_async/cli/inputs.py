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
from intercom_async.journal import SETTLED, Binding, Source, reader

LISTED: Final = 100
"""Pairs that an undo lists as left out, at most."""

_DETACHED: Final = (Outcome.DETACHED.value,)


@attrs.frozen(kw_only=True)
class Input:
    """Pairs, not read yet.

    Attributes:
        lines: opens and reads it, in a thread; None for what the run's own journal left.
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
    """Say where the pairs come from."""
    if options.source is not None and options.undo is not None:
        raise InvalidArgumentError("SOURCE", options.source, "left out with --undo")
    if options.undo is not None:
        return _undo(options.undo, options, console)
    if options.source is None:
        expected = "a file, or - for standard input"
        undo = ", or --undo JOURNAL" if options.verb == "attach" else ""
        raise InvalidArgumentError("SOURCE", None, expected + undo)
    columns = parse_columns(options.columns)
    if options.source == "-":
        return _standard_input(columns)
    path = Path(options.source)
    regular = stat.S_ISREG(path.stat().st_mode)
    if regular and reader.is_journal(path):
        if options.limit is not None:
            raise InvalidArgumentError("--limit", options.limit, "left out with a journal")
        return _journal(path, options.verb, console)
    # A limited run took what it was to take: nobody is to read on in its file.
    kind = "file" if regular and options.limit is None else "a part of a file"
    source = Source(kind=kind, name=str(path.absolute()), columns=columns or None)
    return attrs.evolve(_file(path, source), name=options.source, countable=regular)


def _file(path: Path, source: Source) -> Input:
    def read() -> Iterator[Detach | BadLine]:
        with path.open("rb") as stream:
            yield from read_pairs(stream, str(path), columns=source.columns)

    return Input(lines=read, name=str(path), source=source, countable=True, files={"SOURCE": path})


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


def _journal(path: Path, verb: str, console: Console) -> Input:
    with reader.open(path) as journal:
        binding, counts = journal.binding, journal.counts()
        read = [one for one in journal.sessions if one.source and one.source.kind != "journal"]
    if binding.operation != verb:
        raise InvalidArgumentError(
            "SOURCE",
            str(path),
            f"pairs, or the journal of {_an(verb)}",
            seen=f"is the journal of {_an(binding.operation)}; `attach --undo` puts back what a "
            "detach removed",
        )
    unread = read[-1].source if read and not read[-1].input_ended else None
    missing = None
    if unread is not None:
        file = Path(unread.name) if unread.kind == "file" and unread.name else None
        if file is not None and file.is_file():
            say(console, f"the run had not read {file} to its end: reading on", "dim")
            return attrs.evolve(_file(file, unread), journal=path, binding=binding)
        where = unread.kind if unread.name is None else f"{unread.kind}, {unread.name}"
        missing = (
            f"the input ({where}) was not read to its end and cannot be read again; for the rest: "
            f"{verb} INPUT --journal {path}"
        )
    return Input(
        lines=None,
        name=str(path),
        source=Source(kind="journal", name=str(path.absolute())),
        journal=path,
        binding=binding,
        total=sum(count for state, count in counts.items() if state not in SETTLED),
        missing=missing,
    )


def _an(operation: str) -> str:
    return f"{'an' if operation[:1] == 'a' else 'a'} {operation}"


def _undo(path: Path, options: BulkOptions, console: Console) -> Input:
    only = None if options.with_inferred else False
    with reader.open(path) as journal:
        binding = journal.binding
        if binding.operation != "detach":
            raise InvalidArgumentError(
                "--undo",
                str(path),
                "the journal of a detach",
                seen=f"is the journal of {_an(binding.operation)}",
            )
        total = sum(1 for _ in journal.rows(_DETACHED, inferred=only))
        if not options.with_inferred:
            _show_left_out(journal, console)

    def read() -> Iterator[Detach | BadLine]:
        with reader.open(path) as journal:
            for row in journal.rows(_DETACHED, inferred=only):
                admin_id = row.admin_id if options.admin_id is None else None
                yield Detach(row.conversation_id, row.contact_id, admin_id)

    return Input(
        lines=read,
        name=str(path),
        source=Source(kind="undo", name=str(path.absolute())),
        files={"--undo": path},
        journal=path.with_suffix(f".undo{path.suffix}"),
        binding=binding,
        total=total,
    )


def _show_left_out(journal: reader.Reader, console: Console) -> None:
    count = 0
    for count, row in enumerate(journal.rows(_DETACHED, inferred=True), start=1):
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
