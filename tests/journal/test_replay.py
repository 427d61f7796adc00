"""What lines add up to, and how an input is compared: no file, no loop."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.detaching import Detach, Outcome
from intercom_async.journal.fates import (
    LEAP,
    SettledPairs,
    is_ambiguous,
    is_announced,
    is_inferred,
    is_settled,
    outcome_of,
)
from intercom_async.journal.format import (
    Checkpoint,
    InputEnded,
    Line,
    LineError,
    Record,
    Resumed,
    Sending,
    Unsent,
    encode,
)
from intercom_async.journal.replay import CHECKPOINT, Admitted, Gate, InputChangedError, Replay
from tests.journal.helpers import HEADER, A, D, F, L, M, N, U, pairs, record

SETTLED = {D, A, M, L, Outcome.ATTACHED}


def replayed(*lines: Line) -> Replay:
    replay = Replay()
    offset = 0
    for line in (HEADER, *lines):
        data = encode(line)
        replay.feed(data, offset)
        offset += len(data)
    return replay


def resumed(*lines: Line) -> Replay:
    return replayed(*lines, Resumed(resumed=""))


def ambiguous(replay: Replay, among: Iterable[int]) -> list[int]:
    return [ordinal for ordinal in among if is_ambiguous(replay.fates.get(ordinal))]


def settled(replay: Replay, among: Iterable[int]) -> list[int]:
    return [ordinal for ordinal in among if is_settled(replay.fates.get(ordinal))]


class TestFates:
    def test_what_was_announced_and_has_no_record_is_ambiguous_after_a_kill(self) -> None:
        replay = resumed(Sending((1, 6)), record(2), record(4, A))
        assert settled(replay, range(1, 9)) == [2, 4]
        assert ambiguous(replay, range(1, 9)) == [1, 3, 5, 6]

    def test_within_its_own_session_an_announced_pair_is_not_ambiguous(self) -> None:
        replay = replayed(Sending((1, 4)))
        assert not ambiguous(replay, range(1, 9))
        assert is_announced(replay.fates.get(4))
        assert not is_announced(replay.fates.get(5))

    def test_a_failed_pair_is_not_ambiguous_until_it_is_announced_again(self) -> None:
        first: list[Line] = [Sending((1, 2)), record(1, F), record(2, F)]
        replay = resumed(*first)
        assert not ambiguous(replay, (1, 2))
        assert not is_announced(replay.fates.get(1))
        assert ambiguous(resumed(*first, Resumed(resumed=""), Sending((1, 1))), (1, 2)) == [1]

    def test_not_attempted_now_does_not_clear_the_doubt_of_earlier(self) -> None:
        first: list[Line] = [Sending((1, 2)), Resumed(resumed=""), Sending((3, 4))]
        replay = resumed(*first, record(1, N), record(3, N))
        assert ambiguous(replay, range(1, 5)) == [1, 2, 4]

    def test_unknown_stays_ambiguous_and_settling_ends_it(self) -> None:
        replay = resumed(Sending((1, 2)), record(1, U), record(2, U), record(2, D))
        assert ambiguous(replay, (1, 2)) == [1]
        assert outcome_of(replay.fates.get(1)) is U

    def test_an_orderly_end_takes_back_what_was_only_announced(self) -> None:
        replay = resumed(Sending((1, 256)), record(1), Unsent((2, 256)))
        assert not ambiguous(replay, range(1, 300))

    def test_taking_back_an_announcement_leaves_the_doubt_of_earlier_sessions(self) -> None:
        first: list[Line] = [Sending((1, 4)), Resumed(resumed=""), Sending((3, 8))]
        assert ambiguous(resumed(*first, Unsent((1, 8))), range(1, 9)) == [1, 2, 3, 4]

    def test_beyond_the_end_of_the_input_nothing_is_ambiguous(self) -> None:
        assert ambiguous(resumed(Sending((1, 256)), InputEnded(3)), range(1, 300)) == [1, 2, 3]

    def test_the_last_record_of_a_pair_counts(self) -> None:
        replay = resumed(record(1, F), record(2, U), record(1, D), record(3, A), record(2, F))
        counts = {outcome: count for outcome, count in replay.counts().items() if count}
        assert counts == {D: 1, A: 1, F: 1}
        assert replay.records == 5

    @pytest.mark.parametrize(
        "line", [Sending((5, 4)), Sending((0, 4)), record(0), record(LEAP + 1), Sending((1, 2**40))]
    )
    def test_impossible_ordinals_are_damage_rather_than_gigabytes(self, line: Line) -> None:
        with pytest.raises(LineError):
            replayed(line)

    def test_lines_before_the_header_and_a_second_header_are_damage(self) -> None:
        for lines in ([record(1)], [InputEnded(1)], [HEADER, HEADER]):
            replay = Replay()
            with pytest.raises(LineError):
                for line in lines:
                    replay.feed(encode(line), 0)

    LINES = st.one_of(
        st.builds(record, st.integers(1, 40), st.sampled_from(Outcome), inferred=st.booleans()),
        st.tuples(st.integers(1, 40), st.integers(0, 20)).map(lambda r: Sending((r[0], sum(r)))),
        st.tuples(st.integers(1, 40), st.integers(0, 20)).map(lambda r: Unsent((r[0], sum(r)))),
        st.just(Resumed(resumed="")),
    )

    @given(st.lists(LINES, max_size=60))
    def test_a_byte_per_pair_says_the_same_as_three_sets_would(self, lines: list[Line]) -> None:
        announced: set[int] = set()
        doubt: set[int] = set()
        outcomes: dict[int, Outcome] = {}
        for line in lines:
            match line:
                case Sending((first, last)):
                    announced |= {
                        n for n in range(first, last + 1) if outcomes.get(n) not in SETTLED
                    }
                case Unsent((first, last)):
                    announced -= set(range(first, last + 1))
                case Resumed():
                    doubt |= announced
                    announced = set()
                case Record():
                    outcomes[line.ordinal] = line.outcome
                    announced.discard(line.ordinal)
                    if line.outcome is U:
                        doubt.add(line.ordinal)
                    elif line.outcome is not N:
                        doubt.discard(line.ordinal)
                case _:
                    raise AssertionError
        replay = replayed(*lines)
        for ordinal in range(1, 70):
            fate = replay.fates.get(ordinal)
            assert outcome_of(fate) == outcomes.get(ordinal)
            assert is_settled(fate) == (outcomes.get(ordinal) in SETTLED)
            assert is_ambiguous(fate) == (ordinal in doubt)
            assert is_announced(fate) == (ordinal in doubt | announced)
        assert replay.fates.in_doubt() == bool(doubt | announced)
        assert replay.counts() == {
            outcome: list(outcomes.values()).count(outcome) for outcome in Outcome
        }


def read(gate: Gate, given: Iterable[Detach]) -> tuple[list[Admitted], list[Line]]:
    """Feed a gate like a session does; return what is to be sent and what was written."""
    admitted: list[Admitted] = []
    written: list[Line] = []
    for pair in given:
        admitted.extend(one for one in gate.feed(pair) if one.settled is None)
        if gate.checkpoint_due and (checkpoint := gate.checkpoint()) is not None:
            written.append(checkpoint)
    return admitted, written


def checkpoints(given: Iterable[Detach]) -> list[Line]:
    gate = Gate(replayed())
    _, written = read(gate, given)
    last = gate.checkpoint()
    return written if last is None else [*written, last]


class TestGate:
    def test_a_new_input_comes_through_at_once(self) -> None:
        gate = Gate(replayed())
        for ordinal, pair in enumerate(pairs(5), 1):
            assert list(gate.feed(pair)) == [Admitted(ordinal, pair)]
        gate.end()

    def test_digests_are_taken_at_regular_distances_and_at_the_end(self) -> None:
        taken = [
            line.checkpoint for line in checkpoints(pairs(2500)) if isinstance(line, Checkpoint)
        ]
        assert taken == [CHECKPOINT, 2 * CHECKPOINT, 2500]

    def test_nothing_comes_through_before_the_comparison_that_covers_it(self) -> None:
        gate = Gate(resumed(*checkpoints(pairs(1030)), record(1), record(2)))
        steps = [gate.feed(pair) for pair in pairs(1040)]
        assert [(n, len(step)) for n, step in enumerate(steps, 1) if step] == [
            (1024, 1024),
            (1030, 6),
            *((n, 1) for n in range(1031, 1041)),
        ]
        settled = [one.ordinal for step in steps for one in step if one.settled is D]
        assert settled == [1, 2]

    @pytest.mark.parametrize("changed", [1, 2, 500, 1024, 1025, 2047, 2048, 2500])
    def test_a_changed_pair_is_found_before_any_pair_near_it_comes_through(
        self, changed: int
    ) -> None:
        given = pairs(2500)
        gate = Gate(resumed(*checkpoints(given)))
        given[changed - 1] = Detach("c", "other")
        admitted: list[Admitted] = []
        with pytest.raises(InputChangedError) as caught:
            for pair in given:
                admitted.extend(gate.feed(pair))
        assert caught.value.first <= changed <= caught.value.last
        assert [pair.ordinal for pair in admitted] == list(range(1, caught.value.first))

    def test_pairs_after_the_last_digest_are_compared_with_their_records(self) -> None:
        lines = [*checkpoints(pairs(1024)), record(1026), record(1028, F)]
        given = pairs(1030)
        admitted, _ = read(Gate(resumed(*lines)), given)
        assert [pair.ordinal for pair in admitted[-5:]] == [1025, 1027, 1028, 1029, 1030]
        for ordinal in (1026, 1028):
            changed = given.copy()
            changed[ordinal - 1] = Detach(f"c{ordinal}", f"k{ordinal}", "another admin")
            gate = Gate(resumed(*lines))
            with pytest.raises(InputChangedError) as caught:
                read(gate, changed)
            assert caught.value.first == caught.value.last == ordinal
            assert caught.value.expected is not None

    def test_a_shorter_input_is_another_one_and_a_longer_one_is_not(self) -> None:
        for lines in (checkpoints(pairs(20)), [record(20)]):
            gate = Gate(resumed(*lines))
            read(gate, pairs(19))
            with pytest.raises(InputChangedError) as caught:
                gate.end()
            assert (caught.value.first, caught.value.last) == (20, 20)
            gate = Gate(resumed(*lines))
            admitted, _ = read(gate, pairs(25))
            gate.end()
            assert admitted[-1].ordinal == 25

    def test_the_digests_of_a_resumed_run_go_on_where_the_first_stopped(self) -> None:
        given = pairs(3000)
        for stopped in (0, 1, 1023, 1024, 1025, 2048):
            begun = checkpoints(given[:stopped])
            gate = Gate(resumed(*begun))
            _, written = read(gate, given)
            last = gate.checkpoint()
            assert last is not None
            assert last.digest == checkpoints(given)[-1].digest  # type: ignore[union-attr]
            both = [*begun, *written, last]
            admitted, written = read(Gate(resumed(*both)), given)
            assert len(admitted) == 3000
            assert not written

    def test_ambiguous_pairs_come_through_as_such(self) -> None:
        replay = resumed(Sending((1, 3)), record(2), record(3, F))
        admitted, _ = read(Gate(replay), pairs(4))
        assert [(pair.ordinal, pair.ambiguous) for pair in admitted] == [
            (1, True),
            (3, False),
            (4, False),
        ]

    def test_stopping_while_comparing_takes_no_digest(self) -> None:
        gate = Gate(resumed(*checkpoints(pairs(2000))))
        read(gate, pairs(1500))
        assert gate.checkpoint() is None


class TestNewInput:
    def test_settled_pairs_are_known_by_their_ids(self) -> None:
        known = SettledPairs()
        outcomes: Sequence[Outcome] = (D, A, M, L)
        for n, pair in enumerate(pairs(20_000)):
            known.add(pair, outcomes[n % 4], inferred=n % 8 == 0)
        for n, pair in enumerate(pairs(20_000)):
            assert outcome_of(known.get(pair)) is outcomes[n % 4]
            assert is_inferred(known.get(pair)) == (n % 8 == 0)
        assert not any(known.get(pair) for pair in pairs(20_000, first=20_001))

    def test_the_first_outcome_of_a_pair_stays_and_the_admin_does_not_matter(self) -> None:
        known = SettledPairs()
        known.add(Detach("c", "k"), D)
        known.add(Detach("c", "k"), A)
        assert outcome_of(known.get(Detach("c", "k", "admin"))) is D

    def test_an_unknown_fate_is_remembered_until_the_pair_is_settled(self) -> None:
        known = SettledPairs()
        for outcome in (U, D, U, A):
            known.add(Detach("c", "k"), outcome, inferred=outcome is D)
        assert outcome_of(known.get(Detach("c", "k"))) is D
        assert is_inferred(known.get(Detach("c", "k")))

    def test_doubt_of_a_replaced_input_falls_on_every_pair_that_is_not_settled(self) -> None:
        for last, doubtful in ((record(2), False), (record(2, U), True)):
            replay = replayed(
                Sending((1, 2)), record(1), last, Resumed(resumed="", new_input_after=2)
            )
            known = SettledPairs()
            known.add(pairs(1)[0], D)
            admitted, _ = read(Gate(replay, known), [Detach("x", "y"), *pairs(1)])
            assert admitted == [Admitted(3, Detach("x", "y"), ambiguous=doubtful)]

    def test_what_a_replaced_input_settled_is_still_counted(self) -> None:
        replay = replayed(
            record(1), record(2, F), Resumed(resumed="", new_input_after=2), record(3, A)
        )
        assert {o: n for o, n in replay.counts().items() if n} == {D: 1, A: 1}

    def test_records_of_a_replaced_input_cannot_follow(self) -> None:
        with pytest.raises(LineError):
            replayed(record(1), Resumed(resumed="", new_input_after=2), record(2))
