"""A session with its journal: what is promised, and when."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import ClientStateError, InvalidArgumentError
from intercom_async.journal import (
    Admitted,
    Commit,
    Header,
    Journal,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    JournalSession,
    JournalWriteError,
    Record,
    latest,
    read_journal,
    scan,
)
from intercom_async.journal import session as journal_session
from intercom_async.journal.files import WRITE, Disk, JournalFile
from intercom_async.journal.format import (
    InputEnded,
    Line,
    Quota,
    Resumed,
    Sending,
    Unsent,
)
from intercom_async.journal.session import AHEAD
from tests.journal.helpers import (
    A,
    BrokenDisk,
    D,
    F,
    FullDisk,
    GatedDisk,
    N,
    U,
    Unsynced,
    admit_all,
    killed,
    pairs,
    run,
    until,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


async def gated(path: Path) -> tuple[JournalSession, GatedDisk]:
    """A new journal whose further syncs wait for `disk.release()`."""
    disk = GatedDisk()
    disk.free = True
    session = await Journal(path).open(disk=disk)
    disk.free = False
    disk.syncing.clear()
    disk.syncs = 0
    return session, disk


def admit(session: JournalSession, pair: Detach) -> Admitted:
    (admitted,) = session.admit(pair)
    return admitted


def keep(session: JournalSession, ordinal: int, outcome: Outcome = D) -> Commit:
    return session.record(ordinal, Detach(f"c{ordinal}", f"k{ordinal}"), outcome)


def outcomes(path: Path) -> dict[int, Outcome]:
    return {one.ordinal: one.outcome for one in latest(path)}


def lines_of(path: Path, *kinds: type[Line]) -> list[Line]:
    return [line for line in scan(path) if isinstance(line, kinds)]


def threads_of_the_library() -> list[str]:
    return [one.name for one in threading.enumerate() if "intercom_async" in one.name]


def is_free(path: Path) -> bool:
    file = JournalFile(str(path), Disk())
    try:
        file.open()
    except JournalLockedError:
        return False
    finally:
        file.close()
    return True


class TestCommits:
    async def test_nothing_is_acknowledged_before_it_is_on_the_disk(self, path: Path) -> None:
        session, disk = await gated(path)
        commit = keep(session, 1)
        await until(disk.syncing.is_set)
        await asyncio.sleep(0.01)
        early = commit.done, session.durable
        assert early == (False, 0)
        assert len(list(read_journal(path))) == 1  # written, and not safe yet
        disk.release()
        await commit
        assert commit.done
        assert session.durable == 1
        await commit
        await session.close()

    async def test_what_is_recorded_meanwhile_goes_to_the_disk_together(self, path: Path) -> None:
        session, disk = await gated(path)
        first = [keep(session, n) for n in range(1, 101)]
        await until(disk.syncing.is_set)
        second = [keep(session, n) for n in range(101, 1101)]
        assert len({*first}) == len({*second}) == 1
        assert first[0] is not second[0]
        disk.release()
        await second[0]
        assert first[0].done
        assert disk.syncs == 2
        await session.close()
        assert len(outcomes(path)) == 1100

    async def test_no_write_is_larger_than_a_megabyte(self, path: Path) -> None:
        sizes: list[int] = []

        class Measured(Disk):
            def write(self, fd: int, data: memoryview) -> int:
                sizes.append(len(data))
                return super().write(fd, data)

        async with await Journal(path).open(disk=Measured()) as session:
            for ordinal in range(1, 30_001):
                _ = keep(session, ordinal)
            await session.flush()
            assert session.durable == 30_000
        assert max(sizes) <= WRITE
        assert sum(sizes) > 2 * WRITE

    async def test_one_who_stops_waiting_changes_nothing_for_the_others(self, path: Path) -> None:
        session, disk = await gated(path)
        commit = keep(session, 1)

        async def wait() -> None:
            await commit

        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        await until(disk.syncing.is_set)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert waiting[0].cancelled()
        disk.release()
        await asyncio.gather(*waiting[1:])
        await session.close()
        assert outcomes(path) == {1: D}

    async def test_flushing_waits_for_everything_recorded_so_far(self, path: Path) -> None:
        session, disk = await gated(path)
        await session.flush()
        _ = keep(session, 1)
        await until(disk.syncing.is_set)
        for record_more in (False, True):
            if record_more:
                _ = keep(session, 2)
            flushing = asyncio.create_task(session.flush())
            await asyncio.sleep(0.01)
            assert not flushing.done()
            disk.allowed.release()
            await flushing
        assert session.durable == 2
        disk.release()
        await session.close()

    async def test_one_who_records_without_waiting_is_slowed_by_the_disk(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_session, "BUFFERED", 1000)
        session, disk = await gated(path)
        _ = keep(session, 1)
        await session.room()
        await until(disk.syncing.is_set)
        for ordinal in range(2, 30):
            _ = keep(session, ordinal)
        waiting = asyncio.create_task(session.room())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        disk.release()
        await waiting
        await session.close()

    async def test_the_limit_is_kept_when_it_changes(self, path: Path) -> None:
        async with await Journal(path).open() as session:
            for limit in (167, 167, 1667, 1667, 167):
                session.note_quota(limit)
        kept = lines_of(path, Quota)
        assert [line.quota for line in kept if isinstance(line, Quota)] == [167, 1667, 167]


class TestAnnouncing:
    async def test_a_pair_may_be_sent_when_the_disk_says_that_it_may_have_been(
        self, path: Path
    ) -> None:
        session, disk = await gated(path)
        first = admit(session, pairs(1)[0])
        reserving = asyncio.create_task(session.reserve(first.ordinal))
        await until(disk.syncing.is_set)
        await asyncio.sleep(0.01)
        assert not reserving.done()
        reserving.cancel()
        again = asyncio.create_task(session.reserve(first.ordinal))
        await asyncio.sleep(0.01)
        assert not again.done()
        disk.allowed.release()
        await again
        assert lines_of(path, Sending) == [Sending((1, AHEAD))]
        disk.release()
        await session.close()

    async def test_pairs_are_announced_in_blocks_ahead_of_need(self, path: Path) -> None:
        session, disk = await gated(path)
        disk.allowed.release()
        for ordinal in range(1, AHEAD + 1):
            # From half a block on the next one is announced, and nobody waits for that.
            await asyncio.wait_for(session.reserve(ordinal), 5)
        waiting = asyncio.create_task(session.reserve(AHEAD + 1))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        disk.release()
        await waiting
        await session.flush()
        assert lines_of(path, Sending) == [Sending((1, AHEAD)), Sending((AHEAD + 1, 2 * AHEAD))]
        await session.close()

    async def test_after_the_end_of_the_input_nothing_is_announced_ahead(self, path: Path) -> None:
        async with await Journal(path).open() as session:
            for one in await admit_all(session, pairs(AHEAD + 9)):
                await session.reserve(one.ordinal)
        assert lines_of(path, Sending, InputEnded, Unsent) == [
            InputEnded(AHEAD + 9),
            Sending((1, AHEAD)),
            Sending((AHEAD + 1, AHEAD + 9)),
        ]

    async def test_an_orderly_end_takes_back_what_was_not_sent(self, path: Path) -> None:
        async with await Journal(path).open() as session:
            for pair in pairs(9):
                (one,) = session.admit(pair)
                if one.ordinal <= 3:
                    await session.reserve(one.ordinal)
                    _ = keep(session, one.ordinal)
        assert lines_of(path, Sending, Unsent) == [Sending((1, AHEAD)), Unsent((4, AHEAD))]
        assert [one.ambiguous for one in await run(path, pairs(9))] == [False] * 6

    async def test_a_kill_leaves_in_doubt_what_was_announced_and_has_no_record(
        self, path: Path
    ) -> None:
        await killed(path, pairs(5), {2: D, 3: F}.get)
        admitted = await run(path, pairs(300), lambda _: N)
        doubtful = [one.ordinal for one in admitted if one.ambiguous]
        assert doubtful == [1, *range(4, AHEAD + 1)]
        assert [one.ordinal for one in admitted] == [1, *range(3, 301)]
        # Not attempting them did not end the doubt; settling them does.
        assert [one.ordinal for one in await run(path, pairs(300)) if one.ambiguous] == doubtful
        assert await run(path, pairs(300)) == []

    async def test_a_pair_that_is_cancelled_stays_in_doubt_after_an_orderly_end(
        self, path: Path
    ) -> None:
        await run(path, pairs(4), lambda n: None if n in {2, 3} else D)
        assert [(one.ordinal, one.ambiguous) for one in await run(path, pairs(4))] == [
            (2, True),
            (3, True),
        ]

    async def test_a_second_try_is_announced_alone(self, path: Path) -> None:
        async with await Journal(path).open() as session:
            await admit_all(session, pairs(3))
            for _ in range(2):
                for ordinal in (1, 2, 3):
                    await session.reserve(ordinal)
                    _ = keep(session, ordinal, F)
        assert lines_of(path, Sending)[1:] == [Sending((n, n)) for n in (1, 2, 3)]

    async def test_pairs_reserved_out_of_order_are_all_announced(self, path: Path) -> None:
        given_ = pairs(900)
        session = await Journal(path).open()
        await admit_all(session, given_)
        for ordinal in (700, 1, 600, 2):
            await session.reserve(ordinal)
        kept = await asyncio.to_thread(path.read_bytes)
        await session.close()
        await asyncio.to_thread(path.write_bytes, kept)
        doubtful = {one.ordinal for one in await run(path, given_) if one.ambiguous}
        assert {700, 1, 600, 2} <= doubtful

    async def test_millions_settled_by_their_ids_are_no_gap(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("intercom_async.journal.fates.LEAP", 2000)
        await run(path, pairs(5000))
        accept = Journal(path, changed_input="accept")
        given_ = pairs(5010)[::-1][10:] + pairs(5, first=6000)
        assert [one.ordinal - 5000 for one in await run(path, given_, journal=accept)] == [
            *range(5001, 5006)
        ]
        assert await run(path, given_) == []


class TestResuming:
    async def test_settled_pairs_are_not_sent_again_and_the_others_are(self, path: Path) -> None:
        fates = {1: D, 2: A, 3: F, 4: U, 5: N}
        assert len(await run(path, pairs(6), fates.get)) == 6
        async with await Journal(path).open() as session:
            assert session.resumed
            assert session.path == str(path)
            assert session.durable == 5
            assert {o: n for o, n in session.counts.items() if n} == dict.fromkeys(
                fates.values(), 1
            )
            admitted = [one for pair in pairs(7) for one in session.admit(pair)]
        assert [(one.ordinal, one.settled, one.ambiguous) for one in admitted] == [
            (1, D, False),
            (2, A, False),
            (3, None, False),
            (4, None, True),
            (5, None, False),
            (6, None, True),
            (7, None, False),
        ]

    async def test_a_new_journal_says_so(self, path: Path) -> None:
        source: dict[str, str | int | None] = {"kind": "file", "name": "pairs.csv"}
        async with await Journal(path, source=source).open(
            parameters={"admin_id": "1", "limit": None}
        ) as session:
            assert not session.resumed
            assert not any(session.counts.values())
        (header, *_) = scan(path)
        assert isinstance(header, Header)
        assert (header.journal, header.schema) == ("intercom_async", 1)
        assert header.parameters == {"admin_id": "1", "limit": None}
        assert header.input == source

    async def test_ids_that_are_no_text_survive(self, path: Path) -> None:
        odd = [Detach("c\udcff", "k"), Detach("c", "k\n\u2028")]
        await run(path, odd, lambda n: D if n == 1 else F)
        assert await run(path, odd) == [Admitted(2, odd[1])]

    @pytest.mark.parametrize("count", [10, 3000])
    async def test_a_changed_pair_is_named_and_nothing_near_it_was_let_through(
        self, path: Path, count: int
    ) -> None:
        await run(path, pairs(count))
        changed = pairs(count)
        changed[count - 3] = Detach("c", "other", "x")
        session = await Journal(path).open()
        admitted: list[Admitted] = []
        with pytest.raises(JournalMismatchError) as caught:
            for pair in changed:
                admitted.extend(session.admit(pair))
        await session.close()
        error = caught.value
        assert (error.what, error.ordinal) == ("input", count - 2)
        assert error.expected == f"(c{count - 2}, k{count - 2})"
        assert error.found == "(c, other, admin x)"
        assert f"pair {count - 2} is {error.expected} in the journal" in str(error)
        assert "changed_input='accept'" in str(error)
        assert len(admitted) <= count - 3
        assert await run(path, pairs(count)) == []

    async def test_a_pair_without_a_record_is_narrowed_down(self, path: Path) -> None:
        await run(path, pairs(10), lambda n: None)
        changed = [Detach("new", "new"), *pairs(9)]
        with pytest.raises(JournalMismatchError, match="one of the pairs 1 to 10") as caught:
            await run(path, changed)
        assert (caught.value.ordinal, caught.value.expected) == (1, None)
        assert caught.value.found == "(new, new)"

    async def test_a_shorter_input_is_refused_at_its_end(self, path: Path) -> None:
        await run(path, pairs(10))
        with pytest.raises(JournalMismatchError, match="at least 10 pairs") as caught:
            await run(path, pairs(7))
        assert (caught.value.ordinal, caught.value.found) == (8, "the end of the input")

    async def test_an_accepted_new_input_skips_what_was_settled_wherever_it_is(
        self, path: Path
    ) -> None:
        await run(path, pairs(10), lambda n: F if n == 4 else D)
        accept = Journal(path, changed_input="accept")
        reordered = [*pairs(3, first=20), *pairs(10)[::-1]]
        admitted = await run(path, reordered, journal=accept)
        assert [one.detach.contact_id for one in admitted] == ["k20", "k21", "k22", "k4"]
        # From then on that input is the journal's, and its mismatches are counted from its start.
        assert await run(path, reordered) == []
        with pytest.raises(JournalMismatchError) as caught:
            await run(path, [pairs(1)[0], *reordered[1:]])
        assert caught.value.ordinal == 1
        assert await run(path, reordered, journal=accept) == []
        assert await run(path, pairs(10), journal=accept) == []

    async def test_doubt_outlives_a_replaced_input(self, path: Path) -> None:
        await killed(path, pairs(2), {1: D}.get)
        accept = Journal(path, changed_input="accept")
        async with await accept.open() as session:
            admitted = await admit_all(session, [pairs(2)[1], pairs(2)[0]])
        assert [(one.detach.contact_id, one.ambiguous) for one in admitted] == [("k2", True)]

    async def test_other_parameters_are_refused_by_name(self, path: Path) -> None:
        async with await Journal(path).open(parameters={"admin_id": "1"}):
            pass
        before = await asyncio.to_thread(path.read_bytes)
        with pytest.raises(JournalMismatchError, match="admin_id = '1', and this one has '2'"):
            await Journal(path).open(parameters={"admin_id": "2"})
        assert await asyncio.to_thread(path.read_bytes) == before
        assert threads_of_the_library() == []
        assert is_free(path)

    async def test_two_runs_cannot_have_one_journal(self, path: Path) -> None:
        async with await Journal(path).open():
            with pytest.raises(JournalLockedError):
                await Journal(path).open()
        async with await Journal(path).open() as session:
            assert session.resumed
        assert len(lines_of(path, Resumed)) == 1

    @pytest.mark.parametrize("value", ["", "a\0b", b"run", 7, None])
    def test_a_path_that_cannot_be_one_is_refused_at_once(self, value: object) -> None:
        with pytest.raises(InvalidArgumentError, match="path"):
            Journal(value)  # type: ignore[arg-type]  # wrong on purpose

    def test_a_changed_input_is_refused_or_accepted(self) -> None:
        with pytest.raises(InvalidArgumentError, match="changed_input"):
            Journal("run", changed_input="maybe")  # type: ignore[arg-type]  # wrong on purpose


class TestClosing:
    async def test_closing_waits_for_the_disk_however_often_it_is_cancelled(
        self, path: Path
    ) -> None:
        session, disk = await gated(path)
        _ = keep(session, 1)
        closing = asyncio.create_task(session.close())
        await until(disk.syncing.is_set)
        for _ in range(3):
            closing.cancel()
            await asyncio.sleep(0.005)
        assert not closing.done()
        disk.release()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert is_free(path)
        assert outcomes(path) == {1: D}
        assert threads_of_the_library() == []

    async def test_closing_twice_is_harmless_and_both_wait_for_the_end(self, path: Path) -> None:
        session, disk = await gated(path)
        _ = keep(session, 1)
        freed: list[bool] = []

        async def close() -> None:
            await session.close()
            freed.append(is_free(path))

        closing = [asyncio.create_task(close()) for _ in range(3)]
        await until(disk.syncing.is_set)
        disk.release()
        await asyncio.gather(*closing)
        assert freed == [True] * 3
        await session.close()
        assert len(lines_of(path, Record)) == 1

    async def test_a_closed_session_takes_nothing_more(self, path: Path) -> None:
        session = await Journal(path).open()
        await session.close()
        (pair,) = pairs(1)
        calls: list[Callable[[], object]] = [
            lambda: session.admit(pair),
            lambda: session.record(1, pair, D),
            session.end_input,
            lambda: session.note_quota(1),
        ]
        for call in calls:
            with pytest.raises(ClientStateError, match="closed"):
                call()
        with pytest.raises(ClientStateError, match="closed"):
            await session.reserve(1)
        await session.flush()
        await session.room()

    async def test_an_opening_that_is_cancelled_leaves_no_lock_and_no_thread(
        self, path: Path
    ) -> None:
        disk = GatedDisk()
        opening = asyncio.create_task(Journal(path).open(disk=disk))
        await until(disk.syncing.is_set)
        for _ in range(3):
            opening.cancel()
            await asyncio.sleep(0.005)
        assert not opening.done()
        assert not is_free(path)
        disk.release()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert is_free(path)
        assert threads_of_the_library() == []
        async with await Journal(path).open() as session:
            assert session.resumed

    async def test_an_opening_that_is_cancelled_reads_no_further(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await run(path, pairs(10))
        reached, go = threading.Event(), threading.Event()
        measure = JournalFile._measure

        def slowly(self: JournalFile, fd: int) -> None:
            reached.set()
            assert go.wait(10)
            measure(self, fd)

        monkeypatch.setattr(JournalFile, "_measure", slowly)
        opening = asyncio.create_task(Journal(path).open())
        await until(reached.is_set)
        opening.cancel()
        await asyncio.sleep(0.005)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
        monkeypatch.undo()
        assert lines_of(path, Resumed) == []
        assert is_free(path)
        assert threads_of_the_library() == []

    async def test_an_error_inside_is_not_hidden_by_the_disks(self, path: Path) -> None:
        with pytest.raises(KeyError):
            async with await Journal(path).open(disk=BrokenDisk(1)) as session:
                _ = keep(session, 1)
                raise KeyError
        with pytest.raises(JournalWriteError):
            async with await Journal(path).open(disk=BrokenDisk(1)) as session:
                _ = keep(session, 1)
        assert is_free(path)


class TestFailingDisk:
    """A run of 40 pairs on a disk that fails somewhere."""

    PAIRS = pairs(40)

    async def told(self, path: Path, disk: Disk) -> tuple[list[int], JournalWriteError | None]:
        """Run until the disk fails; return what was acknowledged, and the error."""
        told: list[int] = []
        try:
            async with await Journal(path).open(disk=disk) as session:
                for pair in self.PAIRS:
                    for one in session.admit(pair):
                        if one.settled is None:
                            await session.reserve(one.ordinal)
                            await session.record(one.ordinal, pair, D)
                            told.append(one.ordinal)
                session.end_input()
        except JournalWriteError as error:
            return told, error
        return told, None

    def check(self, path: Path, make: Callable[[], Disk], number: int) -> bool:
        """Run on a failing disk, then on a sound one; whether the first failed."""
        told, error = asyncio.run(self.told(path, make()))
        if error is not None:
            assert error.errno == number
            assert error.path == str(path)
            assert isinstance(error.__cause__, OSError)
            assert error.durable >= len(told)
            assert f"{error.durable} records are safe" in str(error)
            kept = set(outcomes(path))
            assert kept >= set(told)
            assert len(kept) >= error.durable
        else:
            assert told == list(range(1, 41))
        more, none = asyncio.run(self.told(path, Unsynced()))
        assert none is None
        assert not set(more) & set(told)
        assert outcomes(path) == dict.fromkeys(range(1, 41), D)
        assert len(lines_of(path, Record)) == 40
        return error is not None

    @settings(max_examples=40)
    @given(st.integers(0, 5000))
    def test_a_disk_that_is_full_at_any_byte_loses_nothing_that_was_told(self, room: int) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run.journal"
            failed = self.check(path, lambda: FullDisk(room), errno.ENOSPC)
            assert failed or room > 4000

    @pytest.mark.parametrize("good", [0, 1, 2, 3, 20, 41, 42])
    def test_a_sync_that_fails_loses_nothing_that_was_told(self, path: Path, good: int) -> None:
        assert self.check(path, lambda: BrokenDisk(good), errno.EIO)

    async def test_after_a_failure_everything_says_so_and_nothing_hangs(self, path: Path) -> None:
        session, disk = await gated(path)

        def fail(fd: int) -> None:
            disk.syncing.set()
            assert disk.allowed.acquire(timeout=10)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        disk.sync = fail  # type: ignore[method-assign]  # a disk that breaks now
        commits = [keep(session, 1)]
        await until(disk.syncing.is_set)
        commits.append(keep(session, 2))
        disk.allowed.release()
        errors: list[JournalWriteError] = []
        for commit in commits:
            with pytest.raises(JournalWriteError, match="0 records are safe") as caught:
                await commit
            assert not commit.done
            errors.append(caught.value)
        assert errors[0] is not errors[1]
        calls: list[Callable[[], object]] = [
            lambda: session.admit(pairs(1)[0]),
            lambda: keep(session, 3),
            session.end_input,
            lambda: session.note_quota(1),
        ]
        for call in calls:
            with pytest.raises(JournalWriteError):
                call()
        for wait in (session.reserve(1), session.flush(), session.close()):
            with pytest.raises(JournalWriteError):
                await wait
        await session.room()
        await session.close()
        assert is_free(path)

    async def test_what_is_no_error_of_the_system_stops_it_too(self, path: Path) -> None:
        class Exhausted(Disk):
            def write(self, fd: int, data: memoryview) -> int:
                if b"ordinal" in bytes(data):
                    raise MemoryError("no room to think")
                return super().write(fd, data)

        session = await Journal(path).open(disk=Exhausted())
        with pytest.raises(JournalWriteError, match="no room to think") as caught:
            await keep(session, 1)
        assert caught.value.errno is None
        with pytest.raises(JournalWriteError):
            await session.close()
        assert is_free(path)

    async def test_a_journal_that_cannot_be_begun_is_closed_again(self, path: Path) -> None:
        with pytest.raises(JournalWriteError, match="0 records are safe"):
            await Journal(path).open(disk=FullDisk(10))
        assert is_free(path)
        assert threads_of_the_library() == []
        async with await Journal(path).open() as session:
            assert not session.resumed
        await run(path, pairs(3))
        with pytest.raises(JournalWriteError, match="3 records are safe"):
            await Journal(path).open(disk=FullDisk(10))
        with pytest.raises(JournalError, match="cannot be opened"):
            await Journal(path / "below").open()
