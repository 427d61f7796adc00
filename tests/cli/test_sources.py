"""Reading pairs from files: formats, places of errors, nothing lost."""

import csv
import gzip
import io
import json
import os
import shlex
from collections.abc import Callable
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.cli.options import parse_columns
from intercom_async.cli.sources import BadLine, read_pairs
from intercom_async.cli.text import SourceError
from intercom_async.detaching import Detach
from intercom_async.pairs import as_detach


def opened(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def read(data: bytes, columns: dict[str, str] | None = None) -> list[Detach | BadLine]:
    return list(read_pairs(opened(data), "pairs.csv", columns=columns))


def test_csv_columns_are_found_by_name_in_any_order() -> None:
    data = b"note,contact_id,conversation_id,admin_id\nx,c1,1,\ny,c2,2,9\n"
    assert read(data) == [Detach("1", "c1"), Detach("2", "c2", "9")]


def test_a_byte_order_mark_and_blank_lines_are_no_problem() -> None:
    data = b"\xef\xbb\xbf\n\nconversation_id,contact_id\n\n1,c1\n\n"
    assert read(data) == [Detach("1", "c1")]


def test_columns_can_be_mapped_to_other_names() -> None:
    data = b"Conversation,User\n1,c1\n"
    mapping = {"conversation_id": "Conversation", "contact_id": "User"}
    assert read(data, mapping) == [Detach("1", "c1")]


def test_a_header_without_the_columns_names_file_line_and_what_was_found() -> None:
    with pytest.raises(SourceError) as caught:
        read(b"conversation,contact_id\n1,c1\n")
    assert str(caught.value).startswith("pairs.csv, line 1: the header lacks 'conversation_id'")
    assert "found 'conversation', 'contact_id'" in str(caught.value)


def test_an_empty_file_is_an_error_rather_than_an_empty_run() -> None:
    with pytest.raises(SourceError, match="empty"):
        read(b"\n \n")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"7", "contact_id is missing"),
        (b"7, ", "contact_id is missing"),
        (b",c7", "conversation_id is missing"),
        (b"7,c\xff", "not UTF-8"),
        (b'7,"c"7', "not CSV"),
        (b"7,c\x00", "invisible"),
        (b"7,hello, world", "3 cells, but the header has 2"),
        (b"7,nan", "a word for a missing value"),
        (b"7.0,c7", "1297.0"),
        (b"conversation_id,contact_id", "the header again"),
    ],
)
def test_a_wrong_csv_line_is_reported_with_its_number_and_the_others_are_read(
    line: bytes, problem: str
) -> None:
    lines = read(b"conversation_id,contact_id\n1,c1\n" + line + b"\n2,c2\n3,c3\n")
    assert [entry for entry in lines if isinstance(entry, Detach)] == [
        Detach("1", "c1"),
        Detach("2", "c2"),
        Detach("3", "c3"),
    ]
    (bad,) = [entry for entry in lines if isinstance(entry, BadLine)]
    assert bad.line == 3
    assert problem in bad.problem


def test_a_header_again_is_known_by_the_names_that_were_given_for_it() -> None:
    found = read(b"Talk,User\n1,c1\nTalk,User\n", {"conversation_id": "Talk", "contact_id": "User"})
    assert found == [Detach("1", "c1"), BadLine(3, "the header again")]


@pytest.mark.parametrize("line", [b'7,"c7', b'"7,c7', b'"' + b"\xff", b'7,"c7""', b'7, "c7'])
def test_a_quote_that_is_never_closed_costs_its_own_line(line: bytes) -> None:
    others = [Detach(str(number), f"c{number}") for number in range(10, 8000)]
    rest = b"".join(f"{pair.conversation_id},{pair.contact_id}\n".encode() for pair in others)
    first, bad, *found = read(b"conversation_id,contact_id\n1,c1\n" + line + b"\n" + rest)
    assert first == Detach("1", "c1")
    assert isinstance(bad, BadLine)
    assert bad.line == 3
    assert found == others


def test_each_of_many_quotes_that_are_never_closed_costs_its_own_line() -> None:
    lines = b"".join(b'%d,"c%d\n%d,c%d\n' % (n, n, n, n) for n in range(10, 3000))
    found = read(b"conversation_id,contact_id\n" + lines)
    bad = [entry.line for entry in found if isinstance(entry, BadLine)]
    assert bad == [*range(2, 5982, 2)]
    assert len(found) == 2 * len(bad)


