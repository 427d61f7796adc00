"""Facts about a conversation: figures, ratings, and what AI agents did."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject
from intercom_async.model.people import ContactReference, NamedReference, Reference


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ResponseTime(IntercomObject):
    """How fast a team answered first, in seconds."""

    team_id: Id | None = None
    team_name: str | None = None
    response_time: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Statistics(IntercomObject):
    """Durations, moments and counts for reports.

    Durations are in seconds; those to a reply or a close count business hours only. What comes
    `first`, and what is counted, comes after the first text from a contact.
    """

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
    """A rating from 1 (worst) to 5; `created_at` is when Intercom asked for it."""

    rating: int | None = None
    remark: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    contact: ContactReference | None = None
    teammate: Reference | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class FirstContactReply(IntercomObject):
    """The first message of a contact; `url` is the page it was written on."""

    created_at: datetime | None = None
    url: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SlaApplied(IntercomObject):
    """A service level agreement; its status is None once it was taken off by hand."""

    sla_name: str | None = None
    sla_status: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ContentSource(IntercomObject):
    """What the AI agent answered from, such as an article."""

    content_type: str | None = None
    url: str | None = None
    title: str | None = None
    locale: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ContentSources(IntercomObject):
    """All that the AI agent answered from."""

    total_count: int | None = None
    content_sources: tuple[ContentSource, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AIAgent(IntercomObject):
    """The AI agent's part in a conversation.

    Attributes:
        source_type: what brought it in, such as "workflow".
        last_answer_type, resolution_state: None when it gave no answer.
        rating: the contact's, 1 to 5; `created_at` and `updated_at` are its times.
    """

    source_type: str | None = None
    source_title: str | None = None
    last_answer_type: str | None = None
    resolution_state: str | None = None
    rating: int | None = None
    rating_remark: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    content_sources: ContentSources | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SalesAgent(IntercomObject):
    """The sales agent's part in a conversation; `routing_outcome` is one of your own routes."""

    outcome: str | None = None
    routing_outcome: str | None = None
    collected_data: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AITopic(IntercomObject):
    """A subject that Intercom sees in a conversation."""

    topic_name: str | None = None
    subtopics: tuple[NamedReference, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AITopics(IntercomObject):
    """The subjects that Intercom sees in a conversation."""

    topics: tuple[AITopic, ...] | None = None
