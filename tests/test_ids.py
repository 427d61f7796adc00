"""What can be an id, and what a refusal says."""

import enum
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.errors import InvalidArgumentError
from intercom_async.ids import check_id


class Known(enum.StrEnum):
    ONE = "5017690"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"


class Index:
    """A whole number of another library, such as numpy's."""

    def __index__(self) -> int:
        return 5017690


@pytest.mark.parametrize(
    "text",
    [
        *("1", "0", "215469000000001", "f09e2e8c662248b483b7ffc0", "12345678901234567890e123"),
        *("c1", "a b", "ä", "1/2?x", "f09e2e8c-6622-48b4-83b7", "nano", "nullable", "1_2", "e5"),
        "x" * 512,
    ],
)
def test_an_id_stays_as_it_is_without_white_space_and_what_shows_nothing_around_it(
    text: str,
) -> None:
    for around in ("", *" \t\xa0\u2009\u202f\u3000\ufeff\u200b\u200e", "\r\n"):
        assert check_id("contact_id", f"{around}{text}{around}{around}") == text


@pytest.mark.parametrize("value", [5017690, Index(), Known.ONE, Loud("5017690"), Loud(" 5017690 ")])
def test_whole_numbers_and_texts_of_other_classes_become_plain_texts(value: object) -> None:
    found = check_id("admin_id", value)
    assert type(found) is str
    assert found == "5017690"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("2E14", "'2E14' looks like a spreadsheet's 2.15E+14: export the column as text"),
        *((text, "2.15E+14") for text in ["2.15469E+14", "2,15E+14", "1e+16", "2.0E14"]),
        *((value, "1297.0") for value in ["1297.0", "1297,0", "1297.", 1297.0, 0.5]),
        *((text, "1,308") for text in ["1,308", "1.308.000", "1 308", "1\u202f308", "1'308"]),
        *((text, "1,308") for text in ["12,34,567", "1.5", "1\u2019308", "+1306"]),
        *((text, "quote") for text in ["'1305", "\u20181305", '"1306"', "'"]),
        *((text, "formula") for text in ['="1306"', "=1306", "=A1"]),
        *((text, "missing value") for text in ["nan", "NaN", "NULL", "None", "nil", "N/A", "n.a."]),
        *((text, "missing value") for text in ["<NA>", "(null)", "[null]", "\\N", "undefined"]),
        *((text, "missing value") for text in ["NaT", "inf", "-Infinity", "TRUE", "false"]),
        *((text, "#N/A") for text in ["#N/A", "#REF!", "#VALUE!", "#BEZUG!", "#1306"]),
        *((text, "header") for text in ["conversation_id", "Contact_ID", "admin_id"]),
        *((text, "invisible") for text in ["1\u200b2", "1\u00ad2", "1\x002", "1\n2", "a\xa0b"]),
        *((text, "invisible") for text in ["\x7f1", "1\ufe0f2", "\u31641", "1\u202e2"]),
        *((text, "no letter and no digit") for text in [".", "..", "-", "--", "____", "?", "…"]),
        *((text, "not UTF-8") for text in ["a\ud800", "\udcff1"]),
        ("1\ufffd", "lost"),
        *((value, "is missing") for value in ["", " ", "\t", "\xa0\ufeff", None]),
        (float("nan"), "missing value"),
        *((value, "512 characters") for value in ["x" * 513, "9" * 513, 10**600, 10**5000]),
        *((value, "negative") for value in ["-5", "-9223372036854775808", -5]),
    ],
    ids=lambda value: type(value).__name__,  # pytest cannot write the longest number
)
def test_what_cannot_be_an_id_is_refused_by_what_it_looks_like(value: object, seen: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_id("contact_id", value)
    assert str(caught.value).startswith("contact_id must be an id; ")
    assert caught.value.name == "contact_id"
    assert seen in str(caught.value)


@pytest.mark.parametrize("value", [True, False, b"1", ["1"], Decimal(5), object()])
def test_what_is_no_text_and_no_whole_number_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^contact_id must be a text or a whole"):
        check_id("contact_id", value)


@given(st.text())
def test_what_is_accepted_can_be_seen_and_is_accepted_again(text: str) -> None:
    try:
        found = check_id("contact_id", text)
    except InvalidArgumentError:
        return
    assert found.isprintable()
    assert found == found.strip()
    assert found in text
    assert check_id("contact_id", found) == found


THOUSANDS = st.integers(min_value=1000).map("{:,}".format)
MARKED = st.builds(str.replace, THOUSANDS, st.just(","), st.sampled_from([",", ".", " "]))


@given(st.floats(allow_nan=False, allow_infinity=False).map(str) | MARKED)
def test_no_float_and_no_number_with_thousands_marks_is_an_id(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        check_id("contact_id", text)
