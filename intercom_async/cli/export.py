"""The command `export`: a journal's rows as CSV or JSON lines."""

import csv
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
from rich.console import Console

from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.files import writing
from intercom_async.cli.options import JournalOptions, option
from intercom_async.cli.printing import amount, say
from intercom_async.cli.report.queries import STATES
from intercom_async.errors import InvalidArgumentError, readable
from intercom_async.journal import reader
from intercom_async.journal.row import UNSETTLED, Row

_FORMULA: Final = re.compile(r"(^|;)([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a formula begins. In countries with decimal commas, a semicolon begins a cell too."""


@attrs.frozen(kw_only=True)
class ExportOptions(JournalOptions):
    """The options of `export`."""

    as_csv: bool = option(False, "CSV with a header; safe to open in a spreadsheet.", "--csv")
    as_json_lines: bool = option(False, "JSON lines, with every value unchanged.", "--jsonl")
    output: Path | None = option(None, "Write to this file; - or none for standard output.")
    state: str | None = option(
        None, "Only pairs in these states, e.g. failed,unknown; or unsettled."
    )


def export(options: ExportOptions) -> ExitStatus:
    """Write the outcome of each pair.

    `detach` reads what --csv writes, for example to try the failed pairs again.
    """
    if options.as_csv is options.as_json_lines:
        raise InvalidArgumentError("--csv or --jsonl", None, "given, exactly one of them")
    states = STATES if options.state is None else _states(options.state)
    with reader.open(options.journal, run=options.run) as journal:
        rows = journal.rows(states)
        lines = _csv(rows) if options.as_csv else _json_lines(rows)
        if options.output is None or str(options.output) == "-":
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
            return ExitStatus.SETTLED
        with writing("--output", options.output, journal) as file:
            file.writelines(lines)
        pairs = sum(count for state, count in journal.counts().items() if state in states)
        say(Console(stderr=True), f"{amount(pairs, 'pair')} written to {options.output}", "dim")
    return ExitStatus.SETTLED


def _states(text: str) -> list[str]:
    named = {state: (state,) for state in STATES} | {"unsettled": UNSETTLED}
    wanted: list[str] = []
    for part in text.split(","):
        name = part.strip().lower().replace(" ", "_").replace("-", "_")
        if name not in named:
            raise InvalidArgumentError("--state", part, f"of {', '.join(named)}")
        wanted += named[name]
    return wanted


def _json_lines(rows: Iterator[Row]) -> Iterator[bytes]:
    for row in rows:
        yield msgspec.json.encode(_by_column(row)) + b"\n"


def _csv(rows: Iterator[Row]) -> Iterator[bytes]:
    # All texts are quoted: then many programs keep the ids as texts.
    writer = csv.writer(_Lines(), quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    yield writer.writerow(Row.__struct_fields__)
    for row in rows:
        yield writer.writerow(map(_cell, _by_column(row).values()))


class _Lines:
    def write(self, line: str) -> bytes:  # which `writerow` returns
        return line.encode()


def _by_column(row: Row) -> dict[str, Any]:
    """Return what a row holds, its time in ISO 8601."""
    time = datetime.fromtimestamp(row.updated_at, UTC).isoformat(timespec="seconds")
    return {**msgspec.structs.asdict(row), "updated_at": time}


def _cell(value: object) -> object:
    if isinstance(value, str):
        return harmless(value)
    return int(value) if isinstance(value, bool) else value


def harmless(text: str) -> str:
    """Return a text that no spreadsheet runs: an apostrophe turns a formula into text."""
    plain = text.isalnum() or not text
    return text if plain else _FORMULA.sub(r"\1\2'", readable(text, sys.maxsize))
