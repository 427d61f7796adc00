"""What a run tells: one result per pair, and the sum of them."""

import math

import attrs

from intercom_async.detaching import Detach, Outcome, conversation_from
from intercom_async.errors import IntercomError
from intercom_async.model import Conversation
from intercom_async.transport.server_clock import WINDOW
from intercom_async.transport.wire import Reply


@attrs.define(eq=False, kw_only=True)
class DetachResult:
    """What became of one pair of a run.

    Attributes:
        detach: the pair.
        outcome: what became of it.
        inferred: whether "detached" was concluded from a check after an attempt of unknown
            fate; an undo must not take such a pair for granted.
        duplicate: whether the same pair had been settled before in this run (or, with a
            journal, in an earlier session); its outcome is told again and nothing was sent.
        error: what a single call would have raised, None when detached.
        attempts: requests sent for it, checks included, refused ones (429) not.
        refusals: requests that were refused with 429 and sent again.
        request_id: Intercom's id of the deciding request.
        elapsed: seconds from taking the pair up to knowing its outcome, waiting for the quota
            included.
    """

    detach: Detach
    outcome: Outcome
    inferred: bool = False
    duplicate: bool = False
    error: IntercomError | None = None
    attempts: int = 0
    refusals: int = 0
    request_id: str | None = None
    elapsed: float = 0.0
    _reply: Reply | None = attrs.field(default=None, repr=False, alias="reply")
    _conversation: Conversation | None = attrs.field(default=None, init=False, repr=False)

    @property
    def conversation(self) -> Conversation | None:
        """The conversation after the detach, decoded on first access; None unless detached.

        None for a duplicate, too: its conversation came with the first result.

        Raises:
            ResponseDecodeError: the detach happened, but its reply is no JSON object.
        """
        if self._conversation is None and self._reply is not None:
            self._conversation = conversation_from(self._reply, self.detach.conversation_id)
            self._reply = None
        return self._conversation


@attrs.frozen(kw_only=True)
class DetachSummary:
    """A run in numbers; every pair that was read is counted in exactly one outcome.

    Attributes:
        outcomes: pairs per outcome; every outcome is present.
        inferred: of the detached pairs, how many were concluded from a check.
        duplicates: pairs that occurred again after they had been settled; counted in their
            outcome each time.
        settled_before: pairs that earlier sessions of the journal settled; they were not sent
            again, gave no result and are counted in no outcome.
        requests: requests that Intercom answered or may have got, refused ones not counted.
        retries: of those, how many repeated a failed attempt or checked one.
        refusals: further requests that were refused with 429.
        elapsed: seconds from start to end, or until now.
        limit: requests the server allows per 10-second window, None if it never said.
        stopped_by: what ended the run early (401, 403, certificate), or None.
    """

    outcomes: dict[Outcome, int]
    inferred: int = 0
    duplicates: int = 0
    settled_before: int = 0
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    elapsed: float = 0.0
    limit: int | None = None
    stopped_by: IntercomError | None = None

    @property
    def total(self) -> int:
        """Pairs accounted for."""
        return sum(self.outcomes.values())

    @property
    def settled(self) -> int:
        """Pairs that need no repetition."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.settled)

    @property
    def rate(self) -> float:
        """Pairs per second."""
        return self.total / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def ideal(self) -> float | None:
        """Seconds that so many requests take if every window is filled to its limit.

        Reckoned from the beginning of a window; 0.0 for what fits into one. None while the
        limit is unknown.
        """
        if self.limit is None:
            return None
        return max(0, math.ceil(self.requests / self.limit) - 1) * WINDOW

    @property
    def quota_used(self) -> float | None:
        """Requests as a part of what the quota allows in that time; None if that is unknown.

        1.0 is all of it. Short runs may be above, since a window's whole quota may be used at
        its beginning.
        """
        if self.limit is None or self.elapsed <= 0:
            return None
        return self.requests / (self.limit * self.elapsed / WINDOW)

    def __str__(self) -> str:
        parts = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items() if n)
        before = f", {self.settled_before} settled before" if self.settled_before else ""
        return (
            f"{self.total} pairs in {self.elapsed:.1f} s{before} ({parts or 'none'}; "
            f"{self.requests} requests, {self.retries} retries, {self.refusals} refused)"
        )
