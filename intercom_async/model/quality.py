"""Quality assurance: monitors and scorecards (in conversations when asked for)."""

from datetime import datetime

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import RevieweeType


@attrs.frozen(kw_only=True, repr=False, eq=False)
class MonitorEvaluation(IntercomObject):
    """A monitor flagged the conversation.

    Attributes:
        monitor_id: which monitor.
        monitor_name: its name then; None once the monitor is deleted.
        monitor_type: e.g. "prompt"; None once the monitor is deleted.
        result: what it found, e.g. "flagged".
        explanation: why.
        evaluated_at: when.
    """

    monitor_id: Id | None = None
    monitor_name: str | None = None
    monitor_type: str | None = None
    result: str | None = None
    explanation: str | None = None
    evaluated_at: datetime | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ReviewedTeammate(IntercomObject):
    """Whose work was reviewed.

    Attributes:
        type: "ai" also when no single teammate was.
        admin_id: the teammate, when there is one.
    """

    type: OrText[RevieweeType] | None = None
    admin_id: Id | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EvaluatorResult(IntercomObject):
    """What one criterion came to.

    Attributes:
        value: the chosen label, e.g. "pass".
        source: who chose it, e.g. "ai" or "human".
        reasoning: why, in words.
        reason_ids: why, from a list.
        other_text: what the reviewer added to that list.
    """

    value: str | None = None
    source: str | None = None
    reasoning: str | None = None
    reason_ids: tuple[Id, ...] | None = None
    other_text: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Evaluator(IntercomObject):
    """One criterion of a scorecard; no `result` while it was not scored."""

    evaluator_id: Id | None = None
    result: EvaluatorResult | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Scorecard(IntercomObject):
    """A review of the conversation.

    Attributes:
        scorecard_id: which scorecard.
        scorecard_version_id: which version of it.
        name: its name.
        scorecard_type: e.g. "human".
        passed: whether the conversation passed; None while it was not scored.
        score: the figure; None while it was not scored.
        ai_score: the figure an AI came to.
        evaluated_at: when it was last scored.
        reviewed_teammate: whose work it is about.
        evaluators: its criteria.
    """

    scorecard_id: Id | None = None
    scorecard_version_id: Id | None = None
    name: str | None = None
    scorecard_type: str | None = None
    passed: bool | None = None
    score: int | float | None = None
    ai_score: int | float | None = None
    evaluated_at: datetime | None = None
    reviewed_teammate: ReviewedTeammate | None = None
    evaluators: tuple[Evaluator, ...] | None = None
