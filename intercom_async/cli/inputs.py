"""A run's input: a file, standard input, the rest of a journal, or an undo."""

import functools
import io
import itertools
import shlex
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from rich.console import Console

from intercom_async.cli.feed import Feed
from intercom_async.cli.options import ChangeOptions, parse_columns
from intercom_async.cli.printing import amount, say
from intercom_async.cli.sources import PEOPLE, read_pairs, read_people
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal import SETTLED, Binding, Source, reader
from intercom_async.journal.people import PersonState
from intercom_async.journal.reader import KeptSession
from intercom_async.people import By

_LISTED: Final = 100  # pairs that an undo lists as left out, at most
_LEFT_OUT: Final = (
    "only a check said that they were removed, so they may have been absent before the run; "
    "--with-inferred puts them back too"
)
_DETACHED: Final = (Outcome.DETACHED.value,)
_STANDARD_INPUT: Final = "standard input"
# Endings of a source's kind.
_PEOPLE: Final = " of people"
_ONE_PER_ADDRESS: Final = ", one per address"


@attrs.frozen(kw_only=True)
class Input:
    """An input that has not been read yet.

    Attributes:
        entries: opens and reads it; None when the run's own journal has all that is left.
        file: what must not be written meanwhile.
        journal: the run's journal, unless an option names another.
        binding: the workspace of the journal that the input comes from.
        total: the number of pairs, if it is known without reading.
        by: what names people; None for pairs.
        missing: which part of the run's input stays unread, and what to do.
    """

    entries: Callable[[], Iterator[Any]] | None
    name: str
    source: Source
    file: Path | int | None = None
    journal: Path | None = None
    binding: Binding | None = None
    total: int | None = None
    by: By | None = None
    one_per_address: bool = False
    missing: str | None = None

    def feed(
        self, console: Console | None, *, strict: bool = False, limit: int | None = None
    ) -> Feed | None:
        """Return its entries, for one reading."""
        if self.entries is None:
            return None
        if console is not None and self.name == _STANDARD_INPUT and sys.stdin.isatty():
            end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
            say(console, f"reading from the terminal; end with {end}", "dim")
        return Feed(itertools.islice(self.entries(), limit), self.name, console, strict)


def read_file(path: Path, read: Callable[[io.BufferedReader, str], Iterator[Any]]) -> Iterator[Any]:
    """Open and read a file, "-" for standard input."""
    standard = str(path) == "-"
    # Not sys.stdin: a thread that waits in it would keep the process from ending.
    file = sys.stdin.fileno() if standard else path
    with open(file, "rb", closefd=not standard) as stream:
        yield from read(stream, _STANDARD_INPUT if standard else str(path))


def find_input(options: ChangeOptions, console: Console) -> Input:
    """Return the input that the options name."""
    given = [one for one in (options.source, options.people, options.undo) if one is not None]
    for one in (*given, options.journal):
        if str(one).startswith(("postgresql:", "postgres:")):  # not shown: it may hold a password
            expected = "a file; `intercom-async submit` and `work` are for runs in PostgreSQL"
            raise InvalidArgumentError("SOURCE or --journal", None, expected)
    if len(given) != 1:
        other = ("--undo", "JOURNAL") if options.verb == "attach" else ("--people", "FILE")
        expected = f"a file, or - for standard input, or {' '.join(other)}"
        if given:
            expected = f"left out with {other[0]}"
        raise InvalidArgumentError("SOURCE", options.source, expected)
    path = Path(given[0])
    if options.undo is not None:
        return _undo(path, options, console)
    if options.people is not None:
        ending = _ONE_PER_ADDRESS if options.one_per_address else ""
        return people_from(path, options.by, options.columns, ending, options.limit)
    if not reader.is_journal(path):
        return _file(path, parse_columns(options.columns), "", options.limit)
    if options.limit is not None:
        raise InvalidArgumentError("--limit", options.limit, "left out with a journal")
    return _journal(path, options, console)


def people_from(
    path: Path, by: By, columns: str | None, ending: str = "", limit: int | None = None
) -> Input:
    """Return an input of people."""
    column = PEOPLE[by]
    named = {column: parse_columns(columns).get(column, column)}
    return _file(path, named, _PEOPLE + ending, limit)


def unread_inputs(sessions: Sequence[KeptSession]) -> list[Source]:
    """Return the inputs that were not read to their end, the last one last.

    What cannot be read again, such as a file that was moved, counts as read as soon as a later
    session has read any input to its end.
    """
    unread: dict[str | None, Source] = {}
    for session in sessions:
        source = session.source or Source(kind="pairs from a program")
        if source.kind == "journal":
            continue
        unread.pop(source.name, None)
        if session.input_ended:
            unread = {name: one for name, one in unread.items() if _can_be_read_again(one)}
        else:
            unread[source.name] = source
    return list(unread.values())


