"""A run's input: a file, standard input, the rest of a journal, or an undo."""

import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from rich.console import Console

from intercom_async.cli.feed import Feed
from intercom_async.cli.options import BulkOptions, parse_columns
from intercom_async.cli.running import amount, say
from intercom_async.cli.sources import PEOPLE, BadLine, read_pairs, read_people
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal import SETTLED, Binding, Source, reader
from intercom_async.journal.people import PersonState
from intercom_async.people import By

_SHOWN_BAD_LINES: Final = 20
_LISTED: Final = 100
"""Pairs that an undo lists as left out, at most."""

_DETACHED: Final = (Outcome.DETACHED.value,)
_PEOPLE: Final = " of people"
_ONE_PER_ADDRESS: Final = ", one per address"
"""Endings of a source's kind."""


@attrs.frozen(kw_only=True)
class Input:
    """An input that has not been read yet.

    Attributes:
        lines: opens and reads it; None when the run's own journal has all that is left.
        countable: whether it can be read twice.
        files: the files that must not be written meanwhile, by the option that names them.
        journal: the run's journal, unless an option names another.
        binding: the workspace of the journal that the input comes from.
        total: the number of pairs, where that is known without reading.
        by: what names people; None for pairs.
        missing: why a part of the input can no longer be read.
    """

    lines: Callable[[], Iterator[Any]] | None
    name: str
    source: Source
    countable: bool = False
    files: Mapping[str, Path | int] = attrs.field(factory=dict[str, Path | int])
    journal: Path | None = None
    binding: Binding | None = None
    total: int | None = None
    by: By | None = None
    one_per_address: bool = False
    missing: str | None = None

    def feed(
        self, console: Console, *, strict: bool = False, limit: int | None = None
    ) -> Feed[Any] | None:
        """Return its entries; reading them prints what is wrong with bad lines and skips those."""
        shown = 0

        def complain(line: BadLine) -> None:
            nonlocal shown
            shown += 1
            if shown <= _SHOWN_BAD_LINES:
                say(console, f"{self.name}, line {line.line}: {line.problem}; skipped", "yellow")
            if shown == _SHOWN_BAD_LINES:
                say(console, "more bad lines follow; they are only counted", "yellow")

        if self.lines is None:
            return None
        return Feed(self.lines(), self.name, strict=strict, limit=limit, complain=complain)


def find_input(options: BulkOptions, console: Console) -> Input:
    """Return the input that the options name."""
    given = [one for one in (options.source, options.people, options.undo) if one is not None]
    for one in (*given, options.journal):
        if str(one).startswith(("postgresql:", "postgres:")):  # not shown: it may hold a password
            expected = "a file; `intercom-async submit` and `work` are for runs in PostgreSQL"
            raise InvalidArgumentError("SOURCE or --journal", None, expected)
    if len(given) > 1:
        other = "--undo" if options.undo else "--people"
        raise InvalidArgumentError("SOURCE", options.source, f"left out with {other}")
    if options.undo is not None:
        return _undo(options.undo, options, console)
    if not given:
        more = "--undo JOURNAL" if options.verb == "attach" else "--people FILE"
        expected = f"a file, or - for standard input, or {more}"
        raise InvalidArgumentError("SOURCE", None, expected)
    if options.people is not None:
        return people_from(
            options.people,
            options.by,
            options.columns,
            limit=options.limit,
            one_per_address=options.one_per_address,
        )
    path = Path(given[0])
    if str(path) != "-" and path.is_file() and reader.is_journal(path):
        if options.limit is not None:
            raise InvalidArgumentError("--limit", options.limit, "left out with a journal")
        return _journal(path, options.verb, console)
    return _found(path, parse_columns(options.columns), "", options.limit)


def people_from(
    path: Path,
    by: By,
    columns: str | None,
    *,
    limit: int | None = None,
    one_per_address: bool = False,
) -> Input:
    """Return an input of people."""
    if reader.is_journal(path):
        seen = "is the journal of a run: give it as SOURCE to go on"
        raise InvalidArgumentError("a file of people", str(path), "CSV or JSON lines", seen=seen)
    column = PEOPLE[by]
    named = {column: parse_columns(columns).get(column, column)}
    return _found(path, named, _PEOPLE + _ONE_PER_ADDRESS * one_per_address, limit)


def _found(path: Path, columns: Mapping[str, str], suffix: str, limit: int | None) -> Input:
    if str(path) == "-":
        kind = f"standard input{suffix}"
        source = Source(kind=kind, columns=columns or None)
        return _input(source, sys.stdin.fileno(), "standard input")
    regular = stat.S_ISREG(path.stat().st_mode)
    # A run with --limit is complete without the rest of its file.
    kind = "file" if regular and limit is None else "a part of a file"
    source = Source(kind=kind + suffix, name=str(path.absolute()), columns=columns or None)
    return attrs.evolve(_input(source, path, str(path)), countable=regular)


def _input(source: Source, file: Path | int, name: str) -> Input:
    columns = source.columns or {}
    by: By | None = None
    for one, column in PEOPLE.items():
        if _PEOPLE in source.kind and column in columns:
            by = one

    def read() -> Iterator[Any]:
        # Not sys.stdin: a thread that waits in it would keep the process from ending.
        with open(file, "rb", closefd=isinstance(file, Path)) as stream:
            if by is None:
                yield from read_pairs(stream, name, columns=columns)
            else:
                yield from read_people(stream, name, by=by, columns=columns)

    option = "SOURCE" if by is None else "--people"
    return Input(
        lines=read,
        name=name,
        source=source,
        files={option if isinstance(file, Path) else name: file},
        by=by,
        one_per_address=_ONE_PER_ADDRESS in source.kind,
    )


def _journal(path: Path, verb: str, console: Console) -> Input:
    with reader.open(path) as journal:
        binding, counts = journal.binding, journal.counts()
        people = journal.people()
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
        file = Path(unread.name) if unread.kind.startswith("file") and unread.name else None
        if file is not None and file.is_file():
            say(console, f"the run had not read {file} to its end; reading on", "dim")
            found = _input(unread, file, str(file))
            return attrs.evolve(found, countable=True, journal=path, binding=binding)
        where = unread.kind if unread.name is None else f"{unread.kind}, {unread.name}"
        missing = (
            f"the input ({where}) was not read to its end and cannot be read again; for the rest, "
            f"run: {verb} INPUT --journal {path}"
        )
    one_per_address = any(one.source and _ONE_PER_ADDRESS in one.source.kind for one in read)
    return Input(
        lines=None,
        by="email" if people else None,  # the journal knows each one's own
        one_per_address=one_per_address,
        name=str(path),
        source=Source(kind="journal", name=str(path.absolute())),
        journal=path,
        binding=binding,
        total=None
        if any(not PersonState(state).settled for state in people)
        else sum(count for state, count in counts.items() if state not in SETTLED),
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
                "left out: only a check said that they were removed, so they may have been absent "
                "before the run; --with-inferred puts them back too:",
                "yellow",
            )
        if count <= _LISTED:
            say(console, f"  {row.conversation_id},{row.contact_id}", "yellow")
    if count:
        say(console, f"  {amount(count, 'pair')} in all", "yellow")
