"""What a journal tells about a run, in the terminal, as JSON and as an HTML file."""

import io
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intercom_async.journal.format import (
    Header,
    InputEnded,
    Line,
    Quota,
    Record,
    Resumed,
    Sending,
    encode,
)
from rich.console import Console

from intercom_async.cli.report import blocks, causes, gathering, saving, words
from intercom_async.cli.report.chart import nice
from intercom_async.cli.report.facts import Facts
from intercom_async.cli.report.gathering import Gatherer, gather, moment
from intercom_async.cli.report.page import page
from intercom_async.cli.report.text import show
from intercom_async.cli.report.timeline import Timeline, lay_out
from intercom_async.detaching import Outcome
from intercom_async.errors import ServerError
from intercom_async.journal import Journal, JournalCorruptError, JournalError, latest, scan
from tests.cli.conftest import Command
from tests.journal.helpers import A, D, F, L, M, N, U, killed, pairs, run

T0 = 1_738_360_800.0
NASTY = "<script>alert('x')</script>&\"\x1b[31m\u202e\udc80\0\n"


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def header(at: float = T0) -> Header:
    return Header(
        journal="intercom_async",
        schema=1,
        created=iso(at),
        parameters={"admin_id": "7", "region": "eu"},
        input={"kind": "csv"},
    )


def resumed(at: float, *, after: int | None = None) -> Resumed:
    return Resumed(resumed=iso(at), new_input_after=after)


def record(ordinal: int, outcome: Outcome = D, at: float = T0 + 1, **facts: Any) -> Record:
    defaults: dict[str, Any] = {
        "conversation_id": f"c{ordinal}",
        "contact_id": f"k{ordinal}",
        "request_id": f"r{ordinal}",
        "attempts": 1,
    }
    return Record(ordinal=ordinal, outcome=outcome, at=at, **(defaults | facts))


def write(path: Path, lines: Iterable[Line]) -> Path:
    path.write_bytes(b"".join(map(encode, lines)))
    return path


def facts_of(lines: Iterable[Line]) -> Facts:
    gatherer = Gatherer()
    for line in lines:
        gatherer.feed(line)
    return gatherer.facts("run.jsonl")


