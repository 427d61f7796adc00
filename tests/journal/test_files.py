"""The file under a journal: torn, zeroed, damaged, foreign, locked, and read while it grows."""

import errno
import fcntl
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intercom_async.detaching import Detach
from intercom_async.journal import (
    Header,
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    JournalWriteError,
    Record,
    latest,
    read_journal,
    scan,
    unsettled,
)
from intercom_async.journal import files as journal_files
from intercom_async.journal.fates import is_ambiguous
from intercom_async.journal.files import WRITE, Disk, JournalFile, _Lines, open_journal
from intercom_async.journal.format import (
    Checkpoint,
    InputEnded,
    Line,
    Quota,
    Resumed,
    Sending,
    Unsent,
    decode,
    encode,
)
from intercom_async.journal.replay import Replay
from tests.journal.helpers import HEADER, A, D, F, N, U, Unsynced, encoded, record

LINES: list[Line] = [
    HEADER,
    Sending((1, 6)),
    record(1),
    Record(ordinal=2, conversation_id="ü\ud800", contact_id="日本", outcome=F),
    Quota(1667, 1.5),
    Resumed(resumed="2025-01-31T22:00:00+00:00"),
    record(2, A),
    record(3, U),
    Checkpoint(4, "9f"),
    record(4, N),
    InputEnded(5),
    Unsent((5, 6)),
]
QUOTA = Quota(1, 1.0)
WRITTEN = [encode(line) for line in LINES]
WHOLE = b"".join(WRITTEN)


def read_all(path: Path) -> object:
    return list(scan(path))


def read_latest(path: Path) -> object:
    return list(latest(path))


@attrs.frozen
class Opened:
    """What a journal was when it was opened, and what it is then."""

    replay: Replay
    existed: bool
    durable: int
    kept: bytes


