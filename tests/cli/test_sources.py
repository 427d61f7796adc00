"""Reading pairs from files: formats, places of errors, nothing lost."""

import csv
import gzip
import io
import json
import os
import shlex
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.cli.csv_rows import BadLine
from intercom_async.cli.lines import SourceError
from intercom_async.cli.options import parse_columns
from intercom_async.cli.sources import read_pairs
from intercom_async.detaching import Detach
from intercom_async.pairs import as_detach

HEADER = b"conversation_id,contact_id,admin_id\n"
ONE = [Detach("1", "c1")]
NO_OBJECT = 'a record must be an object such as {"conversation_id": "...", "contact_id": "..."}'


def opened(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def read(data: bytes, columns: dict[str, str] | None = None) -> list[Detach | BadLine]:
    return list(read_pairs(opened(data), "pairs.csv", columns=columns))


def as_utf16(data: bytes) -> bytes:
    return data.decode("utf-8-sig", "ignore").encode("utf-16")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"note,contact_id,conversation_id,admin_id\nx,c1,1,9\n", id="any order"),
        pytest.param(b"\xef\xbb\xbf\n\n" + HEADER + b"\n1,c1,9\n\n", id="BOM and blank lines"),
        pytest.param(HEADER + b"1,c1,9\n,\n \n", id="rows without a text"),
        pytest.param(HEADER[:-1] + b',a,b\n1,c1,9,x\ry,"\n2,c2"\r', id="lone CR"),
        pytest.param(b'conversation_id, "contact_id", admin_id\n1, "c1", 9\n', id="spaces"),
        pytest.param(b"\n\nsep=;\r\n" + HEADER.replace(b",", b";") + b"1;c1;9\r\n", id="sep=;"),
        pytest.param(b"\xef\xbb\xbfSEP=,\n" + HEADER + b"1,c1,9", id="SEP=, behind a BOM"),
        pytest.param(b'"sep=|"\n' + HEADER.replace(b",", b"|") + b"1|c1|9", id="sep=| in quotes"),
        pytest.param(b'"the\nnote",' + HEADER + b'"a,b",1,c1,9', id="line break in the header"),
        pytest.param(
            b'{"conversation_id":1,"contact_id":"c1","admin_id":9,"x":"\xff"}', id="object"
        ),
        pytest.param(b'\n["1", "c1", 9]\n\n', id="list"),
        pytest.param(b'[\n\n["1", "c1"\n, "9"] ]\n', id="array"),
    ],
)
@pytest.mark.parametrize("save", [bytes, gzip.compress, as_utf16])
def test_a_pair_is_found_in_each_form_that_programs_write(
    data: bytes, save: Callable[[bytes], bytes]
) -> None:
    assert read(save(data)) == [Detach("1", "c1", "9")]


def test_an_array_may_be_empty_and_its_bad_items_are_numbered() -> None:
    assert read(b" [ \n\n ]\n") == []
    assert [*read(b'[["1", "c1"],\n["2"]]')][1] == BadLine("item 2", f"{NO_OBJECT}, not ['2']")


def test_columns_can_have_other_names_also_in_a_header_that_comes_again() -> None:
    mapping = {"conversation_id": "Talk", "contact_id": "User"}
    found = [*ONE, BadLine("line 3", "the header again")]
    assert read(b"Talk,User\n1,c1\nTalk,User\n", mapping) == found


CSV_LINES = [
    (b"7", "contact_id is missing"),
    (b",c7", "conversation_id is missing"),
    (b"7,c\xff", "not UTF-8"),
    (b'7,"c"7', "a quote is never closed"),
    (b'7,"c7', "a quote is never closed"),
    (b'"' + b"\xff", "a quote is never closed"),
    (b"7,c\r7", "invisible"),
    (b"7,hello,, world", "4 cells, but the header has 3"),
    (b"7,nan", "a word for a missing value"),
    (HEADER[:-1], "the header again"),
]
JSON_LINES = [
    (b"nonsense", "not JSON"),
    (b'{"conversation_id": "1"}', "contact_id is missing"),
    (b'{"conversation_id": true, "contact_id": "c"}', "must be a text"),
    (b'{"conversation_id": 7.0, "contact_id": "c"}', "1297.0"),
    (b'{"conversation_id": "7", "contact_id": NaN}', "a missing value"),
    (b'"1"', NO_OBJECT),
    (b"[1]", NO_OBJECT),
    (b'{"conversation_id": "\xff", "contact_id": "c"}', "not UTF-8"),
    (b"[" * 100_000, "not JSON (nested too deeply)"),
    (b'["7", ' + b"9" * 5000 + b"]", "not JSON"),
]


