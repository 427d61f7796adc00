"""What Intercom's agents did in a conversation, and what they made of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import (
    AIAgentSourceType,
    AIAnswerType,
    ResolutionState,
    SalesAgentOutcome,
)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ContentSource(IntercomObject):
    """Something the AI agent answered from.

    Attributes:
        content_type: e.g. "article", "file", "external_content", "content_snippet".
        url: where it is.
        title: its title.
        locale: its language, e.g. "en".
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
        source_type: what brought it in.
        source_title: the title of that.
        last_answer_type: the kind of its last answer; None when it gave none.
        resolution_state: how it ended; None when it gave no answer.
        rating: the contact's rating of it, 1 to 5.
        rating_remark: what the contact added.
        created_at: when the rating was created.
        updated_at: when the rating was last changed.
        content_sources: what it answered from.
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
        outcome: how it ended.
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
