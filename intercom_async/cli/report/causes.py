"""Why pairs ended as they did: grouped, counted and exemplified, in bounded memory.

Every way a pair can end is a *kind* with a small number, and one byte per pair remembers which
kind it is. So a pair that is recorded again leaves its old group, and what a report says about
groups is as true as its totals: both are the same numbers.
"""

import re
from collections.abc import Iterator
from typing import Final

import attrs
import msgspec

from intercom_async.cli.report.facts import Cause
from intercom_async.detaching import Outcome
from intercom_async.journal import Record

DETAILED: Final = 160
"""Kinds that are told apart by their message."""

COARSE: Final = 220
"""Kinds after which only outcomes are told apart; with those it stays below 256."""

EXAMPLES: Final = 3
"""Records kept of each kind from its beginning, and as many from its end."""

WORDS: Final = 240
"""Characters that are kept of anything a server wrote."""

_REQUEST_ID: Final = re.compile(r"(?<=request id )[^\s);,]+")
_VARIABLE: Final = re.compile(r"(?<!HTTP )(?<![\w-])[\w-]*\d[\w-]*(?:\.\d+)?")
_SPACE: Final = re.compile(r"\s+")

Key = tuple[Outcome, bool, str | None, int | None, str | None, str | None]
"""Outcome, whether inferred, error, status, code, pattern."""


@attrs.define
class _Kind:
    key: Key
    count: int = 0
    first: dict[int, Record] = attrs.Factory(dict[int, Record])
    last: dict[int, Record] = attrs.Factory(dict[int, Record])


class Causes:
    """What became of each pair, told apart by cause."""

    def __init__(self) -> None:
        self._kinds: list[_Kind] = []
        self._numbers: dict[Key, int] = {}
        self._of = bytearray()
        self._after = 0
        self._plain = self._number((Outcome.DETACHED, False, None, None, None, None))

    def add(self, record: Record) -> None:
        """Take a record in; an earlier one of the same pair no longer counts."""
        if record.outcome is Outcome.DETACHED and not record.inferred:
            number = self._plain  # by far the most frequent: no dictionary is asked
        else:
            number = self._number_of(record)
        index = record.ordinal - self._after
        if index >= len(self._of):
            self._of.extend(bytes(index + 4096 - len(self._of)))
        before = self._of[index]
        if before:
            kind = self._kinds[before - 1]
            kind.count -= 1
            kind.first.pop(record.ordinal, None)
            kind.last.pop(record.ordinal, None)
        self._of[index] = number
        kind = self._kinds[number - 1]
        kind.count += 1
        if number != self._plain and _to_be_shown(record.outcome):
            _keep(kind, record)

    def begin(self, after: int) -> None:
        """Another input is read, whose first pair has the ordinal after this one.

        Pairs of the one before that are not settled are the new input's business.
        """
        self._of = bytearray()
        self._after = after
        for kind in self._kinds:
            if not kind.key[0].settled:
                kind.count = 0
                kind.first.clear()
                kind.last.clear()

    @property
    def recorded(self) -> int:
        """Pairs of the input read last that have a record."""
        return len(self._of) - self._of.count(0)

    def outcomes(self) -> dict[Outcome, int]:
        """Return the pairs per outcome; every outcome is present."""
        counts = dict.fromkeys(Outcome, 0)
        for kind in self._kinds:
            counts[kind.key[0]] += kind.count
        return counts

    def inferred(self) -> int:
        """Return the pairs whose outcome was concluded from a check."""
        return sum(kind.count for kind in self._kinds if kind.key[1])

    def causes(self) -> Iterator[Cause]:
        """Yield what needs somebody, the most frequent first."""
        for kind in sorted(self._kinds, key=lambda kind: -kind.count):
            outcome, _, error, status, code, pattern = kind.key
            if kind.count and _to_be_shown(outcome):
                examples = tuple((kind.first | kind.last).values())[:EXAMPLES]
                yield Cause(
                    outcome=outcome,
                    error=error,
                    status=status,
                    code=code,
                    pattern=pattern,
                    count=kind.count,
                    examples=examples,
                )

    def _number_of(self, record: Record) -> int:
        error, code = _cut(record.error), _cut(record.code)
        inferred = record.inferred
        detailed: Key = (record.outcome, inferred, error, record.status, code, pattern_of(record))
        if detailed in self._numbers or len(self._kinds) < DETAILED:
            return self._number(detailed)
        coarse: Key = (record.outcome, inferred, error, record.status, code, None)
        if coarse in self._numbers or len(self._kinds) < COARSE:
            return self._number(coarse)
        return self._number((record.outcome, inferred, None, None, None, None))

    def _number(self, key: Key) -> int:
        number = self._numbers.get(key)
        if number is None:
            self._kinds.append(_Kind(key))
            number = self._numbers[key] = len(self._kinds)
        return number


def _to_be_shown(outcome: Outcome) -> bool:
    """Whether somebody has to do or decide something."""
    return not outcome.settled or outcome is Outcome.REFUSED_LAST_CONTACT


def _keep(kind: _Kind, record: Record) -> None:
    if len(kind.first) < EXAMPLES:
        kind.first[record.ordinal] = _short(record)
        return
    if len(kind.last) >= EXAMPLES:
        del kind.last[next(iter(kind.last))]
    kind.last[record.ordinal] = _short(record)


def _short(record: Record) -> Record:
    return msgspec.structs.replace(
        record,
        conversation_id=record.conversation_id[:WORDS],
        contact_id=record.contact_id[:WORDS],
        request_id=_cut(record.request_id),
    )


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:WORDS]


def pattern_of(record: Record) -> str | None:
    """Return a record's message with "#" for what differs from pair to pair.

    That is: request ids, the pair's own ids, and every word with a digit in it but the status.
    """
    message = record.message
    if message is None:
        return None
    for own in (record.request_id, record.conversation_id, record.contact_id):
        if own is not None and len(own) >= 4:
            message = message.replace(own, "#")
    message = _VARIABLE.sub("#", _REQUEST_ID.sub("#", message))
    return _SPACE.sub(" ", message).strip()[:WORDS]
