"""The conversation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject, RepliedObject
from intercom_async.model.company import Company
from intercom_async.model.insights import (
    AIAgent,
    AITopics,
    ConversationRating,
    FirstContactReply,
    SalesAgent,
    SlaApplied,
    Statistics,
)
from intercom_async.model.parts import ConversationParts, Source, Tags
from intercom_async.model.people import ContactReference, Contacts, Reference, Teammates


@attrs.frozen(kw_only=True, repr=False, eq=False)
class LinkedObject(IntercomObject):
    """A linked "ticket" or "conversation".

    Attributes:
        category: of a ticket: "Customer", "Back-office" or "Tracker".
    """

    id: Id | None = None
    category: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class LinkedObjects(IntercomObject):
    """Linked tickets and conversations: `data` holds 1000 at most, `total_count` counts all."""

    total_count: int | None = None
    has_more: bool | None = None
    data: tuple[LinkedObject, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Channel(IntercomObject):
    """Where a conversation began and where it is now, e.g. "messenger", "email"."""

    initial: str | None = None
    current: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Conversation(RepliedObject):
    """A conversation, or the part of it that the reply to a detach has.

    The live detach and attach calls answer with `customers` alone; a retrieved conversation has
    `contacts` instead. `participants` reads either.

    Attributes:
        id: unique in its workspace only. If the reply has none, the id of the request.
        waiting_since: when the contact began to wait for an answer; None when nobody waits.
        state: "open", "closed" or "snoozed".
        priority: "none", "low", "medium", "high" or "urgent"; before API 2.16 "priority" or
            "not_priority".
        admin_assignee_id, team_assignee_id: "0" or None when nobody is assigned.
        customers: the contacts still attached, in the reply of a detach or attach.
        custom_attributes: your own attributes, by name; values may be any JSON.
        conversation_parts: messages, notes and events; only when retrieved by its id.
        external_references: the same conversation in other helpdesks and CRMs, with types such as
            "zendesk_ticket".
        monitor_evaluations, scorecards: only if the request asks for them; any JSON, as it came.
        topics, ticket: an older list of subjects, and the ticket that the conversation became;
            replies have them, Intercom's description does not.
    """

    id: Id | None = None
    title: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    waiting_since: datetime | None = None
    snoozed_until: datetime | None = None
    open: bool | None = None
    state: str | None = None
    read: bool | None = None
    priority: str | None = None
    admin_assignee_id: Id | None = None
    team_assignee_id: Id | None = None
    company: Company | None = None
    tags: Tags | None = None
    contacts: Contacts | None = None
    customers: tuple[ContactReference, ...] | None = None
    teammates: Teammates | None = None
    source: Source | None = None
    custom_attributes: Mapping[str, Any] | None = None
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
    external_references: tuple[Reference, ...] | None = None
    monitor_evaluations: Any = None
    scorecards: Any = None
    topics: Any = None
    ticket: Any = None

    @property
    def participants(self) -> tuple[ContactReference, ...]:
        """The contacts that take part, as far as this document has them.

        `participants_known` says whether they are all.
        """
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