@pytest.mark.parametrize(
    ("before", "line", "after", "problem"),
    [
        *((HEADER + b"1,c1\n", line, b"2,c2\n", problem) for line, problem in CSV_LINES),
        *((b'\n["1","c1"]\n', line, b'["2","c2"]\n', problem) for line, problem in JSON_LINES),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_wrong_line_is_reported_with_its_number_and_the_others_are_read(
    before: bytes, line: bytes, after: bytes, problem: str
) -> None:
    first, bad, *others = read(before + line + b"\n" + 2000 * after)
    assert [first, *others] == [*ONE, *[Detach("2", "c2")] * 2000]
    assert isinstance(bad, BadLine)
    assert bad.place == "line 3"
    assert problem in bad.problem


def test_each_of_many_quotes_that_are_never_closed_costs_its_own_line() -> None:
    lines = b"".join(b'%d,"c%d\n%d,c%d\n' % (n, n, n, n) for n in range(10, 10_000))
    found = read(HEADER + lines)
    bad = [entry.place for entry in found if isinstance(entry, BadLine)]
    assert bad == [f"line {number}" for number in range(2, 19_982, 2)]
    assert len(found) == 2 * len(bad)


@pytest.mark.parametrize(
    "inside",
    [
        b'cut\n2,c2,,x\n3,c3,,"y"',
        b'say "hi" twice\n1615,bbb\nto me"',
        b'say "hi" twice\n1615,bbb\nto me", "you',
        b'say "hi", "ho" or ""\n1615,bbb\nto me"',
    ],
)
def test_a_quote_that_is_not_doubled_costs_the_lines_up_to_where_it_may_be_closed(
    inside: bytes,
) -> None:
    problem = "not CSV (quotes in a quoted cell must be doubled; the row ends in line 4)"
    found = read(HEADER[:-1] + b',note\n1,c1,,"' + inside + b"\n4,c4,,z\n")
    assert found == [BadLine("line 2", problem), Detach("4", "c4")]


def test_what_is_too_long_for_the_memory_is_refused_and_no_quote_is_looked_for_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("intercom_async.cli.lines.LONGEST", 700)
    with pytest.raises(SourceError, match="line 3: longer than 700 characters"):
        read(HEADER + b"1,c1\n" + b"x" * 2000)
    with pytest.raises(SourceError, match="the array is too long; write JSON lines"):
        read(b'[["1", "c1"],' + b"\n" * 2000 + b"]")
    rest = b'3,c3,,"two\nlines"\n' * 500
    bad, *found = read(HEADER[:-1] + b',note\n2,"c2,x\n' + b"1,c1,,\n" * 500 + rest)
    assert bad == BadLine("line 2", "not CSV (a quote is never closed)")
    assert found == ONE * 500 + [Detach("3", "c3")] * 500


@pytest.mark.parametrize("form", ["{}", '"{}"', "INTERCOM_ACCESS_TOKEN={}", "Bearer {}"])
@pytest.mark.parametrize("end", ["", "\nsecond line\n"])
def test_a_token_file_given_as_a_source_is_refused_and_not_shown(form: str, end: str) -> None:
    with pytest.raises(SourceError, match=r"found a text of \d+ characters") as caught:
        read((form.format("dG9rOmYxYjM4ODQ2XzVhNjNfNDE=") + end).encode())
    assert "dG9r" not in str(caught.value)


@pytest.mark.parametrize("text", [b"x" * 200_000, b"x\n" * 100_000, b"\xff\xfe", b"\0"])
def test_no_text_inside_a_cell_is_a_pair(text: bytes) -> None:
    data = HEADER[:-1] + b',note\n1,c1,,"' + text + b'\n1615,bbb\n"\n2,c2,,\n'
    assert read(data) == [*ONE, Detach("2", "c2")]


def test_what_has_come_through_a_pipe_is_given_before_more_comes() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as pipe:  # noqa: PTH123  of a pipe
        pipe.write(HEADER + b"1,c1\n2")
        entries = read_pairs(stream, "-")
        assert next(entries) == ONE[0]
        pipe.write(b",c2\n")
        assert next(entries) == Detach("2", "c2")


@pytest.mark.parametrize(("kept", "end"), [(-5000, b""), (-8, bytes(8))])
def test_a_spoilt_gzip_file_is_an_error_behind_whole_lines(kept: int, end: bytes) -> None:
    pairs = [Detach(str(number), f"c{number * 7919 % 20_011}") for number in range(5000)]
    rows = "".join(f"{pair.conversation_id},{pair.contact_id}\n" for pair in pairs)
    data = gzip.compress(HEADER + rows.encode())[:kept] + end
    found: list[Detach | BadLine] = []
    with pytest.raises(SourceError, match="the gzip file is damaged or cut off") as caught:
        found.extend(read_pairs(opened(data), "pairs.gz"))
    assert found == pairs[: len(found)]
    assert caught.value.place == f"line {len(found) + 1}"
    assert len(found) > 500


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "pairs.csv: the file is empty"),
        (b"\xef\xbb\xbf\n \n", "pairs.csv: the file is empty"),
        (b"PK\x03\x04\x14\x00" + b"\n" * 10, r"this is a spreadsheet.*save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1" + b"\n" * 10, r"this is a spreadsheet.*save it as CSV"),
        (b"\x1f\x8b", "csv: the gzip file is damaged"),
        (HEADER.decode().encode("utf-16-le"), "line 1: .*save it as CSV"),
        (b"conversation_id,contact_id\r1,2\r", "line 1: .* CR alone; save it as CSV"),
        (b"contact_id,conversation_id,contact_id\n1,2,3\n", "the header names 'contact_id' twice"),
        (HEADER.strip() + b",admin_id\n1,2,3,4\n", "the header names 'admin_id' twice"),
        (b'\n"conversation_id,contact_id\n1,2\n', "line 2: the header is not CSV"),
        (b"a,contact_id\n1,2\n", "line 1: the header lacks 'conversation_id'; found 'a', 'con"),
        (b'\n[["1", "c1"],\n7,\n["2", "c2"], ]', "csv: not JSON .*line 4 column"),
        (b'[["1", "c1"]]\n["2", "c2"]', "not JSON .*line 2 column 1"),
        (b'[["1", "c1"], ' + b"[" * 100_000, r"not JSON \(nested too deeply\)"),
        (b'[["1", "c1"], ' + b"9" * 5000 + b"]", "not JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_file_that_cannot_be_read_is_told_what_to_do(data: bytes, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        read(data)


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        (b'"Conversation ID";"Contact"', "'conversation_id=Conversation ID,contact_id=Contact'"),
        (b"conversation_id,User", "conversation_id=conversation_id,contact_id=User"),
        (b"admin;lead_id;Convo Id", "'conversation_id=Convo Id,contact_id=lead_id,admin_id=admin'"),
        (b"Conv. ID,K\xe4ufer,User Id", "'conversation_id=Conv. ID,contact_id=User Id'"),
        (b"thread,person", "conversation_id=...,contact_id=..."),
        (b'"user,id",conversation', "conversation_id=...,contact_id=..."),
    ],
)
def test_a_header_of_other_names_is_told_the_option_that_works(header: bytes, advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(header + b"\n1,c1\n")
    assert str(caught.value).endswith(f"--columns {advice}")
    if "..." not in advice:
        columns = parse_columns(shlex.split(advice)[0])
        assert read(header, columns) == []


ids = st.text("0123456789abcdefXYZ-_", min_size=1, max_size=24).filter(
    lambda text: not as_detach((text, "1"), 1)[1]
)
signs = st.sampled_from(['"', "\n", "\r", ",", ";", "\t", "\0", " "])
tricks = ['"\n1615,bbb\n"', "\r\n1615;bbb;x\r\n", '","1615","bbb"\n', '"', '\\"\n1615,bbb\n']
notes = st.text(signs | st.characters(codec="utf-8")) | st.sampled_from(tricks)


forms = st.sampled_from(
    [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]
)


@given(st.lists(st.tuples(ids, ids, notes), min_size=1), st.sampled_from(",;\t"), forms)
def test_whatever_stands_in_a_cell_the_pairs_are_those_of_the_rows(
    rows: list[tuple[str, str, str]], delimiter: str, form: tuple[Literal[0, 1], str]
) -> None:
    text, (quoting, end) = io.StringIO(newline=""), form
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("conversation_id", "contact_id", "note"), *rows])
    assert read(text.getvalue().encode()) == [Detach(*row[:2]) for row in rows]


@given(st.lists(st.tuples(ids, ids), min_size=1), st.sampled_from([None, 1]))
def test_what_json_writes_is_read_back(pairs: list[tuple[str, str]], indent: int | None) -> None:
    expected = [Detach(*pair) for pair in pairs]
    lines = "\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
    assert read(lines.encode()) == expected
    assert read(json.dumps(pairs, indent=indent).encode()) == expected
    objects = [msgspec.structs.asdict(pair) for pair in expected]
    assert read(json.dumps(objects, indent=indent).encode()) == expected
