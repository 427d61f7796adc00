"""The fuzzers' corpus, replayed; and a few new inputs on every run, atheris or not."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, LARGEST, TARGETS, headers
from tests.hostile.catalogue import ABSURD_NUMBERS, QUOTA_HEADERS

FILES = [(name, entry) for name in TARGETS for entry in sorted((CORPUS / name).iterdir())]
WORD = re.compile(rb"\"[^\"]*\"|[\w.+-]+")
"""What stands for a value or a name in most formats."""

VALUES = (
    *(b"null", b"true", b"0", b"-1", b"1.5", b"1e300", b"NaN", b"[]", b"{}", b"[{}]", b"[null]"),
    *(b'""', b'"x"', b'"\\ud800"', b'"1719492951"', b"1719492951000", b"18446744073709551616"),
    *(b'"2024-06-27T12:55:51Z"', b'{"id":1}', b"\0", b"", b"[" * 500 + b"]" * 500),
)
"""Values at the edges of what is expected."""

INPUTS = {name: [entry.read_bytes() for of, entry in FILES if of == name] for name in TARGETS}


@pytest.mark.parametrize(
    ("name", "entry"), FILES, ids=[f"{name}-{entry.name}" for name, entry in FILES]
)
def test_no_input_of_the_corpus_breaks_a_promise(name: str, entry: Path) -> None:
    TARGETS[name].check(entry.read_bytes())


def changed(data: st.DataObject, name: str) -> bytes:
    """An input of the corpus in which a word, a line or a piece of another one stands."""
    old, other = (data.draw(st.sampled_from(INPUTS[name])) for _ in range(2))
    words = st.sampled_from([*TARGETS[name].words, *VALUES])
    for _ in range(data.draw(st.integers(1, 4))):
        found = [(each.start(), each.end()) for each in WORD.finditer(old)]
        place = st.integers(0, len(old))
        begin, end = data.draw(
            st.sampled_from(found) if found else st.tuples(place, place).map(sorted)
        )
        new = data.draw(st.one_of(words, st.sampled_from(other.split(b"\n"))))
        old = old[:begin] + new + old[end:]
    return old[:LARGEST]


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_no_input_near_the_corpus_or_far_from_it_breaks_a_promise(
    name: str, data: st.DataObject
) -> None:
    far = data.draw(st.sampled_from([False, False, True]))
    TARGETS[name].check(data.draw(st.binary(max_size=200)) if far else changed(data, name))


SECONDS = ("0", "1", "5", "160", "1735689600", "1735689610", "1735689620", "1e11")
NUMBERS = st.sampled_from([*SECONDS, *ABSURD_NUMBERS.values()])


@st.composite
def talks(draw: st.DrawFn, *statuses: int) -> bytes:
    """Talks with a server that answers so, each time in its own way."""
    blocks: list[str] = []
    for _ in range(draw(st.integers(1, 6))):
        word = draw(st.sampled_from(["", "bulk", "overlapping", "other", "rate_limit_exceeded"]))
        lines = [f"{draw(st.sampled_from(statuses))} {word} {draw(st.floats(0.001, 5.0))}"]
        lines += [f"{name}: {draw(NUMBERS)}" for name in QUOTA_HEADERS if draw(st.booleans())]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks).encode()


@given(data=st.one_of(talks(429), talks(200, 404, 429, 429, 500)))
@settings(max_examples=100)
def test_the_search_for_a_storm_of_requests_or_an_endless_wait_finds_none(data: bytes) -> None:
    record = headers.talk(data)
    target(float(record.refused), label="requests in a minute")
    target(record.longest, label="seconds of the longest wait")
    assert record.refused <= headers.MOST_REFUSED
    assert record.longest <= headers.LONGEST_WAIT
