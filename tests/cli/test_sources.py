"""Reading pairs from files: formats, places of errors, nothing lost."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.cli.sources import BadLine, SourceError, read_pairs
from intercom_async.detaching import Detach


def read(data: bytes, columns: dict[str, str] | None = None) -> list[Detach | BadLine]:
    return list(read_pairs(io.BytesIO(data), "pairs.csv", columns=columns))


def test_csv_columns_are_found_by_name_in_any_order() -> None:
    data = b"note,contact_id,conversation_id,admin_id\nx,c1,1,\ny,c2,2,9\n"
    assert read(data) == [Detach("1", "c1"), Detach("2", "c2", "9")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_may_use_the_delimiters_spreadsheets_write(delimiter: str) -> None:
    data = f"conversation_id{delimiter}contact_id\r\n1{delimiter}c1\r\n"
    assert read(data.encode()) == [Detach("1", "c1")]


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


@pytest.mark.parametrize("line", [b'7,"c7', b'"7,c7', b'"' + b"\xff", b'7,"c7""'])
def test_a_quote_that_is_never_closed_costs_its_own_line(line: bytes) -> None:
    others = [Detach(str(number), f"c{number}") for number in range(10, 8000)]
    rest = b"".join(f"{pair.conversation_id},{pair.contact_id}\n".encode() for pair in others)
    first, bad, *found = read(b"conversation_id,contact_id\n1,c1\n" + line + b"\n" + rest)
    assert first == Detach("1", "c1")
    assert isinstance(bad, BadLine)
    assert bad.line == 3
    assert found == others


def test_a_cell_may_hold_line_breaks() -> None:
    data = b'note,conversation_id,contact_id\n"a\nb\nc",1,c1\n"d\ne",,c2\n"f\n\xff",3,c3\ng,4,c4\n'
    found = read(data)
    assert [entry for entry in found if isinstance(entry, Detach)] == [
        Detach("1", "c1"),
        Detach("4", "c4"),
    ]
    bad = [(entry.line, entry.problem) for entry in found if isinstance(entry, BadLine)]
    # What cannot be read is named by the line it begins on; then its other lines are bad ones.
    assert bad[0] == (5, "conversation_id is missing")
    assert [line for line, _ in bad] == [5, 7, 8]


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
        (b'"1"', "not an object"),
        (b"[1]", "a list of 1"),
        (b'{"conversation_id": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
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


ids = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
).filter(lambda text: text == text.strip())


@given(st.lists(st.tuples(ids, ids), min_size=1))
def test_what_a_csv_writer_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["conversation_id", "contact_id"])
    writer.writerows(pairs)
    assert read(text.getvalue().encode()) == [Detach(*pair) for pair in pairs]


@given(st.lists(st.tuples(ids, ids), min_size=1))
def test_what_json_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    data = "\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
    assert read(data.encode()) == [Detach(*pair) for pair in pairs]


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise_anything_but_a_source_error(data: bytes) -> None:
    try:
        lines = read(data)
    except SourceError:
        return
    assert all(isinstance(line, Detach | BadLine) for line in lines)
