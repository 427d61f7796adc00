"""A journal that anything may have happened to: the truth, or one documented exception.

No reading invents a settled pair, no cut file tells more than the whole one, and nothing but what
a crash can have left behind is ever cut off a file.
"""

import itertools
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from intercom_async.detaching import Detach, Outcome
from intercom_async.journal import (
    Header,
    JournalError,
    Record,
    latest,
    read_journal,
    scan,
    unsettled,
)
from intercom_async.journal.fates import is_settled, outcome_of
from intercom_async.journal.files import JournalFile, KnownPairs, open_journal
from intercom_async.journal.format import KINDS, Line, LineError, decode
from intercom_async.journal.replay import Gate, InputChangedError, Replay
from intercom_async.structuring import is_object
from tests.fuzz.targets.target import at_the_limit
from tests.journal.helpers import HEADER, Unsynced

_T = TypeVar("_T")

WORDS: Final[Sequence[bytes]] = [
    *(name.encode() for name in KINDS),
    *(name.encode() for kind in KINDS.values() for name in kind.__struct_fields__),
    *(outcome.value.encode() for outcome in Outcome),
    b'{"ordinal":', b'{"journal":"intercom_async","schema":1}', b'{"sending":[1,4]}',
    b'{"resumed":"","new_input_after":2}', b'{"input_ended":3}', b'{"unsent":[2,3]}',
    b'{"ordinal":1,"outcome":"detached"}', b"\n", b"\r", b"\0", b"\\ud800", b"\xff", b"1", b"2",
]  # fmt: skip

MOST_PAIRS: Final = 64
"""Pairs of an input that are asked about."""

_HEADER_BEGINS: Final = b'{"journal":"intercom_async",'


def check(data: bytes) -> None:
    """Read a journal in every way there is, and open it for appending.

    Args:
        data: the file.
    """
    if not at_the_limit(data):
        with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
            _check_file(Path(folder) / "run.journal", data)


_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where files take a hundredth of the time that a disk takes."""


def _check_file(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    lines, refusal = _read(scan(path))
    told = _records(data)
    _check_readers(path, lines, refusal)
    _check_prefixes(path, data, lines, refusal)
    for new_input in (False, True):
        path.write_bytes(data)
        try:
            opened = _open(path, lines, new_input=new_input)
        except JournalError:
            assert path.read_bytes() == data, "a refused file was changed"
            continue
        _check_cut(data, path.read_bytes())
        _check_truth(opened, told)
        if refusal is None and not new_input:
            _check_newest(opened, lines)
        again = _open(path, lines, new_input=False)
        assert again.replay.records == opened.replay.records
        assert again.replay.counts() == opened.replay.counts()


def _read(entries: Iterable[_T]) -> tuple[list[_T], JournalError | None]:
    """Return what was read, and how it ended."""
    read: list[_T] = []
    try:
        read.extend(entries)
    except JournalError as error:
        return read, error
    return read, None


# --- what the file says, read as simply as possible -----------------------------------------------


def _records(data: bytes) -> dict[Any, list[Mapping[str, Any]]]:
    """Whatever may be a record, by its ordinal, in the order of the file."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for line in data.split(b"\n"):
        document = _document(line)
        if not is_object(document):
            continue
        ordinal, outcome = document.get("ordinal"), document.get("outcome")
        if isinstance(ordinal, int | float) and isinstance(outcome, str):
            found.setdefault(ordinal, []).append(document)
    return found


