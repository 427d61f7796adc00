"""A line says the same after it was written and read."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import ConnectionFailedError, ContactNotFoundError, ServerError
from intercom_async.journal import format as lines
from intercom_async.journal.format import Line, LineError, Record

TEXT = st.text(st.characters())  # surrogates included
ORDINAL = st.integers(1, 2**53)
RANGE = st.tuples(ORDINAL, ORDINAL)
RECORDS = st.builds(
    Record,
    ordinal=ORDINAL,
    conversation_id=TEXT,
    contact_id=TEXT,
    admin_id=st.none() | TEXT,
    outcome=st.sampled_from(Outcome),
    inferred=st.booleans(),
    attempts=st.integers(0, 1000),
    refusals=st.integers(0, 1000),
    request_id=st.none() | TEXT,
    error=st.none() | TEXT,
    status=st.none() | st.integers(100, 599),
    code=st.none() | TEXT,
    message=st.none() | TEXT,
    at=st.floats(0, 1e11),
)
JSON = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(0, 2**53) | st.text())
LINES = st.one_of(
    RECORDS,
    st.builds(lines.Header, journal=st.text(), schema=st.integers(1, 9), parameters=JSON),
    st.builds(lines.Sending, RANGE),
    st.builds(lines.Unsent, RANGE),
    st.builds(lines.Checkpoint, ORDINAL, st.text()),
    st.builds(lines.InputEnded, st.integers(0, 2**53)),
    st.builds(lines.Quota, st.integers(1, 10**6), st.floats(0, 1e10)),
    st.builds(lines.Resumed, resumed=st.text(), new_input_after=st.none() | ORDINAL),
)


@given(LINES)
def test_every_line_is_read_as_it_was_written(line: Line) -> None:
    written = lines.encode(line)
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    assert json.loads(written)
    assert lines.decode(written) == line


@given(RECORDS)
def test_the_short_reading_of_a_record_agrees_with_the_full_one(record: Record) -> None:
    written = lines.encode(record)
    assert written.startswith(lines.IS_RECORD)
    fate = lines.decode_fate(written)
    assert (fate.ordinal, fate.outcome, fate.inferred) == (
        record.ordinal,
        record.outcome,
        record.inferred,
    )


@given(st.binary())
def test_no_bytes_raise_anything_but_a_line_error(line: bytes) -> None:
    for noise in (line, lines.IS_RECORD + line):
        for decode in (lines.decode, lines.decode_fate):
            with contextlib.suppress(LineError):
                decode(noise)


def test_a_record_may_have_been_rewritten_by_other_tools() -> None:
    line = (
        b'{ "outcome": "detached", "contact_id": "k", "conversation_id": "c", "ordinal": 3, "x": 1}'
    )
    record = lines.decode(line)
    assert isinstance(record, Record)
    assert record.ordinal == 3
    assert record.detach == Detach("c", "k")


@pytest.mark.parametrize(
    ("line", "torn"),
    [
        (b'{"ordinal":1,"conversation_id":"c"', True),
        (b"\0\0\0\0", True),
        (b"", True),
        (b"[" * 100_000, False),
        (b'{"ordinal":1}', False),
        (b'{"ordinal":1,"conversation_id":"c","contact_id":"k","outcome":"vanished"}', False),
        (b'{"tomorrow":1}', False),
        (b"7", False),
    ],
)
def test_a_line_that_cannot_be_read_says_whether_it_is_torn(line: bytes, torn: bool) -> None:
    with pytest.raises(LineError) as caught:
        lines.decode(line)
    assert caught.value.torn is torn


def test_a_usual_record_is_short() -> None:
    record = lines.record_of(
        7,
        Detach("1295", "5ba682d2"),
        Outcome.DETACHED,
        at=1_700_000_000.1234,
        attempts=1,
        request_id="0009s9s6h6g7h2c8kmqg",
    )
    assert lines.encode(record) == (
        b'{"ordinal":7,"conversation_id":"1295","contact_id":"5ba682d2","outcome":"detached",'
        b'"attempts":1,"request_id":"0009s9s6h6g7h2c8kmqg","at":1700000000.123}\n'
    )


def record_with(outcome: Outcome, error: Any) -> Record:
    return lines.record_of(1, Detach("c", "k"), outcome, at=0, error=error)


def test_an_error_is_kept_in_words_where_somebody_has_to_look_at_it() -> None:
    record = record_with(Outcome.FAILED, ServerError(status=503, code="busy", message="x" * 999))
    assert (record.error, record.status, record.code) == ("ServerError", 503, "busy")
    assert record.message is not None
    assert record.message.startswith("HTTP 503, busy: xxx")
    assert len(record.message) == lines.WORDS
    record = record_with(Outcome.FAILED, ConnectionFailedError("no route"))
    assert (record.error, record.status, record.message) == (
        "ConnectionFailedError",
        None,
        "no route",
    )


def test_a_settled_pair_keeps_no_error() -> None:
    record = record_with(Outcome.ALREADY_ABSENT, ContactNotFoundError(status=404))
    assert (record.error, record.status, record.message) == (None, None, None)


def test_ids_that_are_no_text_are_kept_as_text() -> None:
    number: Any = 1295
    record = lines.record_of(1, Detach(number, number, number), Outcome.FAILED, at=0)
    assert lines.decode(lines.encode(record)) == record
    assert record.detach == Detach("1295", "1295", "1295")


@given(st.lists(st.tuples(TEXT, TEXT, st.none() | TEXT), min_size=2, max_size=2, unique=True))
def test_different_pairs_have_different_identities(ids: list[tuple[str, str, str | None]]) -> None:
    one, other = (lines.identity(Detach(*three)) for three in ids)
    assert one != other


def test_times_are_rounded_to_milliseconds() -> None:
    record = lines.record_of(1, Detach("c", "k"), Outcome.DETACHED, at=1.23456)
    assert math.isclose(record.at, 1.235)
