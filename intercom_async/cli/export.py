"""The command `export`: a journal's rows as CSV or JSON lines, one at a time."""

import contextlib
import csv
import io
import operator
import re
import sys
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import attrs
import msgspec
import typer

from intercom_async.cli.files import journal_files, refuse_same_files
from intercom_async.cli.report.queries import STATES, UNSETTLED
from intercom_async.cli.running import CannotWriteError
from intercom_async.errors import InvalidArgumentError, readable
from intercom_async.journal import reader
from intercom_async.journal.reader import Reader
from intercom_async.journal.row import Row
from intercom_async.private_files import rewrite

CHUNK: Final = 65536
COLUMNS: Final = tuple(field.name for field in attrs.fields(Row))

_but_time = operator.attrgetter(*COLUMNS[:-1])

_FORMULA: Final = re.compile(r"(^|;)([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet begins to run a cell: in some countries a semicolon begins one, too."""


def export(
    journal: Annotated[Path, typer.Argument(help="The journal of a run, which may still go on.")],
    *,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV with a header, safe to open in a spreadsheet.")
    ] = False,
    as_json_lines: Annotated[
        bool, typer.Option("--jsonl", help="JSON lines: every value as it is.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only pairs in such states, e.g. failed,unknown; unsettled: all left."),
    ] = None,
) -> None:
    """Write what became of each pair, a row for each.

    The CSV can be given to detach again, for example the pairs that failed.
    """
    if as_csv is as_json_lines:
        raise InvalidArgumentError("--csv or --jsonl", None, "given, exactly one of them")
    states = _states(state)
    with reader.open(journal) as opened:
        rows = opened.rows(states)
        lines = _csv(rows) if as_csv else _json_lines(rows)
        if output is None:
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
            return
        with writing("--output", output, opened) as file:
            file.writelines(lines)


@contextlib.contextmanager
def writing(option: str, target: Path, journal: Reader) -> Generator[BinaryIO]:
    """Open a file for its owner alone, but neither the journal nor what its sessions read.

    Raises:
        InvalidArgumentError: it is one of them; nothing was changed.
        OSError: it cannot be opened.
        CannotWriteError: it can be written no further.
    """
    read = {file.name: file for file in journal_files(Path(journal.path))}
    sources = (one.source.name for one in journal.sessions if one.source and one.source.name)
    read |= {f"the input {name}": Path(name) for name in sources}
    refuse_same_files(read, {option: target})
    file = rewrite(target)
    try:
        with file:
            yield file
    except OSError as error:
        raise CannotWriteError(f"{target}: {error.strerror or error}") from error


def _states(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    wanted: list[str] = []
    for part in text.split(","):
        name = part.strip().lower().replace(" ", "_").replace("-", "_")
        if name not in {*STATES, "unsettled"}:
            raise InvalidArgumentError("--state", part, f"of {', '.join((*STATES, 'unsettled'))}")
        wanted += UNSETTLED if name == "unsettled" else (name,)
    return tuple(wanted)


def _json_lines(rows: Iterator[Row]) -> Iterator[bytes]:
    for row in rows:
        yield msgspec.json.encode(dict(zip(COLUMNS, _values(row), strict=True))) + b"\n"


def _csv(rows: Iterator[Row]) -> Iterator[bytes]:
    """Quote every text, so that programs that can tell keep ids as texts."""
    line = io.StringIO()
    writer = csv.writer(line, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(map(_cell, _values(row)))
        if line.tell() > CHUNK:
            yield line.getvalue().encode()
            line.seek(line.truncate(0))
    yield line.getvalue().encode()


def _values(row: Row) -> tuple[Any, ...]:
    """Return a row's values by `COLUMNS`, its time as people and programs read it."""
    time = datetime.fromtimestamp(row.updated_at, UTC).isoformat(timespec="seconds")
    return (*_but_time(row), time)


def _cell(value: object) -> object:
    """Return a value that no spreadsheet runs: an apostrophe makes it text, control codes none."""
    if isinstance(value, str):
        plain = value.isalnum() or not value
        return value if plain else _FORMULA.sub(r"\1\2'", readable(value, sys.maxsize))
    return int(value) if isinstance(value, bool) else value
