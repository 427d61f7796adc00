"""What is known about a conversation: figures, ratings, reviews, and what AI agents did."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import (
    AIAgentSourceType,
    AIAnswerType,
    ResolutionState,
    RevieweeType,
    SalesAgentOutcome,
    SlaStatus,
)
from intercom_async.model.people import ContactReference, Reference


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ResponseTime(IntercomObject):
    """How fast a team answered first.

    Attributes:
        team_name: None if the team is gone, "Unassigned" if there was none.
        response_time: in seconds.
    """

    team_id: Id | None = None
    team_name: str | None = None
    response_time: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Statistics(IntercomObject):
    """Durations (in seconds), moments and counts for reports.

    Attributes:
        type: "conversation_statistics".
        time_to_assignment: seconds to the last assignment before the first admin reply.
        time_to_admin_reply: seconds to the first admin reply, within business hours.
        time_to_first_close: seconds to the first close, within business hours.
        time_to_last_close: seconds to the last close, within business hours.
        median_time_to_reply: seconds an admin took to answer, within business hours.
        first_contact_reply_at: the first text from a contact.
        first_assignment_at: the first assignment after that.
        first_admin_reply_at: the first admin reply after that.
        first_close_at: the first close after that.
        last_assignment_at: the last assignment.
        last_assignment_admin_reply_at: the first admin reply since the last assignment.
        last_contact_reply_at: the last part from a contact.
        last_admin_reply_at: the last part from an admin.
        last_close_at: the last close.
        last_closed_by_id: the admin who closed it last.
        count_reopens: reopens after the first text from a contact.
        count_assignments: assignments after the first text from a contact.
        count_conversation_parts: parts, the first message included.
        assigned_team_first_response_time: by team.
        assigned_team_first_response_time_in_office_hours: by team, within office hours.
        handling_time: seconds from assignment to close.
        adjusted_handling_time: the same without times nobody worked on it.
    """

    type: str | None = None
    time_to_assignment: int | None = None
    time_to_admin_reply: int | None = None
    time_to_first_close: int | None = None
    time_to_last_close: int | None = None
    median_time_to_reply: int | None = None
    first_contact_reply_at: datetime | None = None
    first_assignment_at: datetime | None = None
    first_admin_reply_at: datetime | None = None
    first_close_at: datetime | None = None
    last_assignment_at: datetime | None = None
    last_assignment_admin_reply_at: datetime | None = None
    last_contact_reply_at: datetime | None = None
    last_admin_reply_at: datetime | None = None
    last_close_at: datetime | None = None
    last_closed_by_id: Id | None = None
    count_reopens: int | None = None
    count_assignments: int | None = None
    count_conversation_parts: int | None = None
    assigned_team_first_response_time: tuple[ResponseTime, ...] | None = None
    assigned_team_first_response_time_in_office_hours: tuple[ResponseTime, ...] | None = None
    handling_time: int | None = None
    adjusted_handling_time: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConversationRating(IntercomObject):
    """How a contact rated the conversation.

    Attributes:
        rating: 1 (worst) to 5.
        created_at: when the rating was asked for.
    """

    rating: int | None = None
    remark: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    contact: ContactReference | None = None
    teammate: Reference | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class FirstContactReply(IntercomObject):
    """The first message of a contact.

    Attributes:
        type: what it was, e.g. "conversation".
        url: the page it was written on.
    """

    created_at: datetime | None = None
    type: str | None = None
    url: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SlaApplied(IntercomObject):
    """The service level agreement of a conversation.

    Attributes:
        sla_status: how it stands; None once the agreement was taken off by hand.
    """

    type: str | None = None
    sla_name: str | None = None
    sla_status: OrText[SlaStatus] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class MonitorEvaluation(IntercomObject):
    """A monitor flagged the conversation.

    Attributes:
        monitor_name: its name then; None once the monitor is deleted.
        monitor_type: e.g. "prompt"; None once the monitor is deleted.
        result: what it found, e.g. "flagged".
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
    """

    type: OrText[RevieweeType] | None = None
    admin_id: Id | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EvaluatorResult(IntercomObject):
    """What one criterion came to.

    Attributes:
        value: the chosen label, e.g. "pass".
        source: who chose it, e.g. "ai" or "human".
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
        scorecard_type: e.g. "human".
        passed: whether the conversation passed; None while it was not scored.
        score: the figure; None while it was not scored.
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


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ContentSource(IntercomObject):
    """Something the AI agent answered from.

    Attributes:
        content_type: e.g. "article", "file", "external_content", "content_snippet".
    """

    content_type: str | None = None
    url: str | None = None
    title: str | None = None
    locale: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ContentSources(IntercomObject):
    """What the AI agent answered from."""

    type: str | None = None
    total_count: int | None = None
    content_sources: tuple[ContentSource, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AIAgent(IntercomObject):
    """The AI agent's part in a conversation.

    Attributes:
        last_answer_type: the kind of its last answer; None when it gave none.
        resolution_state: how it ended; None when it gave no answer.
        rating: the contact's rating of it, 1 to 5.
        created_at: when the rating was created.
    """

    source_type: OrText[AIAgentSourceType] | None = None
    source_title: str | None = None
    last_answer_type: OrText[AIAnswerType] | None = None
    resolution_state: OrText[ResolutionState] | None = None
    rating: int | None = None
    rating_remark: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    content_sources: ContentSources | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SalesAgent(IntercomObject):
    """The sales agent's part in a conversation.

    Attributes:
        routing_outcome: which of your own routes it chose.
        collected_data: what it asked for, by field.
    """

    outcome: OrText[SalesAgentOutcome] | None = None
    routing_outcome: str | None = None
    collected_data: Mapping[str, Any] | None = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AISubtopic(IntercomObject):
    """A narrower subject that was found in a conversation."""

    type: str | None = None
    name: str | None = None
    id: Id | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AITopic(IntercomObject):
    """A subject that was found in a conversation."""

    type: str | None = None
    topic_name: str | None = None
    subtopics: tuple[AISubtopic, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AITopics(IntercomObject):
    """The subjects that were found in a conversation."""

    type: str | None = None
    topics: tuple[AITopic, ...] | None = None