def test_a_quote_that_may_be_closed_costs_the_lines_up_to_there_and_says_so() -> None:
    data = b'conversation_id,contact_id,note\n1,c1,"cut\n2,c2,x\n3,c3,"y"\n4,c4,z\n'
    bad, found = read(data)
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert "the row ends in line 4" in bad.problem
    assert found == Detach("4", "c4")


@pytest.mark.parametrize(
    "inside",
    [
        b"x" * 200_000 + b"\n1615,bbb\n",
        b"x\n" * 100_000 + b"1615,bbb\n",
        b"\xff\xfe\n1615,bbb\n",
        b"\x00\n1615,bbb\n",
        b'say ""hi""\n1615,bbb\n""',
        b'say "hi" twice\n1615,bbb\nto me',
        b"\r\n1615,bbb,\r\n",
    ],
    ids=["long", "many lines", "not UTF-8", "NUL", "quotes", "quotes as they are", "CR LF"],
)
def test_no_text_inside_a_cell_is_a_pair(inside: bytes) -> None:
    data = b'conversation_id,contact_id,note\n1,c1,"' + inside + b'"\n2,c2,\n'
    found = read(data)
    assert found[-1] == Detach("2", "c2")
    if b'"hi"' in inside.replace(b'""', b""):
        assert isinstance(found[0], BadLine)
        assert "the row ends in line 4" in found[0].problem
    else:
        assert found[0] == Detach("1", "c1")
    assert len(found) == 2


