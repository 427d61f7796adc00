"""A pair on its way through a run, and what the journal keeps of it."""

from typing import Final

import attrs

from intercom_async.bulk.results import DetachResult
from intercom_async.detaching import Detach, Outcome, Settled
from intercom_async.errors import rebuilt
from intercom_async.journal import Row, State

Key = tuple[str, str]

_OUTCOMES: Final = {
    State.PENDING.value: Outcome.NOT_ATTEMPTED,
    State.SENDING.value: Outcome.UNKNOWN,
}


@attrs.define(eq=False)
class Item:
    """A pair that was admitted and has no outcome yet.

    Attributes:
        row: what earlier tries left, None for a pair that is new.
        again: further occurrences of the pair; each gets a result, too.
        second: whether this is the second try.
        announced: whether the journal may say that the pair is being sent.
        workspace: of the run, "" if that has only one.
    """

    pair: Detach
    row: Row | None = None
    again: int = 0
    second: bool = False
    announced: bool = False
    workspace: str = ""

    @property
    def key(self) -> Key:
        """Conversation and contact."""
        return self.pair.conversation_id, self.pair.contact_id

    @property
    def in_doubt(self) -> bool:
        """Whether a request sent before may still be applied."""
        return self.row is not None and (self.row.in_doubt or self.row.state == State.SENDING)

    def sending(self, admin_id: str | None) -> Row:
        """Return the row of a pair that is about to be sent."""
        before = self.row
        return Row(
            conversation_id=self.pair.conversation_id,
            contact_id=self.pair.contact_id,
            admin_id=admin_id,
            workspace=self.workspace,
            state=State.SENDING.value,
            in_doubt=self.in_doubt,
            attempts=0 if before is None else before.attempts,
            refusals=0 if before is None else before.refusals,
            second_try=self.second,
        )

    def left(self, admin_id: str | None) -> Row:
        """Return the row of a pair that is not sent: as it was, or pending."""
        if self.row is not None:
            return attrs.evolve(self.row, deferred=False)
        return attrs.evolve(self.sending(admin_id), state=State.PENDING.value)

    def settled(self, settled: Settled, admin_id: str | None, *, deferred: bool) -> Row:
        """Return the row of a pair that has its outcome, or waits for its second try."""
        row, error = self.sending(admin_id), settled.error
        row.state = settled.outcome.value
        row.inferred = settled.inferred
        row.in_doubt = settled.in_doubt or settled.outcome is Outcome.UNKNOWN
        row.attempts += settled.attempts
        row.refusals += settled.refusals
        row.request_id = settled.request_id
        row.deferred = deferred
        if error is not None:
            row.status = getattr(error, "status", None)
            row.code = getattr(error, "code", None)
            row.error_type, row.error = type(error).__name__, str(error)
        return row


def pair_of(row: Row) -> Detach:
    """Return the pair that a row is about."""
    return Detach(row.conversation_id, row.contact_id, row.admin_id)


def result_of(pair: Detach, row: Row, *, duplicate: bool = False) -> DetachResult:
    """Return the result that a row holds; a duplicate cost no request."""
    return DetachResult(
        detach=pair,
        outcome=_OUTCOMES.get(row.state) or Outcome(row.state),
        inferred=row.inferred,
        duplicate=duplicate,
        second_try=row.second_try,
        error=rebuilt(
            row.error_type,
            row.error,
            status=row.status,
            code=row.code,
            request_id=row.request_id,
            attempts=row.attempts,
        ),
        attempts=0 if duplicate else row.attempts,
        request_id=None if duplicate else row.request_id,
    )
