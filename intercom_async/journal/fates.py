"""What is known of pairs, one byte each. Pure.

One byte per pair remembers what became of it: ten million pairs take 10 MB, and whole blocks are
changed by one `bytes.translate`. Pairs are known by their place in the input (`Fates`), or by
their ids where the place says nothing (`SettledPairs`: nine bytes).
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from intercom_async.detaching import Detach, Outcome
from intercom_async.journal.format import LineError, text_of

LEAP: Final = 1 << 20
"""Ordinals a line may be ahead of all before it; beyond, it is damaged rather than true."""

_OUTCOMES: Final = tuple(Outcome)
_CODES: Final[Mapping[Outcome, int]] = {outcome: n for n, outcome in enumerate(_OUTCOMES, 1)}

# A pair's byte: which outcome was recorded last (0 for none) and four flags.
_OUTCOME: Final = 0x0F
_INFERRED: Final = 0x10
_SENDING: Final = 0x20  # announced in this session
_DOUBT: Final = 0x40  # may have been applied by an earlier session, or its fate is unknown

_SETTLED: Final = bytes(
    (code & _OUTCOME) > 0
    and (code & _OUTCOME) <= len(_OUTCOMES)
    and _OUTCOMES[(code & _OUTCOME) - 1].settled
    for code in range(256)
)
_ANNOUNCE: Final = bytes(code if _SETTLED[code] else code | _SENDING for code in range(256))
_RETRACT: Final = bytes(code & ~_SENDING & 0xFF for code in range(256))
_INHERIT: Final = bytes(
    (code & ~_SENDING & 0xFF) | _DOUBT if code & _SENDING else code for code in range(256)
)
_ONLY_OUTCOME: Final = bytes(code & _OUTCOME for code in range(256))
_ONLY_FLAGS: Final = bytes(code & (_SENDING | _DOUBT) for code in range(256))


class Fates:
    """What is known of each pair of one input.

    Args:
        after: the ordinal before the input's first.
    """

    __slots__ = ("_bytes", "after")

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def _reach(self, ordinal: int) -> int:
        """Return the index of a pair, growing to it."""
        index = ordinal - self.after - 1
        known = self._bytes
        missing = index + 1 - len(known)
        if missing > 0:
            if missing > LEAP:
                raise LineError(f"pair {ordinal} is far beyond all others", torn=False)
            known.extend(bytes(missing))
        if index < 0:
            raise LineError(f"pair {ordinal} belongs to an earlier input", torn=False)
        return index

    def get(self, ordinal: int) -> int:
        """Return a pair's byte."""
        index = ordinal - self.after - 1
        return self._bytes[index] if 0 <= index < len(self._bytes) else 0

    def read(self, ordinal: int) -> None:
        """The input was read up to here; a later line may name what follows."""
        self._reach(ordinal)

    def record(
        self, ordinal: int, outcome: Outcome, *, inferred: bool = False, ambiguous: bool = False
    ) -> None:
        """A pair's fate became known."""
        index = self._reach(ordinal)
        code = _code(outcome, inferred=inferred, ambiguous=ambiguous)
        if outcome is Outcome.NOT_ATTEMPTED:
            code |= self._bytes[index] & _DOUBT  # not now, but maybe earlier
        self._bytes[index] = code

    def announce(self, first: int, last: int) -> None:
        """These pairs may be sent from here on."""
        self._translate(first, last, _ANNOUNCE)

    def retract(self, first: int, last: int) -> None:
        """These pairs were announced and not sent."""
        self._translate(first, last, _RETRACT)

    def _translate(self, first: int, last: int, table: bytes) -> None:
        if first > last:
            raise LineError(f"the pairs {first} to {last} are none", torn=False)
        start, end = self._reach(first), self._reach(last) + 1
        self._bytes[start:end] = self._bytes[start:end].translate(table)

    def inherit(self) -> None:
        """Begin a session: nobody knows what became of what was announced before."""
        self._bytes = self._bytes.translate(_INHERIT)

    def in_doubt(self) -> bool:
        """Whether any pair may have been sent without its fate being known."""
        return any(self._bytes.translate(_ONLY_FLAGS))

    def first_unsettled(self) -> int | None:
        """The first pair that is not settled, if any behind it may have been sent."""
        settled = self._bytes.translate(_SETTLED)
        index = settled.find(0)
        return None if index < 0 or not any(self._bytes[index + 1 :]) else self.after + index + 1

    def counts(self) -> dict[Outcome, int]:
        """Pairs per outcome recorded last; every outcome is present."""
        codes = self._bytes.translate(_ONLY_OUTCOME)
        return {outcome: codes.count(code) for outcome, code in _CODES.items()}


def _code(outcome: Outcome, *, inferred: bool, ambiguous: bool) -> int:
    doubt = ambiguous or outcome is Outcome.UNKNOWN
    return _CODES[outcome] | (_INFERRED if inferred else 0) | (_DOUBT if doubt else 0)


def is_settled(fate: int) -> bool:
    """Whether a pair's byte says that repeating it would be pointless."""
    return bool(_SETTLED[fate])


def is_announced(fate: int) -> bool:
    """Whether a pair's byte says that it may be, or may have been, sent."""
    return bool(fate & (_SENDING | _DOUBT))


def is_ambiguous(fate: int) -> bool:
    """Whether a pair's byte says that an earlier attempt may have been applied."""
    return bool(fate & _DOUBT) and not _SETTLED[fate]


def is_inferred(fate: int) -> bool:
    """Whether "detached" was concluded from a check."""
    return bool(fate & _INFERRED)


def outcome_of(fate: int) -> Outcome | None:
    """Return the outcome that a pair's byte holds, None without a record."""
    code = fate & _OUTCOME
    return _OUTCOMES[code - 1] if code else None


class SettledPairs:
    """What became of pairs, by their ids: settled ones, and those of unknown fate.

    Nine bytes per pair: its fate, and 8 of the 10 bytes of a digest of which the other two
    choose the bucket. Two of ten million pairs share one with a probability of 10⁻¹⁰.
    """

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}

    def add(
        self, pair: Detach, outcome: Outcome, *, inferred: bool = False, ambiguous: bool = False
    ) -> None:
        """Remember a pair; of a settled one, what was remembered first stays."""
        bucket, key = _place(pair)
        known = self._buckets.setdefault(bucket, bytearray())
        code = _code(outcome, inferred=inferred, ambiguous=ambiguous)
        at = _find(known, key)
        if at < 0:
            known.extend(key + bytes((code,)))
        elif not _SETTLED[known[at + _KEY]]:
            known[at + _KEY] = code

    def get(self, pair: Detach) -> int:
        """Return the fate of a pair, 0 if it is not known."""
        bucket, key = _place(pair)
        known = self._buckets.get(bucket, b"")
        at = _find(known, key)
        return 0 if at < 0 else known[at + _KEY]


_KEY: Final = 8


def _place(pair: Detach) -> tuple[int, bytes]:
    # Whoever acts, it is the same pair. The length keeps ("1", "23") apart from ("12", "3").
    conversation_id = text_of(pair.conversation_id)
    ids = f"{len(conversation_id)} {conversation_id}{text_of(pair.contact_id)}"
    digest = hashlib.blake2b(ids.encode("utf-8", "surrogatepass"), digest_size=2 + _KEY).digest()
    return int.from_bytes(digest[:2]), digest[2:]


def _find(known: bytes | bytearray, key: bytes) -> int:
    at = known.find(key)
    while at >= 0 and at % (_KEY + 1):
        at = known.find(key, at + 1)
    return at
