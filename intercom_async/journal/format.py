"""The journal's lines: what is written, and how it is read back. Pure.

One JSON object per line. The first line is the header; the others are told apart by their first
member:

    {"ordinal":7,"conversation_id":"1295","contact_id":"5ba682d2","outcome":"detached",...}
    {"sending":[1,256]}           from here on these pairs may have been sent
    {"unsent":[12,256]}           these were not, after all
    {"checkpoint":1024,"digest":"9f..."}   the input up to here
    {"input_ended":1500}          there were no more pairs
    {"quota":1667,"at":1738360800.0}         requests the server allows per ten seconds
    {"resumed":"2025-01-31T22:00:00+00:00"}   a new session; what it appends overrides

A later line about a pair overrides an earlier one.
"""

import json
from typing import Any, Final

import msgspec

from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import IntercomError

SCHEMA: Final = 1
"""The version written, and the newest one understood."""

NAME: Final = "intercom_async"

WORDS: Final = 300
"""Characters of an error's text that are kept."""

Range = tuple[int, int]
"""First and last ordinal."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        journal: the library that wrote it.
        schema: version of the format.
        created: ISO 8601, UTC.
        parameters: of the run; a resumed run must have the same.
        input: where the pairs came from, for people.
    """

    journal: str
    schema: int
    created: str = ""
    parameters: dict[str, Any] = {}
    input: dict[str, Any] = {}


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of one pair.

    Attributes:
        ordinal: the pair's position in the input; the first is 1.
        conversation_id: Intercom's id of the conversation.
        contact_id: Intercom's id of the contact.
        admin_id: the pair's own admin, None for the run's.
        outcome: see `Outcome`.
        inferred: whether "detached" was concluded from a check rather than told by a reply.
        ambiguous: whether "failed" was concluded from a check after an attempt of unknown fate,
            which may have been applied later still.
        attempts: requests sent, checks included.
        refusals: further requests that were refused with 429.
        request_id: Intercom's id of the deciding request.
        error: class of the error; like the next three only for pairs that are not settled.
        status: HTTP status.
        code: Intercom's code.
        message: the error in words, cut to `WORDS` characters.
        at: Unix seconds.
    """

    ordinal: int
    conversation_id: str
    contact_id: str
    admin_id: str | None = None
    outcome: Outcome
    inferred: bool = False
    ambiguous: bool = False
    attempts: int = 0
    refusals: int = 0
    request_id: str | None = None
    error: str | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    at: float = 0.0

    @property
    def detach(self) -> Detach:
        """The pair."""
        return Detach(self.conversation_id, self.contact_id, self.admin_id)

    @property
    def in_doubt(self) -> bool:
        """Whether the pair may have been applied, for all that is known."""
        return self.ambiguous or self.outcome is Outcome.UNKNOWN

    @property
    def fate(self) -> "Fate":
        """The part of it that decides whether the pair is done."""
        return Fate(
            ordinal=self.ordinal,
            outcome=self.outcome,
            inferred=self.inferred,
            ambiguous=self.ambiguous,
        )


class Fate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of a record that decides whether its pair is done; quicker to read."""

    ordinal: int
    outcome: Outcome
    inferred: bool = False
    ambiguous: bool = False


class Sending(msgspec.Struct, frozen=True):
    """From here on these pairs may have been sent."""

    sending: Range


class Unsent(msgspec.Struct, frozen=True):
    """These pairs were announced by `Sending` and not sent in that session."""

    unsent: Range


class Checkpoint(msgspec.Struct, frozen=True):
    """A digest of the input up to a pair."""

    checkpoint: int
    digest: str


class InputEnded(msgspec.Struct, frozen=True):
    """The input had so many pairs."""

    input_ended: int


class Quota(msgspec.Struct, frozen=True):
    """The server's limit became known or changed; only reports need it.

    Attributes:
        quota: requests allowed per ten seconds.
        at: Unix seconds.
    """

    quota: int
    at: float = 0.0