def _document(line: bytes) -> Any:
    """The line as JSON; of one whose ids are damaged, what is left."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        ordinals = re.findall(rb'"ordinal"\s*:\s*(\d+)', line)
        outcomes = re.findall(rb'"outcome"\s*:\s*"(\w+)"', line)
        if not ordinals or not outcomes:
            return None
        return {"ordinal": int(ordinals[-1]), "outcome": outcomes[-1].decode()}


def _pair(record: Mapping[str, Any]) -> Detach:
    return Detach(
        record.get("conversation_id", "c"), record.get("contact_id", "k"), record.get("admin_id")
    )


# --- readers -------------------------------------------------------------------------------------


def _check_readers(path: Path, lines: list[Line], refusal: JournalError | None) -> None:
    records, end = _read(read_journal(path))
    assert (end is None) == (refusal is None)
    assert records == [line for line in lines if isinstance(line, Record)]
    last, end = _read(latest(path))
    undone, _ = _read(unsettled(path))
    if end is None and refusal is None:
        newest = {record.ordinal: record for record in records}
        assert len({record.ordinal for record in last}) == len(last)
        assert all(_same(newest[record.ordinal], record) for record in last)
        assert undone == [record.detach for record in last if not record.outcome.settled]


def _same(one: Record, other: Record) -> bool:
    return repr(one) == repr(other)


def _check_prefixes(
    path: Path, data: bytes, lines: list[Line], refusal: JournalError | None
) -> None:
    """Of a file that was cut, the lines before the cut are read, and nothing else."""
    random = zlib.crc32(data)
    for cut in (random % (len(data) + 1), (random >> 8) % (len(data) + 1)):
        path.write_bytes(data[:cut])
        kept, end = _read(scan(path))
        whole = data[:cut].count(b"\n")
        assert list(map(repr, kept)) == list(map(repr, lines[: len(kept)]))
        if refusal is None and whole:
            assert end is None, "a torn line is no damage"
            assert len(kept) == min(whole, len(lines))


# --- opening -------------------------------------------------------------------------------------


@attrs.frozen
class _Opened:
    replay: Replay
    known: KnownPairs


class _File(JournalFile):
    def sync_folder(self) -> None:
        """Nobody waits for the disk."""


def _open(path: Path, lines: list[Line], *, new_input: bool) -> _Opened:
    first = lines[0] if lines else None
    parameters = first.parameters if isinstance(first, Header) else {}
    header = Header(journal=HEADER.journal, schema=HEADER.schema, parameters=parameters)
    file = _File(str(path), Unsynced())
    try:
        replay, known, _ = open_journal(file, header=header, new_input=new_input)
        for record in file.record_between(1, MOST_PAIRS, 0):
            assert 1 <= record.ordinal <= MOST_PAIRS
    finally:
        file.close()
    return _Opened(replay, known)


def _check_cut(data: bytes, kept: bytes) -> None:
    """What was cut off is what a crash leaves: an unfinished line, or a hole."""
    good = kept[: kept.rfind(b"\n", 0, len(kept) - 1) + 1]  # without the line that was appended
    assert data.startswith(good), "the beginning was changed"
    cut = data[len(good) :]
    if not good:
        begun = cut.rstrip(b"\0")
        assert b"\n" not in cut
        assert (
            begun.startswith(_HEADER_BEGINS)
            or _HEADER_BEGINS.startswith(begun)
            or isinstance(decode(cut), Header)  # whole but for its end, and nothing behind it
        ), "a foreign file was cut"
        return
    torn, _, rest = cut.partition(b"\n")
    if rest:
        assert b"\0" in torn, "whole lines were cut off"
    elif cut.endswith(b"\n"):
        with_end = _refusal_of(torn)
        assert with_end is not None
        assert with_end.torn or b"\0" in torn, "a line that was whole was cut off"


def _refusal_of(line: bytes) -> LineError | None:
    try:
        decode(line)
    except LineError as error:
        return error
    return None


def _check_truth(opened: _Opened, told: dict[Any, list[Mapping[str, Any]]]) -> None:
    """Whatever is held for settled has a record that says so."""
    replay = opened.replay
    after = replay.fates.after
    end = min(after + len(replay.fates), after + MOST_PAIRS)
    for ordinal in range(after + 1, end + 1):
        fate = replay.fates.get(ordinal)
        if is_settled(fate):
            outcomes = {record["outcome"] for record in told[ordinal]}
            assert outcome_of(fate) in outcomes, "nobody recorded that"
    given = [
        _pair(told[n][-1]) if n in told else Detach("c", "k") for n in range(after + 1, end + 1)
    ]
    for one in itertools.chain.from_iterable(_admitted(Gate(replay, opened.known.earlier), given)):
        if one.settled is not None:
            assert any(
                record["outcome"] == one.settled and _ids(_pair(record)) == _ids(one.detach)
                for records in told.values()
                for record in records
            ), "it would be skipped, and nobody settled it"


def _check_newest(opened: _Opened, lines: list[Line]) -> None:
    """Of a pair of the present input, the last record counts."""
    after = opened.replay.fates.after
    newest = {line.ordinal: line.outcome for line in lines if isinstance(line, Record)}
    for ordinal, outcome in newest.items():
        found = outcome_of(opened.replay.fates.get(ordinal))
        assert found is outcome or (ordinal <= after and found is None)


def _ids(pair: Detach) -> tuple[str, str]:
    return pair.conversation_id, pair.contact_id


def _admitted(gate: Gate, given: Iterable[Detach]) -> Iterable[Sequence[Any]]:
    for pair in given:
        try:
            yield gate.feed(pair)
        except InputChangedError:
            return