def _can_be_read_again(source: Source) -> bool:
    return source.kind.startswith(("file", "undo")) and Path(source.name or "").is_file()


def _file(path: Path, columns: Mapping[str, str], ending: str, limit: int | None) -> Input:
    kind, name = _STANDARD_INPUT, None
    if str(path) != "-":
        regular = stat.S_ISREG(path.stat().st_mode)
        # A run with --limit is complete without the rest of its file.
        kind = "file" if regular and limit is None else "a part of a file"
        name = str(path.absolute())
    return _input(Source(kind=kind + ending, name=name, columns=columns or None), path)


def _input(source: Source, path: Path) -> Input:
    columns, standard = source.columns or {}, str(path) == "-"
    people = _PEOPLE in source.kind
    read = read_people if people else read_pairs
    return Input(
        entries=functools.partial(read_file, path, functools.partial(read, columns=columns)),
        name=_STANDARD_INPUT if standard else str(path),
        source=source,
        file=sys.stdin.fileno() if standard else path,
        by=next(by for by, column in PEOPLE.items() if column in columns) if people else None,
        one_per_address=_ONE_PER_ADDRESS in source.kind,
    )


def _journal(path: Path, options: ChangeOptions, console: Console) -> Input:
    """Return the input that its run had not read to its end, else the pairs that it has left."""
    with reader.open(path) as journal:
        binding, counts = journal.binding, journal.counts()
        people, sessions = journal.people(), journal.sessions
    if binding.operation != options.verb:
        seen = f"is that of `{binding.operation}`; `attach --undo` puts back what `detach` removed"
        expected = f"pairs, or the journal of a run of `{options.verb}`"
        raise InvalidArgumentError("SOURCE", str(path), expected, seen=seen)
    unread = unread_inputs(sessions)
    if again := next(filter(_can_be_read_again, reversed(unread)), None):
        unread.remove(again)
        file = Path(str(again.name))
        say(console, f"the run had not read {file} to its end; reading on", "dim")
        undo = again.kind == "undo"
        given = _undo(file, options, console) if undo else _input(again, file)
    else:
        complete = all(PersonState(state).settled for state in people)
        left = sum(n for state, n in counts.items() if state not in SETTLED)
        rules = [one.source.kind for one in sessions if one.source]
        given = Input(
            entries=None,
            by="email" if people else None,  # the journal knows each one's own
            one_per_address=any(_ONE_PER_ADDRESS in kind for kind in rules),
            name=str(path),
            source=Source(kind="journal", name=str(path.absolute())),
            total=left if complete else None,
        )
    missing = _missing(unread, path, options.verb) if unread else None
    return attrs.evolve(given, journal=path, binding=binding, missing=missing)


def _missing(unread: Sequence[Source], journal: Path, verb: str) -> str:
    names = ", ".join(one.kind if one.name is None else one.name for one in unread)
    again = [str(journal)]
    if not any(map(_can_be_read_again, unread)):
        people = any(_PEOPLE in one.kind for one in unread)
        again = [*["--people"][:people], "INPUT", "--journal", *again]
    run = shlex.join(["intercom-async", verb, *again])
    return f"an input ({names}) was not read to its end; for the rest, run: {run}"


def _undo(path: Path, options: ChangeOptions, console: Console) -> Input:
    with reader.open(path) as journal:
        binding = journal.binding
        if binding.operation != "detach":
            seen = f"is that of `{binding.operation}`"
            raise InvalidArgumentError("--undo", str(path), "the journal of a detach", seen=seen)
        number = 0
        left_out = () if options.with_inferred else journal.rows(_DETACHED, inferred=True)
        for number, row in enumerate(left_out, start=1):
            if number <= _LISTED:
                say(console, f"left out: {row.conversation_id},{row.contact_id}", "yellow")
        if number:
            say(console, f"{amount(number, 'pair')} left out: {_LEFT_OUT}", "yellow")

    def entries() -> Iterator[Detach]:
        with reader.open(path) as journal:
            for row in journal.rows(_DETACHED, inferred=None if options.with_inferred else False):
                admin_id = row.admin_id if options.admin_id is None else None
                yield Detach(row.conversation_id, row.contact_id, admin_id)

    return Input(
        entries=entries,
        name=str(path),
        source=Source(kind="undo", name=str(path.absolute())),
        file=path,
        journal=path.with_suffix(f".undo{path.suffix}"),
        binding=binding,
    )