class Resumed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new session begins.

    Attributes:
        resumed: ISO 8601, UTC.
        new_input_after: the session reads another input, whose first pair has the ordinal after
            this one.
    """

    resumed: str
    new_input_after: int | None = None


Line = Header | Record | Sending | Unsent | Checkpoint | InputEnded | Quota | Resumed

KINDS: Final[dict[str, type[Line]]] = {
    "ordinal": Record,
    "sending": Sending,
    "unsent": Unsent,
    "checkpoint": Checkpoint,
    "input_ended": InputEnded,
    "quota": Quota,
    "resumed": Resumed,
    "journal": Header,
}
IS_RECORD: Final = b'{"ordinal":'

_encoder: Final = msgspec.json.Encoder()
_record_decoder: Final = msgspec.json.Decoder(Record)
_fate_decoder: Final = msgspec.json.Decoder(Fate)
_any_decoder: Final = msgspec.json.Decoder()
_REFUSALS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class LineError(ValueError):
    """A line that cannot be read.

    Attributes:
        torn: whether it is no JSON at all, as what a crash leaves behind is.
    """

    def __init__(self, reason: str, *, torn: bool) -> None:
        self.torn = torn
        super().__init__(reason)


def encode(line: Line) -> bytes:
    """Return the line, its end included."""
    try:
        return _encoder.encode(line) + b"\n"
    except UnicodeError:  # an id that is no text, from a file that is not UTF-8
        return json.dumps(msgspec.to_builtins(line), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Line:
    """Read one line.

    Raises:
        LineError: it is none of those above.
    """
    if line.startswith(IS_RECORD):
        try:
            return _record_decoder.decode(line)
        except _REFUSALS:
            pass  # the slow way says why
    return _decode_slowly(line)


def decode_fate(line: bytes) -> Fate:
    """Read of a line that starts like a record what decides whether its pair is done.

    Raises:
        LineError: it is no record.
    """
    if line.isascii():  # whether what is skipped is UTF-8 is not looked at
        try:
            return _fate_decoder.decode(line)
        except _REFUSALS:
            pass  # the slow way says why
    record = decode(line)
    if not isinstance(record, Record):
        raise LineError("it is no record", torn=False)
    return record.fate


def _decode_slowly(line: bytes) -> Line:
    try:
        value: Any = _any_decoder.decode(line)
    except _REFUSALS:
        try:
            value = json.loads(line)  # takes ids that are no text
        except ValueError as error:
            raise LineError(f"it is no JSON ({error})", torn=True) from None
        except RecursionError:  # no crash makes such a line of one of ours
            raise LineError("it is nested too deeply", torn=False) from None
    if isinstance(value, dict):
        for name, kind in KINDS.items():
            if name in value:
                try:
                    return msgspec.convert(value, kind)
                except (msgspec.ValidationError, UnicodeError) as error:  # a name that is no text
                    raise LineError(str(error), torn=False) from None
    raise LineError("it is no line that this version knows", torn=False)


def record_of(
    ordinal: int,
    pair: Detach,
    outcome: Outcome,
    *,
    at: float,
    inferred: bool = False,
    ambiguous: bool = False,
    attempts: int = 0,
    refusals: int = 0,
    request_id: str | None = None,
    error: IntercomError | None = None,
) -> Record:
    """Make a record; an error is only spelled out for pairs that are not settled."""
    told = None if outcome.settled else error
    status: object = getattr(told, "status", None)
    code: object = getattr(told, "code", None)
    return Record(
        ordinal=ordinal,
        conversation_id=text_of(pair.conversation_id),
        contact_id=text_of(pair.contact_id),
        admin_id=None if pair.admin_id is None else text_of(pair.admin_id),
        outcome=outcome,
        inferred=inferred,
        ambiguous=ambiguous,
        attempts=attempts,
        refusals=refusals,
        request_id=request_id,
        error=None if told is None else type(told).__name__,
        status=status if isinstance(status, int) else None,
        code=code if isinstance(code, str) else None,
        message=None if told is None else str(told)[:WORDS],
        at=round(at, 3),
    )


def text_of(value: object) -> str:
    """Return an id as text: untyped callers hand in numbers, which are refused only later."""
    return value if isinstance(value, str) else str(value)


def identity(pair: Detach) -> bytes:
    """Return what tells a pair from every other, for digests."""
    ids = (
        text_of(pair.conversation_id),
        text_of(pair.contact_id),
        None if pair.admin_id is None else text_of(pair.admin_id),
    )
    try:
        return _encoder.encode(ids)
    except UnicodeError:
        return json.dumps(ids).encode()