def test_a_cell_may_hold_line_breaks() -> None:
    data = b'note,conversation_id,contact_id\n"a\nb\nc",1,c1\n"d\ne",,c2\n"f\n\xff",3,c3\ng,4,c4\n'
    assert read(data) == [
        Detach("1", "c1"),
        BadLine(5, "conversation_id is missing"),
        Detach("3", "c3"),
        Detach("4", "c4"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_everything_may_be_quoted(delimiter: str) -> None:
    rows = [["conversation_id", "the\nnote", "contact_id"], ["1", f"a{delimiter}b", "c1"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    assert read(text.getvalue().encode()) == [Detach("1", "c1")]


def test_spaces_around_quotes_are_no_matter() -> None:
    data = b'conversation_id, "contact_id", note\n1, "c1" , "a\n2, c2, b" \n3,c3,x\n'
    assert read(data) == [Detach("1", "c1"), Detach("3", "c3")]


@pytest.mark.parametrize(
    ("first", "delimiter"), [("sep=;", ";"), ("SEP=,", ","), ('"sep=\t"', "\t"), ("sep=|", "|")]
)
def test_a_first_line_may_name_the_delimiter(first: str, delimiter: str) -> None:
    data = f"{first}\r\nconversation_id{delimiter}contact_id\r\n1{delimiter}c1\r\n"
    assert read(data.encode()) == [Detach("1", "c1")]
    assert read(data.encode("utf-8-sig")) == [Detach("1", "c1")]


FILES = {
    "csv": "conversation_id,contact_id,note\r\n1,c1,ਊ\r\nnan,c2,\r\n3,c3,x\r\n",
    "lines": '["1", "c1"]\n["nan", "c2"]\n{"conversation_id": 3, "contact_id": "c3"}',
    "array": '[\n["nan", "c2"],\n ["1", "c1"], {"conversation_id": 3,\n"contact_id": "c3"}]\n\n',
}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_each_form_is_read_in_each_encoding(form: str, encoding: str, packed: bool) -> None:
    begin = "" if encoding in {"utf-8-sig", "utf-8"} else "\ufeff"
    data = (begin + FILES[form]).encode(encoding)
    found = read(gzip.compress(data) if packed else data)
    assert [entry for entry in found if isinstance(entry, Detach)] == [
        Detach("1", "c1"),
        Detach("3", "c3"),
    ]
    (bad,) = [entry for entry in found if isinstance(entry, BadLine)]
    assert bad.line == (3 if form == "csv" else 2)


def test_a_pipe_is_read_line_by_line_and_gzip_from_one_too() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as sender:
        sender.write(b"conversation_id,contact_id\n1,c1\n")
        pairs = read_pairs(stream, "-")
        assert next(pairs) == Detach("1", "c1")  # before the other end is closed
        sender.write(b"2,c2\n")
        assert next(pairs) == Detach("2", "c2")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        with os.fdopen(writing, "wb") as sender:
            sender.write(gzip.compress(b"conversation_id,contact_id\n1,c1\n"))
        assert [*read_pairs(stream, "-")] == [Detach("1", "c1")]


def cut_off(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_a_wrong_sum(data: bytes) -> bytes:
    return data[:-8] + bytes(8)


@pytest.mark.parametrize("spoil", [cut_off, with_a_wrong_sum])
def test_a_spoilt_gzip_file_is_an_error_behind_whole_lines(spoil: Callable[[bytes], bytes]) -> None:
    pairs = [Detach(str(number), f"c{number * 7919 % 20_011}") for number in range(20_000)]
    text = "".join(f"{pair.conversation_id},{pair.contact_id}\n" for pair in pairs)
    data = spoil(gzip.compress(f"conversation_id,contact_id\n{text}".encode()))
    found: list[Detach | BadLine] = []
    with pytest.raises(SourceError, match="the gzip file is damaged or cut off") as caught:
        found.extend(read_pairs(opened(data), "pairs.gz"))
    assert caught.value.line > 1000
    read_so_far: list[Detach | BadLine] = []
    with pytest.raises(SourceError):
        for entry in read_pairs(opened(data), "pairs.gz"):
            read_so_far.append(entry)  # noqa: PERF402  what came before it raises
    assert read_so_far == pairs[: len(read_so_far)]
    assert len(read_so_far) == caught.value.line - 1


@pytest.mark.parametrize("begin", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_spreadsheet_is_told_what_to_do(begin: bytes) -> None:
    with pytest.raises(SourceError, match=r"this is a spreadsheet.*save the sheet as CSV"):
        read(begin + b"\n" * 10)


def test_utf_16_without_a_byte_order_mark_is_told_what_to_do() -> None:
    with pytest.raises(SourceError, match="save the file as CSV"):
        read("conversation_id,contact_id\n1,c1\n".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        (
            b'"Conversation ID";"Contact ID"',
            "'conversation_id=Conversation ID,contact_id=Contact ID'",
        ),
        (b"conversation_id,User", "contact_id=User"),
        (
            b"admin;contact_id;intercom_id;Conversation",
            "conversation_id=Conversation,admin_id=admin",
        ),
        (
            "Conv. ID,Käufer,User Id".encode("cp1252"),
            "'conversation_id=Conv. ID,contact_id=User Id'",
        ),
        (b"thread,person", "conversation_id=...,contact_id=..."),
        (b'"user,id",conversation', "conversation_id=...,contact_id=..."),
    ],
)
def test_a_header_of_other_names_is_told_the_option_that_works(header: bytes, advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(header + b"\n1,c1\n")
    assert str(caught.value).endswith(f"--columns {advice}")
    assert "found " in str(caught.value)
    if "..." not in advice:
        columns = parse_columns(shlex.split(advice)[0])
        assert read(header, columns) == []


def test_a_header_that_names_a_column_twice_is_refused() -> None:
    with pytest.raises(SourceError, match="names 'contact_id' twice"):
        read(b"contact_id,conversation_id,contact_id\n1,2,3\n")


@pytest.mark.parametrize("data", [b"x" * 200_000, b'2,"c2\n' + b"3,c3\n" * 50_000])
def test_a_line_and_a_row_without_an_end_are_refused(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intercom_async.cli.text.LONGEST", 1000)
    found = read_pairs(opened(b"conversation_id,contact_id\n1,c1\n" + data), "pairs")
    assert next(found) == Detach("1", "c1")
    with pytest.raises(SourceError, match="line 3: longer than 1,000 characters; is a quote never"):
        next(found)


def test_json_lines_take_objects_and_lists_and_numbers_as_ids() -> None:
    data = b'{"conversation_id": 1, "contact_id": "c1", "admin_id": 9}\n\n["2", "c2"]\n'
    assert read(data) == [Detach("1", "c1", "9"), Detach("2", "c2")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nonsense", "not JSON"),
        (b'{"conversation_id": "1"}', "contact_id is missing"),
        (b'{"conversation_id": true, "contact_id": "c"}', "must be a text"),
        (b'{"conversation_id": {}, "contact_id": "c"}', "must be a text"),
        (b'{"conversation_id": 7.0, "contact_id": "c"}', "1297.0"),
        (b'{"conversation_id": "7", "contact_id": NaN}', "a missing value"),
        (b'"1"', "not an object"),
        (b"[1]", "a list of 1"),
        (b'{"conversation_id": "\xff", "contact_id": "c"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["7", ' + b"9" * 5000 + b"]", "not JSON"),
    ],
)
def test_a_wrong_json_line_is_reported_with_its_number_and_the_others_are_read(
    line: bytes, problem: str
) -> None:
    lines = read(b'["1", "c1"]\n' + line + b'\n["2", "c2"]\n')
    assert lines[0] == Detach("1", "c1")
    assert lines[2] == Detach("2", "c2")
    bad = lines[1]
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert problem in bad.problem


def test_only_the_ids_of_a_json_line_are_judged() -> None:
    assert read(b'{"conversation_id": "1", "contact_id": "c1", "note": "\xff"}') == [
        Detach("1", "c1")
    ]


@pytest.mark.parametrize("data", [b"[]", b" [ \n\n ]\n"])
def test_an_empty_array_has_no_pairs(data: bytes) -> None:
    assert read(data) == []


@pytest.mark.parametrize(
    ("behind", "line", "problem"),
    [
        (b"", 3, 'expected "," or "]"'),
        (b",", 3, "not JSON"),
        (b", ]", 3, "not JSON"),
        (b',\n["3", ', 4, "not JSON"),
        (b'\n["3", "c3"]]', 4, 'expected "," or "]"'),
        (b']\n["3", "c3"]', 4, "there is text after the array"),
        (b", " + b"[" * 100_000, 3, "nested too deeply"),
        (b",\n" + b"9" * 5000 + b"]", 4, "not JSON"),
    ],
)
def test_a_spoilt_array_is_an_error_behind_its_good_pairs(
    behind: bytes, line: int, problem: str
) -> None:
    found = read_pairs(opened(b'[["1", "c1"],\n7,\n["2", "c2"]' + behind), "pairs.json")
    assert next(found) == Detach("1", "c1")
    assert isinstance(next(found), BadLine)
    assert next(found) == Detach("2", "c2")
    with pytest.raises(SourceError) as caught:
        next(found)
    assert caught.value.line == line
    assert problem in str(caught.value)


ids = st.text("0123456789abcdefXYZ-_", min_size=1, max_size=24).filter(
    lambda text: not as_detach((text, "1"), 1)[1]
)
signs = st.sampled_from(['"', "\n", "\r", ",", ";", "\t", "\0", " "])
tricks = ['"\n1615,bbb\n"', "\r\n1615;bbb;x\r\n", '","1615","bbb"\n', '"', '\\"\n1615,bbb\n']
notes = st.text(signs | st.characters(codec="utf-8")) | st.sampled_from(tricks)


@given(
    rows=st.lists(st.tuples(ids, ids, notes), min_size=1),
    order=st.permutations(["conversation_id", "contact_id", "note"]),
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_whatever_stands_in_a_cell_the_pairs_are_those_of_the_rows(
    rows: list[tuple[str, str, str]],
    order: list[str],
    delimiter: str,
    quoting: Literal[0, 1, 2],
    end: str,
    encoding: str,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, order, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writeheader()
    for conversation_id, contact_id, note in rows:
        # The writer leaves a carriage return alone without quotes where lines end otherwise.
        kept = note if end == "\r\n" or quoting == csv.QUOTE_ALL else note.replace("\r", "")
        writer.writerow(
            {"conversation_id": conversation_id, "contact_id": contact_id, "note": kept}
        )
    assert read(text.getvalue().encode(encoding)) == [Detach(*row[:2]) for row in rows]


@given(st.lists(st.tuples(ids, ids), min_size=1), st.sampled_from([None, 1]))
def test_what_json_writes_is_read_back(pairs: list[tuple[str, str]], indent: int | None) -> None:
    expected = [Detach(*pair) for pair in pairs]
    lines = "\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
    assert read(lines.encode()) == expected
    assert read(json.dumps(pairs, indent=indent).encode()) == expected
    objects = [attrs.asdict(pair) for pair in expected]
    assert read(json.dumps(objects, indent=indent).encode()) == expected


BEGINNINGS = (b"", b"conversation_id,contact_id\n", b'[["1","2"],', b"\x1f\x8b\x08", b"\xff\xfe")


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise_anything_but_a_source_error(data: bytes) -> None:
    for begin in BEGINNINGS:
        try:
            lines = read(begin + data)
        except SourceError:
            continue
        assert all(isinstance(line, Detach | BadLine) for line in lines)
