"""The fuzzers' corpus, replayed; and a few new inputs on every run, atheris or not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import LARGEST, TARGETS, WORD, inputs_of, words_of

VALUES = (
    *(b"null", b"true", b"0", b"-1", b"1.5", b"1e300", b"NaN", b"[]", b"{}", b"[{}]", b"[null]"),
    *(b'""', b'"x"', b'"\\ud800"', b'"1719492951"', b"1719492951000", b"18446744073709551616"),
    *(b'"2024-06-27T12:55:51Z"', b'{"id":1}', b"\0", b"", b"[" * 500 + b"]" * 500),
    *(b"soon", b"0.5", b"1735689610", b"1735689620", b"4102444800", b"429", b"\n\n"),
)
"""Values at the edges of what is expected."""

INPUTS = {name: inputs_of(name) for name in TARGETS}
WORDS = {name: [*words_of(name), *VALUES] for name in TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_corpus_breaks_a_promise(name: str) -> None:
    for entry in INPUTS[name]:
        TARGETS[name](entry)


def changed(data: st.DataObject, name: str) -> bytes:
    """An input of the corpus in which a word, a line or a piece of another one stands."""
    old, other = (data.draw(st.sampled_from(INPUTS[name])) for _ in range(2))
    for _ in range(data.draw(st.integers(1, 4))):
        found = [each.span() for each in WORD.finditer(old)]
        place = st.integers(0, len(old))
        begin, end = data.draw(
            st.sampled_from(found) if found else st.tuples(place, place).map(sorted)
        )
        new = data.draw(st.sampled_from([*WORDS[name], *other.split(b"\n")]))
        old = old[:begin] + new + old[end:]
    return old[:LARGEST]


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_no_input_near_the_corpus_or_far_from_it_breaks_a_promise(
    name: str, data: st.DataObject
) -> None:
    far = data.draw(st.sampled_from([False, False, True]))
    TARGETS[name](data.draw(st.binary(max_size=200)) if far else changed(data, name))
