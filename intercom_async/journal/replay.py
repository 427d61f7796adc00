"""What a journal's lines add up to, and whether the input is still the same. Pure.

The truth problem. A pair in flight when the process is killed may have been applied but has no
record. So before a pair is sent, a line says that it may be ("sending", in blocks, ahead of
need). After a kill, whatever was announced and has no record is *ambiguous*: a 404 for it does
not mean that the contact was never there.

The input problem. Pairs are known by their position, so the input must be the same as before. It
is: a digest of everything read is compared at every checkpoint, records after the last one are
compared one by one, and no pair is let through before the comparison that covers it.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import attrs

from intercom_async.detaching import Detach, Outcome
from intercom_async.journal.fates import (
    LEAP,
    Fates,
    SettledPairs,
    is_ambiguous,
    is_inferred,
    is_settled,
    outcome_of,
)
from intercom_async.journal.format import (
    IS_RECORD,
    Checkpoint,
    Fate,
    Header,
    InputEnded,
    LineError,
    Quota,
    Record,
    Resumed,
    Sending,
    Unsent,
    decode,
    decode_fate,
    identity,
    text_of,
)

CHECKPOINT: Final = 1024
"""Pairs between two digests of the input, and what is held back at most while comparing."""


class Replay:
    """The sum of a journal's lines.

    Attributes:
        header: the first line.
        fates: of the pairs of the input read last.
        checkpoints: digest and position in the file of every checkpoint of that input.
        recent: the records after its last checkpoint, by ordinal, still encoded.
        records: how many there were.
        extent: the highest ordinal that any line names.
        doubt: whether an earlier input left pairs of unknown fate, nobody knows which.
        earlier: settled pairs of earlier inputs, per outcome.
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.fates = Fates()
        self.checkpoints: dict[int, tuple[str, int]] = {}
        self.recent: dict[int, bytes] = {}
        self.records = 0
        self.extent = 0
        self.doubt = False
        self.earlier = dict.fromkeys(Outcome, 0)
        self._checkpoint = 0

    def feed(self, line: bytes, offset: int) -> None:  # noqa: C901, PLR0912  a case per kind
        """Add a line that starts at a position of the file.

        Raises:
            LineError: the line makes no sense; nothing was added.
        """
        if line.startswith(IS_RECORD) and self.header is not None:
            self._record(decode_fate(line), line)
            return
        match decode(line):
            case Header() as header:
                if self.header is not None:
                    raise LineError("it is a second header", torn=False)
                self.header = header
            case _ if self.header is None:
                raise LineError("there is no header before it", torn=False)
            case Record() as record:
                self._record(record.fate, line)
            case Sending(sending=(first, last)):
                self.fates.announce(first, last)
                self.extent = max(self.extent, last)
            case Unsent(unsent=(first, last)):
                self.fates.retract(first, last)
                self.extent = max(self.extent, last)
            case Checkpoint(checkpoint=ordinal, digest=digest):
                self._reached(ordinal, digest, offset)
            case InputEnded(input_ended=ordinal):
                end = self.fates.after + len(self.fates)
                if ordinal < end:
                    self.fates.retract(ordinal + 1, end)
            case Resumed(new_input_after=after):
                end = self.fates.after + len(self.fates)
                if after is not None and not end <= after <= end + LEAP:
                    raise LineError(f"new input after {after}, not {end}", torn=False)
                self.fates.inherit()
                if after is not None:
                    self._begin(after)
            case Quota():
                pass  # for reports

    def _record(self, fate: Fate, line: bytes) -> None:
        ordinal = fate.ordinal
        self.fates.record(ordinal, fate.outcome, inferred=fate.inferred, ambiguous=fate.ambiguous)
        self.records += 1
        if ordinal > self._checkpoint:
            self.recent[ordinal] = line
        self.extent = max(self.extent, ordinal)

    def _reached(self, ordinal: int, digest: str, offset: int) -> None:
        self.fates.read(ordinal)
        self.checkpoints[ordinal] = (digest, offset)
        self._checkpoint = ordinal
        self.extent = max(self.extent, ordinal)
        for known in [known for known in self.recent if known <= ordinal]:
            del self.recent[known]

    def _begin(self, after: int) -> None:
        """Another input is read from here on."""
        self.doubt = self.doubt or self.fates.in_doubt()
        for outcome, count in self.fates.counts().items():
            if outcome.settled:
                self.earlier[outcome] += count
        self.fates = Fates(after)
        self.checkpoints.clear()
        self.recent.clear()
        self._checkpoint = self.extent = after

    def recent_can_be_compared(self) -> bool:
        """Whether the records that the input will be compared with tell their pairs' ids."""
        try:
            return all(isinstance(decode(line), Record) for line in self.recent.values())
        except LineError:
            return False

    @property
    def known_to(self) -> int:
        """The last pair about whose ids the journal says something."""
        return max(self._checkpoint, *self.recent, self.fates.after)

    def counts(self) -> dict[Outcome, int]:
        """Pairs per outcome: of the input read last, and what earlier ones settled."""
        return {
            outcome: count + self.earlier[outcome] for outcome, count in self.fates.counts().items()
        }


