"""The conversation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.ai import AIAgent, AITopics, SalesAgent
from intercom_async.model.base import Id, RepliedObject
from intercom_async.model.company import Company
from intercom_async.model.enums import Priority, State
from intercom_async.model.links import Channel, ExternalReference, LinkedObjects
from intercom_async.model.parts import ConversationParts
from intercom_async.model.people import ContactReference, Contacts, Teammates
from intercom_async.model.quality import MonitorEvaluation, Scorecard
from intercom_async.model.source import Source
from intercom_async.model.statistics import (
    ConversationRating,
    FirstContactReply,
    SlaApplied,
    Statistics,
)
from intercom_async.model.tags import Tags


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Conversation(RepliedObject):
    """A conversation, or the little of it that a detach answers with.

    The live detach and attach calls answer with `customers` alone; a retrieved conversation has
    `contacts` instead. `participants` reads either.

    Attributes:
        type: "conversation".
        id: Intercom's id; unique in its workspace only. The requested one where the reply has
            none.
        title: what it was called.
        created_at: when it was created.
        updated_at: when it was last changed.
        waiting_since: when the contact began to wait for an answer; None when nobody waits.
        snoozed_until: when it opens again.
        open: whether it is open.
        state: open, closed or snoozed.
        read: whether it was read.
        priority: how urgent it is.
        admin_assignee_id: whose it is; "0" or None when nobody's.
        team_assignee_id: which team's it is; "0" or None when none's.
        company: the company it belongs to.
        tags: its labels.
        contacts: the contacts who take part.
        customers: the contacts still attached, in the reply of a detach or attach.
        teammates: who wrote at least one part.
        source: what it began with.
        custom_attributes: your own attributes, by name; values may be any JSON.
        conversation_rating: how it was rated.
        first_contact_reply: the first message of a contact.
        sla_applied: the service level agreement.
        statistics: figures for reports.
        conversation_parts: messages, notes and events; only when retrieved by its id.
        linked_objects: linked tickets and conversations.
        ai_agent_participated: whether the AI agent took part.
        ai_agent: what it did.
        sales_agent_participated: whether the sales agent took part.
        sales_agent: what it did.
        ai_topics: the subjects that were found.
        channel: where it began and where it is now.
        external_references: the same conversation in other systems.
        monitor_evaluations: monitors that flagged it, when asked for.
        scorecards: reviews of it, when asked for.
        topics: an older list of subjects; replies hold it, the description does not.
        ticket: the ticket it became; replies hold it, the description does not.
    """

    type: str | None = None
    id: Id | None = None
    title: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    waiting_since: datetime | None = None
    snoozed_until: datetime | None = None
    open: bool | None = None
    state: State | str | None = None
    read: bool | None = None
    priority: Priority | str | None = None
    admin_assignee_id: Id | None = None
    team_assignee_id: Id | None = None
    company: Company | None = None
    tags: Tags | None = None
    contacts: Contacts | None = None
    customers: tuple[ContactReference, ...] | None = None
    teammates: Teammates | None = None
    source: Source | None = None
    custom_attributes: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    conversation_rating: ConversationRating | None = None
    first_contact_reply: FirstContactReply | None = None
    sla_applied: SlaApplied | None = None
    statistics: Statistics | None = None
    conversation_parts: ConversationParts | None = None
    linked_objects: LinkedObjects | None = None
    ai_agent_participated: bool | None = None
    ai_agent: AIAgent | None = None
    sales_agent_participated: bool | None = None
    sales_agent: SalesAgent | None = None
    ai_topics: AITopics | None = None
    channel: Channel | None = None
    external_references: tuple[ExternalReference, ...] | None = None
    monitor_evaluations: tuple[MonitorEvaluation, ...] | None = None
    scorecards: tuple[Scorecard, ...] | None = None
    topics: Any = attrs.field(default=None, hash=False)
    ticket: Any = attrs.field(default=None, hash=False)

    @property
    def participants(self) -> tuple[ContactReference, ...]:
        """The contacts that take part, as far as this document tells; see `participants_known`."""
        if self.customers is not None:
            return self.customers
        listed = None if self.contacts is None else self.contacts.contacts
        return () if listed is None else listed

    @property
    def participants_known(self) -> bool:
        """Whether `participants` are certainly all contacts of the conversation.

        False when the document lists none at all, or something in the list was not understood:
        then a contact that is missing there may be attached all the same.
        """
        if "customers" in self.extra:
            return False
        listed = self.customers
        if listed is None:
            if self.contacts is None or "contacts" in {*self.extra, *self.contacts.extra}:
                return False
            listed = self.contacts.contacts
        return listed is not None and all(contact.id is not None for contact in listed)


@attrs.frozen(kw_only=True)
class ContactPage:
    """One page of a search of contacts.

    Attributes:
        contacts: those on this page; what is known of them beside their ids is in `extra`.
        starting_after: names the next page, None when there is none.
    """

    contacts: tuple[ContactReference, ...] = ()
    starting_after: str | None = None


@attrs.frozen(kw_only=True)
class ConversationPage:
    """One page of a list or search of conversations.

    Attributes:
        conversations: those on this page, as far as they were understood.
        total_count: of all pages, None if the page does not tell.
        starting_after: names the next page, None when there is none.
    """

    conversations: tuple[Conversation, ...] = ()
    total_count: int | None = None
    starting_after: str | None = None