def opened(
    path: Path, *, disk: Disk | None = None, header: Header = HEADER, new_input: bool = False
) -> Opened:
    file = JournalFile(str(path), disk or Unsynced())
    try:
        replay, _, existed = open_journal(file, header=header, new_input=new_input)
        return Opened(replay, existed, file.durable, path.read_bytes())
    finally:
        file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """Examples of one property overwrite the same file."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "run.journal"


def whole_lines(data: bytes) -> list[bytes]:
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


class TestTornTail:
    def test_at_whatever_byte_a_write_was_cut_only_the_torn_line_is_lost(self, path: Path) -> None:
        for cut in range(len(WHOLE) + 1):
            torn = WHOLE[:cut]
            path.write_bytes(torn)
            lines = whole_lines(torn)
            told = [decode(line) for line in lines]
            assert list(scan(path)) == told
            after = opened(path)
            assert after.existed == bool(lines)
            assert after.kept == b"".join(lines) + encode(Resumed(resumed="") if lines else HEADER)
            assert after.durable == sum(isinstance(line, Record) for line in told)

    @given(st.integers(0, len(WHOLE)), st.integers(1, 5000))
    def test_zero_bytes_that_a_power_cut_left_at_the_end_are_cut(
        self, scratch: Path, cut: int, zeros: int
    ) -> None:
        scratch.write_bytes(WHOLE[:cut] + bytes(zeros))
        lines = whole_lines(WHOLE[:cut])
        assert list(scan(scratch)) == [decode(line) for line in lines]
        assert opened(scratch).kept == b"".join(lines) + encode(
            Resumed(resumed="") if lines else HEADER
        )

    @given(st.data())
    def test_a_hole_in_the_last_write_costs_what_was_written_from_there_on(
        self, scratch: Path, data: st.DataObject
    ) -> None:
        begin = data.draw(st.integers(len(WRITTEN[0]), len(WHOLE) - 1))
        end = data.draw(st.integers(begin + 1, len(WHOLE)))
        scratch.write_bytes(WHOLE[:begin] + bytes(end - begin) + WHOLE[end:])
        lines = whole_lines(WHOLE[:begin])
        assert list(scan(scratch)) == [decode(line) for line in lines]
        assert opened(scratch).kept == b"".join(lines) + encode(Resumed(resumed=""))

    def test_zero_bytes_before_more_than_one_write_are_damage(self, path: Path) -> None:
        more = encoded(*(record(n) for n in range(7, 20_000)))
        assert len(more) > WRITE
        damaged = WHOLE + b"\0\n" + more
        path.write_bytes(damaged)
        with pytest.raises(JournalCorruptError) as caught:
            opened(path)
        assert caught.value.line == len(LINES) + 1
        assert path.read_bytes() == damaged

    def test_a_torn_line_that_cannot_be_cut_is_told_with_what_is_safe(self, path: Path) -> None:
        class Stubborn(Disk):
            def truncate(self, fd: int, size: int) -> None:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        path.write_bytes(WHOLE[:-1])
        with pytest.raises(JournalWriteError, match="5 records are safe") as caught:
            opened(path, disk=Stubborn())
        assert (caught.value.errno, caught.value.durable) == (errno.EIO, 5)
        assert path.read_bytes() == WHOLE[:-1]
        assert len(list(read_journal(path))) == 5

    def test_what_was_announced_before_a_torn_line_is_in_doubt(self, path: Path) -> None:
        path.write_bytes(encoded(HEADER, Sending((1, 3)), record(2)) + encode(record(1))[:-1])
        fates = opened(path).replay.fates
        assert [is_ambiguous(fates.get(n)) for n in range(1, 5)] == [True, False, True, False]


class TestDamage:
    @pytest.mark.parametrize(
        "damage",
        [
            b"garbage",
            b"",
            b'{"ordinal":9,"conversation_id":"c',
            b'{"ordinal":9}',
            b'{"tomorrow":1}',
            b'{"sending":[7,3]}',
            b'{"checkpoint":4611686018427387904,"digest":"9f"}',
            encode(HEADER).rstrip(),
        ],
    )
    def test_damage_in_the_middle_is_named_by_its_line_and_left_alone(
        self, path: Path, damage: bytes
    ) -> None:
        for number in range(2, len(WRITTEN)):
            lines = [*WRITTEN[: number - 1], damage + b"\n", *WRITTEN[number:]]
            damaged = b"".join(lines)
            path.write_bytes(damaged)
            with pytest.raises(JournalCorruptError, match=f"line {number} ") as caught:
                opened(path)
            assert caught.value.line == number
            assert f"head -n {number - 1})" in str(caught.value)
            assert path.read_bytes() == damaged
            # The advice works.
            path.write_bytes(b"".join(lines[: number - 1]))
            assert opened(path).existed

    def test_readers_report_the_same_line(self, path: Path) -> None:
        path.write_bytes(b"".join([*WRITTEN[:3], b"garbage\n", *WRITTEN[3:]]))
        for read in (scan, read_journal, unsettled):
            with pytest.raises(JournalCorruptError) as caught:
                list(read(path))
            assert caught.value.line == 4

    def test_a_last_line_that_was_once_written_whole_is_damage(self, path: Path) -> None:
        path.write_bytes(WHOLE + b'{"tomorrow":1}\n')
        with pytest.raises(JournalCorruptError) as caught:
            opened(path)
        assert caught.value.line == len(LINES) + 1

    def test_a_record_without_its_ids_is_damage_where_they_are_needed(self, path: Path) -> None:
        damaged = b"".join(WRITTEN[:3]) + b'{"ordinal":3,"outcome":"detached"}\n' + WRITTEN[4]
        path.write_bytes(damaged)
        with pytest.raises(JournalCorruptError) as caught:
            opened(path)
        assert caught.value.line == 4
        assert path.read_bytes() == damaged

    @pytest.mark.parametrize("ids", ["", '"conversation_id":1,"contact_id":"c",'])
    def test_a_record_that_the_input_cannot_be_compared_with_is_damage(
        self, path: Path, ids: str
    ) -> None:
        damaged = WRITTEN[0] + f'{{"ordinal":1,{ids}"outcome":"detached"}}\n'.encode()
        path.write_bytes(damaged)
        with pytest.raises(JournalCorruptError) as caught:
            opened(path)
        assert caught.value.line == 2
        assert path.read_bytes() == damaged

    def test_a_record_that_is_not_utf_8_is_no_record_for_any_reader(self, path: Path) -> None:
        lines = [*WRITTEN[:3], encode(record(7)).replace(b"k7", b"k\xff"), *WRITTEN[3:]]
        path.write_bytes(b"".join(lines))
        for read in (opened, read_all, read_latest):
            with pytest.raises(JournalCorruptError) as caught:
                read(path)
            assert caught.value.line == 4
        path.write_bytes(b"".join(lines[:4]))
        told = list(read_journal(path))
        assert [one.ordinal for one in told] == [1]
        assert opened(path).durable == len(told)
        assert list(read_journal(path)) == told

    @pytest.mark.parametrize("after", [-7, 5, 1 << 62])
    def test_a_new_input_that_begins_where_the_old_one_did_not_end_is_damage(
        self, path: Path, after: int
    ) -> None:
        resumed = Resumed(resumed="", new_input_after=after)
        path.write_bytes(WHOLE + encoded(resumed, record(after + 1), QUOTA))
        for read in (opened, read_latest):
            with pytest.raises(JournalCorruptError) as caught:
                read(path)
            assert caught.value.line == len(LINES) + 1

    def test_whatever_line_names_the_last_pair_a_new_input_begins_behind_it(
        self, path: Path
    ) -> None:
        last_lines: list[Line] = [Sending((8, 9)), Unsent((8, 9)), Checkpoint(9, "9f"), record(9)]
        for last in last_lines:
            path.write_bytes(WHOLE + encode(last))
            assert opened(path, new_input=True).replay.fates.after == 9
            assert opened(path).replay.fates.after == 9

    @pytest.mark.parametrize(
        "damage",
        [
            b'{"ordinal":7,"conversation_id":"c","contact_id":"k","outcome":"\\ud800"}',
            b'{"quota":1,"\\ud800":1}',
        ],
    )
    def test_names_that_are_no_text_are_damage_like_any_other(
        self, path: Path, damage: bytes
    ) -> None:
        path.write_bytes(WHOLE + damage + b"\n")
        for read in (opened, read_all):
            with pytest.raises(JournalCorruptError) as caught:
                read(path)
            assert caught.value.line == len(LINES) + 1

    def test_a_torn_tail_is_not_cut_off_a_journal_that_is_refused(self, path: Path) -> None:
        resumed = Resumed(resumed="", new_input_after=2)
        nameless = b'{"ordinal":1,"outcome":"detached"}\n'
        torn = encoded(HEADER, Sending((1, 2))) + nameless + encode(resumed) + b'{"ordinal":3,'
        path.write_bytes(torn)
        with pytest.raises(JournalCorruptError, match="Nothing was changed"):
            opened(path)
        assert path.read_bytes() == torn
        path.write_bytes(WHOLE[:-1])
        with pytest.raises(JournalMismatchError):
            opened(
                path,
                header=Header(journal="intercom_async", schema=1, parameters={"admin_id": "1"}),
            )
        assert path.read_bytes() == WHOLE[:-1]

    @example(135, 1)
    @given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
    def test_no_changed_byte_raises_anything_else_and_no_refused_file_is_touched(
        self, scratch: Path, at: int, flip: int
    ) -> None:
        damaged = WHOLE[:at] + bytes((WHOLE[at] ^ flip,)) + WHOLE[at + 1 :]
        scratch.write_bytes(damaged)
        try:
            kept = opened(scratch).kept
        except JournalError:
            assert scratch.read_bytes() == damaged
        else:
            assert kept.startswith(damaged[: max(0, at - 200)])

    @pytest.mark.parametrize(
        "content",
        [
            b"hello",
            b"hello\n",
            b"\n",
            b"conversation_id,contact_id\n1,2\n",
            b'{"conversation_id":"1","contact_id":"2"}\n',
            b'{"journal":"of something else","schema":1}\n',
            b'{"journal":"Nature","volume":637}',
            b'{"journal":1}\n',
            b"\x89PNG\r\n\x1a\n" + bytes(100),
            bytes(WRITE + 1),
        ],
        ids=range(10),
    )
    def test_a_file_that_is_no_journal_is_refused_and_left_alone(
        self, path: Path, content: bytes
    ) -> None:
        path.write_bytes(content)
        with pytest.raises(JournalCorruptError, match="no journal of this library"):
            opened(path)
        assert path.read_bytes() == content
        with pytest.raises(JournalCorruptError):
            list(scan(path))

    def test_a_journal_of_a_newer_version_is_refused_and_left_alone(self, path: Path) -> None:
        content = b'{"journal":"intercom_async","schema":2,"vows":[]}\n{"vow":1}\n'
        path.write_bytes(content)
        newer = r"schema 2, this one knows 1.*update"
        with pytest.raises(JournalError, match=newer):
            opened(path)
        with pytest.raises(JournalError, match=newer):
            list(latest(path))
        assert path.read_bytes() == content


class TestOpening:
    def test_only_its_owner_may_read_it_whatever_the_umask(self, path: Path) -> None:
        before = os.umask(0)
        try:
            opened(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_file_in_use_is_refused_and_left_alone(self, path: Path) -> None:
        path.write_bytes(WHOLE[:-5])
        first = JournalFile(str(path), Unsynced()).open()
        try:
            with pytest.raises(JournalLockedError, match="in use by another run") as caught:
                opened(path)
            assert caught.value.path == str(path)
            assert path.read_bytes() == WHOLE[:-5]
        finally:
            first.close()
            first.close()
        assert opened(path).existed
        with pytest.raises(JournalError, match="closed"):
            _ = first.fd

    def test_a_file_system_without_locks_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flock(fd: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(JournalError, match="cannot lock files"):
            opened(path)

    def test_a_directory_is_no_place_to_write(self, tmp_path: Path) -> None:
        with pytest.raises(JournalWriteError, match="nothing was sent") as caught:
            opened(tmp_path)
        assert caught.value.errno == errno.EISDIR
        with pytest.raises(JournalError, match="cannot be read"):
            list(scan(tmp_path))

    def test_a_pipe_is_refused_without_waiting_for_its_other_end(self, path: Path) -> None:
        os.mkfifo(path)
        with pytest.raises(JournalError, match="no regular file"):
            opened(path)

    @pytest.mark.parametrize(
        ("below", "number"), [("file/run.journal", errno.ENOTDIR), ("no/run", errno.ENOENT)]
    )
    def test_where_no_file_can_be_made_the_reason_is_told(
        self, tmp_path: Path, below: str, number: int
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(JournalWriteError, match=os.strerror(number)) as caught:
            opened(tmp_path / below)
        assert (caught.value.errno, caught.value.durable) == (number, 0)
        with pytest.raises(JournalError, match="cannot be read"):
            list(latest(tmp_path / below))

    def test_a_read_only_folder_is_told(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # The superuser, as which containers run tests, can write anywhere.
        def refuse(*_: object) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            with pytest.raises(JournalWriteError, match="Permission denied") as caught:
                opened(path)
        assert caught.value.errno == errno.EACCES
        assert not path.exists()

    def test_other_parameters_are_named_and_nothing_is_written(self, path: Path) -> None:
        mine = Header(journal="intercom_async", schema=1, parameters={"admin_id": "1", "x": None})
        opened(path, header=mine)
        before = path.read_bytes()
        other = Header(journal="intercom_async", schema=1, parameters={"admin_id": "2"})
        with pytest.raises(JournalMismatchError, match=r"admin_id = '1'.*has '2'") as caught:
            opened(path, header=other)
        assert (caught.value.what, caught.value.expected, caught.value.found) == (
            "admin_id",
            "1",
            "2",
        )
        assert path.read_bytes() == before
        assert opened(path, header=mine).existed


class TestReading:
    def test_readers_open_the_file_when_they_are_asked_for_the_first_line(self, path: Path) -> None:
        lines = scan(path)
        path.write_bytes(WHOLE)
        assert list(lines) == LINES

    def test_the_last_record_of_each_pair_counts(self, path: Path) -> None:
        path.write_bytes(WHOLE)
        assert [(one.ordinal, one.outcome) for one in read_journal(path)] == [
            (1, D),
            (2, F),
            (2, A),
            (3, U),
            (4, N),
        ]
        assert [(one.ordinal, one.outcome) for one in latest(path)] == [
            (1, D),
            (2, A),
            (3, U),
            (4, N),
        ]
        assert list(unsettled(path)) == [Detach("c3", "k3"), Detach("c4", "k4")]

    def test_of_a_replaced_input_only_settled_pairs_count(self, path: Path) -> None:
        path.write_bytes(
            encoded(
                HEADER,
                record(1),
                record(2, F),
                record(3, F),
                Resumed(resumed="", new_input_after=3),
                record(4, U),
                record(5),
            )
        )
        assert [one.ordinal for one in latest(path)] == [1, 4, 5]
        assert list(unsettled(path)) == [Detach("c4", "k4")]

    def test_lines_that_another_tool_rewrote_are_counted_too(self, path: Path) -> None:
        rewritten = [
            json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n"
            for line in WRITTEN[1:]
        ]
        path.write_bytes(WRITTEN[0] + b"".join(rewritten))
        assert [(one.ordinal, one.outcome) for one in latest(path)] == [
            (1, D),
            (2, A),
            (3, U),
            (4, N),
        ]

    def test_a_reader_sees_what_was_written_when_it_began(self, path: Path) -> None:
        written = b"".join(WRITTEN[:4])
        path.write_bytes(written + WRITTEN[4][:7])
        for read in (scan, latest):
            lines: Iterator[object] = read(path)
            seen = [next(lines)]
            with path.open("ab") as file:
                file.write(WRITTEN[4][7:] + b"".join(WRITTEN[5:]))
            seen.extend(lines)
            path.write_bytes(written + WRITTEN[4][:7])
            assert len(seen) == {scan: 5, latest: 2}[read]

    def test_a_line_that_is_completed_while_it_is_read_is_no_damage(self) -> None:
        class Growing(io.BytesIO):
            """Ends in the middle of a line, and a moment later does not."""

            def __next__(self) -> bytes:
                line = super().__next__()
                if line != WRITTEN[2]:
                    return line
                self.seek(-9, io.SEEK_CUR)
                return line[:-9]

        size = len(b"".join(WRITTEN[:3])) - 9
        lines = _Lines("run.journal", lambda line, _: decode(line))
        assert list(lines.walk(Growing(WHOLE), size)) == LINES[:2]

    def test_a_journal_that_is_being_written_can_be_read(self, path: Path) -> None:
        file = JournalFile(str(path), Unsynced())
        try:
            open_journal(file, header=HEADER, new_input=False)
            for ordinal in range(1, 50):
                file.append(encode(record(ordinal)), 1)
                assert len(list(latest(path))) == file.durable == ordinal
        finally:
            file.close()

    def test_records_near_a_place_are_found_and_what_is_damaged_there_is_passed_over(
        self, path: Path
    ) -> None:
        path.write_bytes(WHOLE + b"garbage\n" + encode(record(6)) + encode(record(7)))
        file = JournalFile(str(path), Unsynced())
        assert [one.ordinal for one in file.record_between(2, 6, 0)] == [2, 2, 3, 4, 6]
        start = len(b"".join(WRITTEN[:7]))
        assert [one.ordinal for one in file.record_between(2, 6, start)] == [3, 4, 6]

    def test_giving_up_stops_in_the_middle(self, path: Path) -> None:
        path.write_bytes(encoded(HEADER, *(record(n) for n in range(1, 9000))))
        asked = 0

        def abandoned() -> bool:
            nonlocal asked
            asked += 1
            return asked > 1

        before = path.read_bytes()
        file = JournalFile(str(path), Unsynced())
        with pytest.raises(journal_files.Abandoned):
            open_journal(file, header=HEADER, new_input=False, abandoned=abandoned)
        assert path.read_bytes() == before
        assert opened(path).durable == 8999


def test_a_pair_that_was_tried_for_ever_and_ever_has_one_last_record(tmp_path: Path) -> None:
    path = tmp_path / "journal"  # as a job has that is started every minute, after 45 days
    path.write_bytes(encoded(HEADER) + 65_536 * encoded(record(1, F)) + encoded(record(1, D)))
    assert [(one.ordinal, one.outcome) for one in latest(path)] == [(1, D)]