@attrs.frozen
class Admitted:
    """A pair that the journal lets through.

    Attributes:
        ordinal: its number; hand it to `reserve` and `record`.
        detach: the pair.
        ambiguous: whether an earlier session may have applied it, so that a 404 must be checked
            and "nothing was applied" must not be said without a check.
        settled: what an earlier session settled it as: it must not be sent again. None if it is
            to be sent.
        inferred: whether that was concluded from a check.
    """

    ordinal: int
    detach: Detach
    ambiguous: bool = False
    settled: Outcome | None = None
    inferred: bool = False


class InputChangedError(Exception):
    """The input is not the one that the journal tells of.

    Attributes:
        first: first pair that may differ.
        last: last pair that may differ.
        expected: what the journal has for it, None if only a digest is known.
        pairs: what was read instead, from `first` on.
        offset: where in the file the records of these pairs begin.
    """

    def __init__(
        self,
        first: int,
        last: int,
        *,
        expected: Record | None = None,
        pairs: Sequence[Detach] = (),
        offset: int = 0,
    ) -> None:
        self.first = first
        self.last = last
        self.expected = expected
        self.pairs = pairs
        self.offset = offset
        super().__init__(f"pairs {first} to {last}")


class Gate:
    """Compares the input with the journal and says of each pair whether to send it.

    Args:
        replay: what the journal says; its fates may go on changing.
        settled: pairs that earlier, other inputs settled.
    """

    def __init__(self, replay: Replay, settled: SettledPairs | None = None) -> None:
        self._fates = replay.fates
        self._checkpoints = dict(replay.checkpoints)
        self._recent = dict(replay.recent)
        self._known_to = replay.known_to
        self._earlier = settled
        self._doubt = replay.doubt
        self._digest = hashlib.blake2b(digest_size=16)
        self._unhashed: list[bytes] = []
        self._held: list[Detach] = []
        self._offset = 0
        self._written = max(replay.checkpoints, default=replay.fates.after)
        self.read_to = replay.fates.after

    def feed(self, pair: Detach) -> Sequence[Admitted]:
        """Take the input's next pair; return those whose turn it is now.

        Raises:
            InputChangedError: it is not the pair that was there before.
        """
        ordinal = self.read_to = self.read_to + 1
        self._unhashed.append(identity(pair))
        if ordinal > self._known_to:
            return (self._judge(ordinal, pair),)
        self._held.append(pair)
        record = self._recent.pop(ordinal, None)
        if record is not None:
            self._compare(ordinal, pair, record)
        checkpoint = self._checkpoints.pop(ordinal, None)
        if checkpoint is not None:
            digest, offset = checkpoint
            if digest != self.digest():
                raise InputChangedError(
                    ordinal - len(self._held) + 1,
                    ordinal,
                    pairs=self._held,
                    offset=self._offset,
                )
            self._offset = offset
        if checkpoint is None and ordinal < self._known_to:
            return ()
        return self._release()

    def end(self) -> None:
        """The input has ended.

        Raises:
            InputChangedError: it had more pairs before.
        """
        if self.read_to < self._known_to:
            raise InputChangedError(self.read_to + 1, self._known_to)

    @property
    def checkpoint_due(self) -> bool:
        """Whether so much was read since the last checkpoint that another one is due."""
        return len(self._unhashed) >= CHECKPOINT and self.read_to >= self._known_to

    def checkpoint(self) -> Checkpoint | None:
        """Return a checkpoint up to the last pair, None if the journal has one."""
        if self.read_to <= self._written or self.read_to < self._known_to:
            return None
        self._written = self.read_to
        return Checkpoint(self.read_to, self.digest())

    def digest(self) -> str:
        """Return the digest of everything read."""
        self._digest.update(b"".join(self._unhashed))
        self._unhashed.clear()
        return self._digest.hexdigest()

    @staticmethod
    def _compare(ordinal: int, pair: Detach, line: bytes) -> None:
        record = decode(line)
        if isinstance(record, Record) and not same(record, pair):
            raise InputChangedError(ordinal, ordinal, expected=record, pairs=[pair])

    def _release(self) -> Sequence[Admitted]:
        first = self.read_to - len(self._held) + 1
        admitted = [self._judge(ordinal, pair) for ordinal, pair in enumerate(self._held, first)]
        self._held = []
        return admitted

    def _judge(self, ordinal: int, pair: Detach) -> Admitted:
        fate = self._fates.get(ordinal)
        doubt = self._doubt or is_ambiguous(fate)
        if not is_settled(fate) and self._earlier is not None:
            fate = self._earlier.get(pair)
        if is_settled(fate):
            return Admitted(ordinal, pair, False, outcome_of(fate), is_inferred(fate))
        return Admitted(ordinal, pair, doubt)


def same(record: Record, pair: Detach) -> bool:
    """Whether a record is about this pair."""
    admin_id = None if pair.admin_id is None else text_of(pair.admin_id)
    return (
        record.conversation_id == text_of(pair.conversation_id)
        and record.contact_id == text_of(pair.contact_id)
        and record.admin_id == admin_id
    )
