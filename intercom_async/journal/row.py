"""What a journal keeps: a row for each pair, and the workspace and operation of the run. Pure."""

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import rebuilt
from intercom_async.journal.errors import JournalMismatchError


class State(enum.StrEnum):
    """What a pair's row says until it holds an outcome.

    Attributes:
        PENDING: no request was sent.
        SENDING: a request may have been applied; what became of it was not recorded.
    """

    PENDING = "pending"
    SENDING = "sending"


SETTLED: Final = tuple(str(outcome) for outcome in Outcome if outcome.settled)
"""States of pairs that need no repetition."""

UNSETTLED: Final = tuple(str(one) for one in (*Outcome, *State) if str(one) not in SETTLED)
"""All other states; its text is a list in SQL."""

_UNRECORDED: Final = {
    State.PENDING.value: Outcome.NOT_ATTEMPTED,
    State.SENDING.value: Outcome.UNKNOWN,
}

RowKey = tuple[str, str, str]
"""Workspace, conversation and contact."""


def storable(value: Any) -> Any:
    """Escape what databases refuse in a text: lone surrogates, and zero bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return value


class Row(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One pair: its `DetachResult` as a database keeps it, or how far the pair has come.

    Its members are the columns of the tables of pairs, in both schemas.

    Attributes:
        workspace: its key; "" in a run of one client.
        state: a `State` or the value of an `Outcome` (never "not_attempted": that is "pending").
        inferred, in_doubt, attempts, refusals, request_id, second_try: see `DetachResult`.
        status, code: HTTP status and Intercom's code of the error, if it had any.
        error_type: name of the error's class in `intercom_async.errors`.
        deferred: whether the pair waits for its second try in this session.
        session, updated_at: which session wrote the row, and when, in Unix seconds; the session
            sets them. The number is negative if the session has only read the pair.
    """

    conversation_id: str
    contact_id: str
    admin_id: str | None = None
    workspace: str = ""
    state: str
    inferred: bool = False
    in_doubt: bool = False
    attempts: int = 0
    refusals: int = 0
    status: int | None = None
    code: str | None = None
    error_type: str | None = None
    error: str | None = None
    request_id: str | None = None
    deferred: bool = False
    second_try: bool = False
    session: int = 0
    updated_at: float = 0.0

    @classmethod
    def of(
        cls, result: DetachResult, *, admin_id: str | None, workspace: str, deferred: bool
    ) -> "Row":
        """Return the row of a pair that has its outcome, or waits for its second try."""
        pair, error = result.detach, result.error
        status = code = error_type = text = None
        if error is not None:
            status, code = getattr(error, "status", None), storable(getattr(error, "code", None))
            error_type, text = type(error).__name__, storable(str(error))
        return cls(
            conversation_id=pair.conversation_id,
            contact_id=pair.contact_id,
            admin_id=admin_id,
            workspace=workspace,
            state=result.outcome._value_,
            inferred=result.inferred,
            in_doubt=result.in_doubt or result.outcome is Outcome.UNKNOWN,
            attempts=result.attempts,
            refusals=result.refusals,
            status=status,
            code=code,
            error_type=error_type,
            error=text,
            request_id=result.request_id,
            deferred=deferred,
            second_try=result.second_try,
        )

    @property
    def key(self) -> RowKey:
        """Workspace, conversation and contact, the primary key of the tables."""
        return self.workspace, self.conversation_id, self.contact_id

    @property
    def settled(self) -> bool:
        """Whether repeating the pair would be pointless."""
        return self.state in SETTLED

    @property
    def pair(self) -> Detach:
        """The pair of the row."""
        return Detach(self.conversation_id, self.contact_id, self.admin_id)

    def result(self, *, duplicate: bool = False) -> DetachResult:
        """Return the result that the row holds; a duplicate cost no request."""
        facts = {name: getattr(self, name) for name in _SHARED}
        error = rebuilt(
            self.error_type,
            self.error,
            request_id=self.request_id,
            attempts=self.attempts,
            status=self.status,
            code=self.code,
        )
        if duplicate:
            facts.update(attempts=0, refusals=0, request_id=None)
        return DetachResult(
            detach=self.pair,
            outcome=_UNRECORDED.get(self.state) or Outcome(self.state),
            duplicate=duplicate,
            error=error,
            **facts,
        )


_SHARED: Final = tuple({*Row.__struct_fields__} & {*DetachResult.__struct_fields__} - {"error"})
"""What a result and its row both have."""


@attrs.frozen(kw_only=True)
class Binding:
    """What a journal belongs to; a run with another binding is refused.

    Attributes:
        operation: "detach" or "attach".
        base_url: of the API; each region has its own.
        app_id: the workspace's id from `GET /me`, None if nobody asked for it.
        app_name: the workspace's name, for messages.
    """

    operation: str
    base_url: str
    app_id: str | None = None
    app_name: str | None = attrs.field(default=None, converter=storable)

    @property
    def workspace(self) -> str:
        """The workspace in words."""
        if self.app_name is None:
            return str(self.app_id)
        return f"{self.app_name} ({self.app_id})"

    def check(self, now: "Binding", *, journal: str) -> None:
        """Raise `JournalMismatchError` unless the journal belongs to what a run does now.

        An app id that one side does not have is no difference.
        """
        if self.operation != now.operation:
            what, kept, given = "operation", self.operation, now.operation
        elif self.base_url != now.base_url:
            what, kept, given = "base_url", self.base_url, now.base_url
        elif None not in {self.app_id, now.app_id} and self.app_id != now.app_id:
            what, kept, given = "workspace", self.workspace, now.workspace
        else:
            return
        raise JournalMismatchError(journal, what=what, expected=kept, found=given)


@attrs.frozen(kw_only=True)
class Source:
    """Where a session's pairs come from, so that a later one can read on.

    Attributes:
        kind: such as "file", "standard input" or "iterable".
        name: a file's absolute path.
        columns: the name of the column of each id.
    """

    kind: str
    name: str | None = attrs.field(default=None, converter=storable)
    columns: Mapping[str, str] | None = None