def text_of(facts: Facts, *, width: int = 100, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    show(Console(file=stream, width=width, color_system=None), facts)
    stream.seek(0)
    return stream.read()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def three_sessions() -> list[Line]:
    """20 pairs a second for two minutes, three times, with an hour between."""
    lines: list[Line] = [header(), Quota(250, T0)]
    at, ordinal = T0, 0
    for session in range(3):
        if session:
            at += 3600
            lines.append(resumed(at))
        for _ in range(2400):
            at += 0.05
            ordinal += 1
            lines.append(record(ordinal, at=at, refusals=int(ordinal % 100 == 0)))
    return [*lines, InputEnded(ordinal)]


class TestTotals:
    async def test_an_orderly_run_is_complete(self, path: Path) -> None:
        fates = (D, A, M, L)
        await run(path, pairs(40), lambda ordinal: fates[ordinal % 4])
        facts = gather(path)
        assert facts.complete
        assert {outcome: facts.outcomes[outcome] for outcome in fates} == dict.fromkeys(fates, 10)
        assert (facts.pairs, facts.settled, facts.unrecorded, facts.unsent) == (40, 40, 0, 0)
        assert facts.sessions == 1

    async def test_what_failed_keeps_a_run_from_being_complete(self, path: Path) -> None:
        await run(path, pairs(10), lambda ordinal: F if ordinal == 3 else D)
        facts = gather(path)
        assert not facts.complete
        assert words.verdict(facts) == "1 pair not settled."

    async def test_pairs_in_flight_at_a_kill_are_without_a_record(self, path: Path) -> None:
        await killed(path, pairs(200), lambda ordinal: None if ordinal > 190 else D)
        facts = gather(path)
        assert not facts.complete
        assert facts.pairs == 190
        announced = max(line.sending[1] for line in lines_of(path) if isinstance(line, Sending))
        assert facts.unrecorded == announced - 190
        assert "Up to" in words.verdict(facts)

    async def test_a_resumed_run_leaves_nothing_in_doubt(self, path: Path) -> None:
        await killed(path, pairs(200), lambda ordinal: None if ordinal > 190 else F)
        await run(path, pairs(200))
        facts = gather(path)
        assert facts.complete
        assert facts.pairs == 200
        assert facts.sessions == 2
        assert facts.tally.records == 390
        assert not facts.causes

    def test_a_failed_pair_that_may_have_been_sent_again_is_reopened(self) -> None:
        lines: list[Line] = [header(), Sending((1, 2)), record(1, F), record(2), resumed(T0 + 60)]
        assert facts_of(lines).reopened == 0
        facts = facts_of([*lines, Sending((1, 1))])
        assert (facts.reopened, facts.unrecorded, facts.pairs) == (1, 0, 2)
        assert any("sent again" in remark for remark in words.remarks(facts))

    def test_pairs_that_were_read_and_not_sent_are_known_once_the_input_ended(self) -> None:
        facts = facts_of([header(), Sending((1, 2)), record(1), InputEnded(5)])
        assert (facts.unrecorded, facts.unsent) == (1, 3)
        assert not facts.complete

    def test_of_a_replaced_input_only_settled_pairs_count(self) -> None:
        lines: list[Line] = [
            header(),
            record(1),
            record(2, F, error="ServerError"),
            InputEnded(2),
            resumed(T0 + 60, after=2),
            record(3, at=T0 + 61),
            InputEnded(3),
        ]
        facts = facts_of(lines)
        assert facts.complete
        assert facts.pairs == 2
        assert not facts.causes
        assert facts.first[1].new_input

    def test_a_header_alone_is_a_run_that_recorded_nothing(self, path: Path) -> None:
        facts = gather(write(path, [header()]))
        assert not facts.complete
        assert words.verdict(facts) == "Nothing was recorded yet."
        assert facts.rate is None
        assert "Nothing" in page(facts)

    def test_an_input_without_pairs_is_complete(self) -> None:
        assert facts_of([header(), InputEnded(0)]).complete

    def test_a_run_that_did_not_read_its_input_to_the_end_is_not_complete(self) -> None:
        facts = facts_of([header(), record(1)])
        assert not facts.complete
        assert "not read to its end" in words.verdict(facts)

    def test_attempts_and_refusals_of_every_record_are_counted(self) -> None:
        facts = facts_of(
            [
                header(),
                record(1, F, attempts=5, refusals=2),
                resumed(T0 + 60),
                record(1, attempts=1, at=T0 + 61),
                record(2, F, attempts=0, at=T0 + 61),
            ]
        )
        tally = facts.tally
        assert (tally.requests, tally.retries, tally.refusals) == (6, 4, 2)
        assert (tally.records, tally.settled, facts.pairs) == (3, 1, 2)

    def test_the_used_part_of_the_quota_is_known_with_a_quota_only(self) -> None:
        lines = [record(n, at=T0 + n / 10) for n in range(1, 1001)]
        facts = facts_of([header(), Quota(200, T0), *lines])
        assert facts.quota == 200
        assert facts.utilisation == pytest.approx(0.5)
        assert facts_of([header(), *lines]).utilisation is None


def lines_of(path: Path) -> list[Line]:
    return list(scan(path))


class TestReading:
    async def test_a_torn_last_line_is_left_out(self, path: Path) -> None:
        await run(path, pairs(5))
        before = gather(path)
        with path.open("ab") as file:
            file.write(encode(record(6))[:30])
        assert gather(path).outcomes == before.outcomes

    async def test_a_journal_that_is_being_written_is_read_up_to_now(self, path: Path) -> None:
        async with await Journal(path).open() as session:
            for pair in pairs(3):
                for admitted in session.admit(pair):
                    await session.reserve(admitted.ordinal)
                    await session.record(admitted.ordinal, admitted.detach, D)
            facts = gather(path)
        assert facts.pairs == 3
        assert not facts.complete
        assert facts.unrecorded

    @pytest.mark.parametrize("content", [b"", b'{"journal":"interc'])
    def test_an_empty_file_is_named_as_such(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(JournalError, match="empty"):
            gather(path)

    @pytest.mark.parametrize(
        "line", [header(), record(5_000_000), record(0), Sending((9, 3)), resumed(T0, after=1)]
    )
    def test_a_line_that_contradicts_the_others_is_named(self, path: Path, line: Line) -> None:
        lines: list[Line] = [header(), record(1), resumed(T0, after=1), record(2), line, record(1)]
        with pytest.raises(JournalCorruptError, match=r"line [56] "):
            gather(write(path, lines))

    @pytest.mark.parametrize("at", [0.0, -1.0, 1e300])
    def test_a_record_without_a_time_counts_and_is_in_no_picture(self, at: float) -> None:
        facts = facts_of([header(), record(1, at=at), record(2)])
        assert (facts.pairs, facts.undated) == (2, 1)
        assert sum(bucket.records for _, bucket in facts.timeline) == 1
        assert any("without a time" in remark for remark in words.remarks(facts))

    @pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00+00:00", "1960-01-01"])
    def test_a_time_that_is_none_is_unknown(self, text: str) -> None:
        assert moment(text) is None

    def test_a_time_without_a_zone_is_utc(self) -> None:
        assert moment("2025-01-31T22:00:00") == T0

    def test_a_session_without_a_time_begins_with_its_first_record(self) -> None:
        facts = facts_of([header(), Resumed(resumed="?"), record(1), record(2, at=T0 + 3)])
        assert facts.first[1].began == T0 + 1
        assert facts.first[1].pause is None
        assert facts.elapsed == 2

    def test_sessions_have_their_time_at_work_and_the_pause_before(self) -> None:
        facts = facts_of(three_sessions())
        assert [session.number for session in facts.first] == [1, 2, 3]
        for session in facts.first:
            assert session.worked == pytest.approx(120, abs=1)
            assert session.tally.records == 2400
        assert facts.first[0].pause is None
        assert facts.first[1].pause == pytest.approx(3600, abs=1)
        assert facts.elapsed == pytest.approx(360, abs=2)
        assert facts.rate == pytest.approx(20, abs=0.2)

    def test_of_very_many_sessions_the_first_and_last_are_kept(self) -> None:
        lines: list[Line] = [header()]
        for n in range(1, 200):
            lines += [record(n, at=T0 + 100 * n), resumed(T0 + 100 * n + 50)]
        facts = facts_of(lines)
        assert facts.sessions == 200
        assert len(facts.known_sessions) == 2 * gathering.SESSIONS
        assert facts.known_sessions[-1].number == 200
        assert "160 more" in text_of(facts)
        assert "160 more" in page(facts)


SERVER_ERROR = str(ServerError(status=503, request_id="9f8e7d"))


class TestCauses:
    def test_failures_are_grouped_whatever_their_ids(self) -> None:
        failed = [
            record(
                n,
                F,
                error="ServerError",
                status=503,
                request_id=f"req-{n}x",
                message=f"HTTP 503, no code: no message (request id req-{n}x); tried {n} times",
            )
            for n in range(1, 8)
        ]
        other = record(8, U, error="UnknownOutcomeError", message="nobody knows")
        facts = facts_of([header(), *failed, other])
        many, one = facts.causes
        assert (many.count, many.outcome, many.error, many.status) == (7, F, "ServerError", 503)
        assert many.pattern == "HTTP 503, no code: no message (request id #); tried # times"
        assert [example.ordinal for example in many.examples] == [1, 2, 3]
        assert (one.count, one.pattern) == (1, "nobody knows")

    @pytest.mark.parametrize(
        ("message", "pattern"),
        [
            (None, None),
            (SERVER_ERROR, "HTTP 503, no code: no message (request id #)"),
            ("a wait of 12.50 s, longer than 3 s", "a wait of # s, longer than # s"),
            ("contact c-own is gone\n  now", "contact # is gone now"),
            ("no 5ba682d2-11aa here", "no # here"),
            ("nothing varies", "nothing varies"),
        ],
    )
    def test_a_pattern_keeps_what_pairs_have_in_common(
        self, message: str | None, pattern: str | None
    ) -> None:
        one = Record(ordinal=1, conversation_id="c-own", contact_id="k", outcome=F, message=message)
        assert causes.pattern_of(one) == pattern

    def test_a_pair_that_is_recorded_again_leaves_its_group(self) -> None:
        failed = [record(n, F, error="ServerError") for n in range(1, 11)]
        later = [record(n, at=T0 + 99) for n in range(1, 8)]
        (cause,) = facts_of([header(), *failed, resumed(T0 + 90), *later]).causes
        assert cause.count == 3
        assert [example.ordinal for example in cause.examples] == [8, 9, 10]

    def test_a_refused_last_contact_is_settled_and_still_to_be_decided(self) -> None:
        facts = facts_of([header(), record(1, L), InputEnded(1)])
        assert facts.complete
        (cause,) = facts.causes
        assert words.reason(cause) == words.ADVICE[L]

    def test_any_number_of_causes_takes_bounded_memory(self) -> None:
        letters = [f"{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}" for n in range(600)]
        lines = [
            record(n, F, error=f"E{n % 100}", code=f"code{n % 3}", message=f"about {letters[n]}")
            for n in range(1, 600)
        ]
        facts = facts_of([header(), *lines, record(600, N), record(601, U)])
        assert len(facts.causes) < 256
        assert sum(cause.count for cause in facts.causes) == facts.pairs == 601
        assert "more causes" in text_of(facts)

    def test_long_texts_of_servers_are_cut(self) -> None:
        (cause,) = facts_of(
            [header(), record(1, F, code="x" * 10**5, request_id="y" * 10**5)]
        ).causes
        assert len(cause.code or "") == causes.WORDS
        assert len(cause.examples[0].request_id or "") == causes.WORDS


def announced(first: int) -> Sending:
    return Sending((first, first + 9))


RECORDS = st.builds(
    Record,
    ordinal=st.integers(1, 30),
    conversation_id=st.just("c"),
    contact_id=st.just("k"),
    outcome=st.sampled_from(Outcome),
    inferred=st.booleans(),
    attempts=st.integers(0, 6),
    refusals=st.integers(0, 3),
    error=st.none() | st.sampled_from(["ServerError", "ConnectionFailedError"]),
    status=st.none() | st.integers(500, 503),
    message=st.none() | st.text(st.characters(), max_size=20),
    at=st.just(0.0) | st.floats(T0, T0 + 1e6),
)
LINES = st.lists(
    RECORDS
    | st.builds(Quota, st.integers(1, 5000), st.floats(T0, T0 + 1e6))
    | st.builds(resumed, st.floats(T0, T0 + 1e6))
    | st.builds(announced, st.integers(1, 25)),
    max_size=60,
)


class TestSums:
    @given(LINES)
    def test_totals_add_up(self, lines: Sequence[Line]) -> None:
        facts = facts_of([header(), *lines])
        records = [line for line in lines if isinstance(line, Record)]
        last = {one.ordinal: one for one in records}
        assert facts.pairs == sum(facts.outcomes.values()) == len(last)
        assert facts.outcomes == dict.fromkeys(Outcome, 0) | Counter(
            one.outcome for one in last.values()
        )
        assert facts.inferred == sum(one.inferred for one in last.values())
        shown = [one for one in last.values() if not one.outcome.settled or one.outcome is L]
        assert sum(cause.count for cause in facts.causes) == len(shown)
        for cause in facts.causes:
            for example in cause.examples:
                assert last[example.ordinal].outcome is cause.outcome
        assert facts.tally.records == len(records)
        assert facts.tally.requests == sum(one.attempts for one in records)
        assert facts.tally.refusals == sum(one.refusals for one in records)
        assert sum(session.tally.records for session in facts.first + facts.last) <= len(records)

    @given(LINES)
    def test_buckets_add_up_to_the_records(self, lines: Sequence[Line]) -> None:
        facts = facts_of([header(), *lines])
        buckets = [bucket for _, bucket in facts.timeline]
        dated = [line for line in lines if isinstance(line, Record) and line.at]
        assert sum(bucket.records for bucket in buckets) == len(dated)
        assert facts.undated + len(dated) == facts.tally.records
        assert sum(bucket.refusals for bucket in buckets) == sum(one.refusals for one in dated)

    @given(LINES, st.integers(0, 30))
    def test_totals_agree_with_the_last_record_of_each_pair(
        self, tmp_path_factory: pytest.TempPathFactory, lines: Sequence[Line], after: int
    ) -> None:
        extent = max((line.ordinal for line in lines if isinstance(line, Record)), default=0)
        more = [record(extent + after + n, F) for n in range(1, 3)]
        again: list[Line] = [resumed(T0 + 9, after=extent + after), *more]
        path = tmp_path_factory.mktemp("journal") / "run.jsonl"
        write(path, [header(), *(line for line in lines if not isinstance(line, Sending)), *again])
        facts = gather(path)
        told = Counter(one.outcome for one in latest(path))
        assert facts.outcomes == dict.fromkeys(Outcome, 0) | told

    @given(LINES)
    def test_anything_can_be_shown(self, lines: Sequence[Line]) -> None:
        facts = facts_of([header(), *lines])
        text_of(facts, encoding="ascii")
        well_formed(page(facts))


class TestTimeline:
    @given(st.lists(st.floats(1, 2e9), min_size=1, max_size=80), st.integers(2, 12))
    def test_it_never_has_more_buckets_than_it_may(self, times: list[float], most: int) -> None:
        timeline = Timeline(most)
        for at in times:
            bucket = timeline.bucket(at, 100)
            assert bucket is not None
            bucket.records += 1
        assert len(timeline) <= most
        assert sum(bucket.records for _, bucket in timeline) == len(times)

    @given(st.lists(st.floats(1, 2e9), min_size=1, max_size=80), st.integers(10, 60))
    def test_a_layout_fits_and_holds_every_record(self, times: list[float], most: int) -> None:
        timeline = Timeline()
        for at in times:
            bucket = timeline.bucket(at, 100)
            assert bucket is not None
            bucket.records += 1
        axis = lay_out(timeline, most=most, gap=2)
        assert axis.columns + 2 * len(axis.pauses) <= most
        shown = [bucket for stretch in axis.stretches for bucket in stretch.columns]
        assert sum(bucket.records for bucket in shown) == len(times)
        assert all(pause > 0 for pause in axis.pauses)

    def test_long_pauses_are_cut_out(self) -> None:
        axis = lay_out(facts_of(three_sessions()).timeline, most=100)
        assert len(axis.stretches) == 3
        assert all(pause == pytest.approx(3600, abs=20) for pause in axis.pauses)
        assert axis.columns > 60

    def test_short_pauses_are_drawn(self) -> None:
        lines = [record(n, at=T0 + (n % 2) * 60 + n / 10) for n in range(1, 100)]
        axis = lay_out(facts_of([header(), *lines]).timeline, most=100)
        assert not axis.pauses

    def test_widths_are_whole_windows_of_the_quota_from_ten_seconds_on(self) -> None:
        timeline = Timeline(50)
        for at in range(1, 100_000, 7):
            timeline.bucket(at, 0)
        assert timeline.width > 10
        assert timeline.width % 10 == 0

    def test_nothing_is_laid_out_as_nothing(self) -> None:
        axis = lay_out(Timeline(), most=10)
        assert (axis.columns, axis.pauses, axis.highest("records")) == (0, (), 0)


class TestWords:
    @pytest.mark.parametrize(
        ("seconds", "told"),
        [
            (0, "0 s"),
            (0.35, "0.3 s"),
            (42.4, "42 s"),
            (60, "1 min"),
            (187, "3 min 7 s"),
            (3599.9, "1 h"),
            (7500, "2 h 5 min"),
            (90_000, "1 d 1 h"),
            (4 * 86_400, "4 d"),
        ],
    )
    def test_durations_are_told_as_they_are_spoken(self, seconds: float, told: str) -> None:
        assert words.span(seconds) == told

    @pytest.mark.parametrize(
        ("part", "told"),
        [
            (0, "0.0 %"),
            (1, "< 0.1 %"),
            (50_000, "50.0 %"),
            (99_999, "> 99.9 %"),
            (100_000, "100.0 %"),
        ],
    )
    def test_a_part_is_never_rounded_to_nothing_or_all(self, part: int, told: str) -> None:
        assert words.share(part, 100_000) == told
        assert not words.share(0, 0)

    def test_foreign_text_cannot_move_a_cursor_or_turn_a_line_around(self) -> None:
        shown = words.printable(NASTY)
        assert shown.isprintable()
        assert r"\x1b[31m\u202e\udc80\x00\n" in shown
        assert words.printable("Ünï\u2028") == r"Ünï\u2028"
        assert words.printable("Ünï", ascii_only=True) == r"\xdcn\xef"
        assert words.printable("x" * 500, most=10) == "xxxxxxx..."

    @given(st.text(st.characters()))
    def test_printable_text_can_always_be_written(self, text: str) -> None:
        words.printable(text).encode()
        assert words.printable(text, ascii_only=True).isascii()

    @given(st.floats(1e-6, 1e9))
    def test_a_scale_is_divided_at_nice_numbers(self, value: float) -> None:
        assert value * 0.998 <= nice(value) <= 2.6 * value


class TestTerminal:
    def test_the_whole_is_told_in_plain_words(self) -> None:
        lines = three_sessions()[:-1]
        failed = record(7201, F, at=T0 + 7700, error="ServerError", status=503, message="HTTP 503")
        facts = facts_of([*lines, failed, record(7202, D, inferred=True), InputEnded(7202)])
        text = text_of(facts)
        assert text.startswith("1 pair not settled.")
        assert "7,201  detached" in text
        assert words.ADVICE[F] in text
        assert "1 of the detached were concluded from a check" in text
        assert "run it again with the same input and the same journal" in text
        assert "cut out: " in text
        assert "the quota is 250 in 10 s" in text
        assert "1 failed  ServerError · HTTP 503" in text
        assert "conversation c7201, contact k7201, request id r7201" in text
        assert max(map(len, text.splitlines()[6:])) <= 200

    def test_a_terminal_that_knows_ascii_only_is_served(self) -> None:
        facts = facts_of([*three_sessions(), record(7201, F, code="Ünï", message=NASTY)])
        text = text_of(facts, width=80, encoding="ascii")
        assert text.isascii()
        assert "#" * 10 in text
        assert "|" in text
        assert "\x1b" not in text

    def test_the_chart_has_the_shape_of_the_run(self) -> None:
        assert blocks.spark([0, 1, 4, 8], 8, ascii_only=False) == " ▁▄█"
        assert blocks.spark([0, 1, 4, 8], 8, ascii_only=True) == " .=@"
        assert blocks.columns([0, 1, 2, 4], 4, height=2, ascii_only=False) == ["   █", " ▄██"]
        assert blocks.columns([0, 1, 2, 4], 4, height=2, ascii_only=True) == ["   #", " :##"]
        assert blocks.spark([0, 0], 0, ascii_only=False) == "  "

    def test_what_is_rare_still_shows(self) -> None:
        assert blocks.spark([1, 10_000], 10_000, ascii_only=False) == "▁█"

    def test_a_quota_far_above_the_run_does_not_flatten_it(self) -> None:
        lines = [record(n, at=T0 + n) for n in range(1, 100)]
        text = text_of(facts_of([header(), Quota(10_000, T0), *lines]))
        assert "1 │" in text
        assert "│ quota" not in text

    def test_a_run_that_sent_nothing_can_be_shown(self) -> None:
        lines = [record(n, F, at=T0 + n, attempts=0) for n in range(1, 10)]
        for quota in (0, 100):
            facts = facts_of([header(), Quota(quota, T0), *lines])
            assert "none" in text_of(facts)
            well_formed(page(facts))

    def test_the_quota_stands_at_its_height(self) -> None:
        lines = [record(n, at=T0 + n / 10) for n in range(1, 200)]
        facts = facts_of([header(), Quota(50, T0), *lines])
        rows = [line for line in text_of(facts).splitlines() if "│" in line][:6]
        assert [row.endswith("quota") for row in rows] == [False] * 3 + [True] + [False] * 2

    def test_a_run_of_one_moment_has_no_picture(self) -> None:
        facts = facts_of([header(), record(1), InputEnded(1)])
        assert "requests per second" not in text_of(facts)
        assert "<svg" not in page(facts).split("</header>")[1]


class Balance(HTMLParser):
    """Whether every element is closed in its place, and what could reach out."""

    VOID = frozenset({"meta", "br", "rect", "line", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        for name, value in attrs:
            assert name not in {"src", "href", "srcset", "action", "xlink:href"}
            assert not name.startswith("on")
            assert name == "content" or "url(" not in (value or "")
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def well_formed(html: str) -> Balance:
    html.encode()
    balance = Balance()
    balance.feed(html)
    balance.close()
    assert not balance.open
    assert not balance.seen.keys() & {"script", "link", "img", "iframe", "object", "form"}
    return balance


class TestPage:
    def test_it_shows_everything(self) -> None:
        failed = record(7201, F, error="ServerError", status=503, message="HTTP 503", at=T0 + 7700)
        html = page(facts_of([*three_sessions()[:-1], failed, Sending((7202, 7300))]))
        text = "".join(well_formed(html).text)
        for told in (
            "1 pair not settled, and up to 99 without a record.",
            "7,200",
            "without a record",
            "ServerError · HTTP 503",
            "r7201",
            "quota, 250 in 10 s",
            "Sessions",
            "1 h",
            "2025-01-31 22:00:00",
            words.ADVICE[F],
        ):
            assert told in text
        assert html.count('class="cut"') == 3 * 4

    def test_it_needs_nothing_and_runs_nothing(self) -> None:
        html = page(facts_of(three_sessions()))
        well_formed(html)
        assert "default-src 'none'" in html
        assert not re.search(r"https?://|@import|url\(", html)

    def test_it_is_made_for_both_colour_schemes_phones_and_paper(self) -> None:
        html = page(facts_of([header()]))
        for told in ("prefers-color-scheme: dark", "max-width: 640px", "@media print", "viewport"):
            assert told in html

    def test_nothing_foreign_gets_through_unescaped(self) -> None:
        nasty = Record(
            ordinal=1,
            conversation_id=NASTY,
            contact_id=NASTY,
            outcome=F,
            request_id=NASTY,
            error=NASTY,
            code=NASTY,
            message=NASTY,
            at=T0,
        )
        begun = Header(
            journal="intercom_async",
            schema=1,
            created=NASTY,
            parameters={NASTY: NASTY},
            input={NASTY: [NASTY]},
        )
        gatherer = Gatherer()
        for line in (begun, nasty, record(2, at=T0 + 5)):
            gatherer.feed(line)
        html = page(gatherer.facts(f"/somewhere/{NASTY}".replace("\0", "")))
        balance = well_formed(html)
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", html)
        assert any("<script>" in text for text in balance.text)

    def test_a_quota_far_above_the_run_is_only_named(self) -> None:
        lines = [record(n, at=T0 + n) for n in range(1, 100)]
        html = page(facts_of([header(), Quota(10_000, T0), *lines]))
        assert "far above the picture" in html
        assert 'class="quota"' not in html

    def test_a_session_that_begins_without_a_pause_is_marked(self) -> None:
        lines = [record(n, at=T0 + n) for n in range(1, 100)]
        html = page(facts_of([header(), *lines[:50], resumed(T0 + 50), *lines[50:]]))
        assert 'class="begin"' in html
        assert "a session begins" in html

    @pytest.mark.parametrize("hours", [0.01, 1, 30, 24 * 400])
    def test_a_run_of_any_length_has_a_few_times_below_it(self, hours: float) -> None:
        lines = [record(n, at=T0 + hours * 36 * n) for n in range(1, 101)]
        html = page(facts_of([header(), *lines]))
        well_formed(html)
        times = re.search('<div class="times">(.*?)</div>', html)
        assert times is not None
        assert 2 <= times[1].count("<span") <= 10

    def test_each_day_is_named_where_it_begins(self) -> None:
        lines = [record(n, at=T0 + 360 * n) for n in range(1, 401)]
        times = re.search('<div class="times">(.*?)</div>', page(facts_of([header(), *lines])))
        assert times is not None
        days = dict.fromkeys(re.findall("<br>([-0-9]+)", times[1]))
        assert list(days) == ["2025-01-31", "2025-02-01", "2025-02-02"]


def refuse_quietly(path: Path, mode: int) -> bool:
    return False


class TestSaving:
    def test_a_report_is_private_and_replaces_an_older_one(self, tmp_path: Path) -> None:
        target = tmp_path / "run.html"
        for text in ("<!doctype html>old", "<!doctype html>new"):
            assert saving.check_target(target, tmp_path / "run.jsonl") is None
            saving.save(target, text)
        assert target.read_text(encoding="utf-8") == "<!doctype html>new"
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert [entry.name for entry in tmp_path.iterdir()] == ["run.html"]

    def test_an_older_report_survives_a_full_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "run.html"
        saving.save(target, "<!doctype html>old")

        def refuse(fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            saving.save(target, "<!doctype html>new")
        assert target.read_text(encoding="utf-8") == "<!doctype html>old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["run.html"]

    def test_what_is_no_report_is_not_replaced(self, tmp_path: Path) -> None:
        journal = write(tmp_path / "run.jsonl", [header()])
        csv = tmp_path / "pairs.csv"
        csv.write_text("conversation_id,contact_id\n", encoding="utf-8")
        link = tmp_path / "link"
        link.symlink_to(journal)
        for target, problem in (
            (journal, "the journal itself"),
            (link, "the journal itself"),
            (csv, "no HTML file"),
            (tmp_path, "no regular file"),
            (tmp_path / "none" / "run.html", "no folder"),
        ):
            assert problem in (saving.check_target(target, journal) or "")

    def test_an_empty_file_may_be_written(self, tmp_path: Path) -> None:
        target = tmp_path / "run.html"
        target.touch()
        assert saving.check_target(target, tmp_path / "run.jsonl") is None

    def test_a_folder_or_file_without_permission_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "run.html"
        target.touch()

        def refuse(*_: object, **__: object) -> io.BytesIO:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        assert "Permission denied" in (saving.check_target(target, tmp_path / "j") or "")
        monkeypatch.setattr(os, "access", refuse_quietly)
        assert "not writable" in (saving.check_target(target, tmp_path / "j") or "")


class TestCommand:
    def test_a_complete_run_ends_in_status_0(self, command: Command, path: Path) -> None:
        write(path, three_sessions())
        ended = command("report", path)
        assert ended.status == 0
        assert "Every pair is settled." in ended.out
        assert not ended.err

    def test_an_incomplete_run_ends_in_status_1(self, command: Command, path: Path) -> None:
        write(path, [header(), record(1, F), InputEnded(1)])
        assert command("report", path).status == 1

    def test_json_is_for_programs(self, command: Command, path: Path) -> None:
        write(path, [*three_sessions(), record(7201, U, message=NASTY)])
        ended = command("report", path, "--json")
        assert ended.status == 1
        document = json.loads(ended.out)
        assert document["outcomes"]["detached"] == 7200
        assert document["pairs"] == sum(document["outcomes"].values()) == 7201
        assert document["sessions"]["count"] == 3
        assert document["causes"][0]["examples"][0]["message"] == NASTY
        buckets = document["timeline"]["buckets"]
        assert sum(bucket["records"] for bucket in buckets) == 7201
        assert document["quota"] == 250

    def test_the_page_is_written_beside_the_text(
        self, command: Command, path: Path, tmp_path: Path
    ) -> None:
        write(path, three_sessions())
        target = tmp_path / "run.html"
        ended = command("report", path, "--html", target)
        assert ended.status == 0
        assert "Every pair is settled." in ended.out
        assert f"written to {target}" in ended.err
        well_formed(target.read_text(encoding="utf-8"))
        assert stat.S_IMODE(target.stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (None, "cannot be read"),
            (b"conversation_id,contact_id\n1,2\n", "no journal of this library"),
            (b"", "is empty"),
            (b"\xff\xfe\x00binary", "no journal of this library"),
            (encode(header()) + b"{}\n" + encode(record(1)), "is damaged"),
        ],
    )
    def test_what_is_no_journal_ends_in_status_2(
        self, command: Command, path: Path, content: bytes | None, problem: str
    ) -> None:
        if content is not None:
            path.write_bytes(content)
        ended = command("report", path, "--html", path.with_suffix(".html"))
        assert ended.status == 2
        assert problem in ended.err
        assert not ended.out
        assert not path.with_suffix(".html").exists()

    def test_a_target_that_must_not_be_replaced_ends_in_status_2(
        self, command: Command, path: Path
    ) -> None:
        write(path, [header()])
        before = path.read_bytes()
        ended = command("report", path, "--html", path)
        assert ended.status == 2
        assert "the journal itself" in ended.err
        assert path.read_bytes() == before

    def test_a_disk_that_refuses_ends_in_status_2(
        self, command: Command, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(path, [header()])

        def refuse(fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
        ended = command("report", path, "--html", path.with_suffix(".html"))
        assert ended.status == 2
        assert "No space left on device" in ended.err
        assert not ended.out
