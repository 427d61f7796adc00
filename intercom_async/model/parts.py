"""The parts of a conversation: messages, notes and events after the first message."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import State
from intercom_async.model.events import EventDetails
from intercom_async.model.people import Author, Reference
from intercom_async.model.source import Attachment, EmailMessageMetadata
from intercom_async.model.tags import Tag


@attrs.frozen(kw_only=True, repr=False, eq=False)
class QuickReplyOption(IntercomObject):
    """An answer offered for choosing.

    Attributes:
        text: what is shown.
        uuid: names the option; the part a choice makes holds it.
        translations: the text by language.
    """

    text: str | None = None
    uuid: str | None = None
    translations: Mapping[str, Any] | None = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class PartMetadata(IntercomObject):
    """Quick replies of a part.

    Attributes:
        quick_reply_options: the answers it offers.
        quick_reply_uuid: the answer that was chosen.
    """

    quick_reply_options: tuple[QuickReplyOption, ...] | None = None
    quick_reply_uuid: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConversationPart(IntercomObject):
    """One message, note or event.

    Attributes:
        type: "conversation_part".
        id: Intercom's id of the part; unique in its workspace only.
        part_type: what it is, e.g. "comment", "note", "assignment", "close".
        body: the text, as HTML unless plain text was asked for; None for events.
        created_at: when it was created.
        updated_at: when it was last changed.
        notified_at: when the contact was told of it.
        assigned_to: whom it assigned the conversation to, if it did.
        author: who wrote it.
        attachments: files that came with it.
        external_id: the id your own system gave it.
        redacted: whether the text was removed.
        email_message_metadata: of an e-mail.
        metadata: its quick replies.
        state: the conversation's state when the part was created.
        tags: its own labels.
        event_details: of an event.
        app_package_code: the app that created it through the API.
        translations: of the body, when asked for; any JSON, as it came.
    """

    type: str | None = None
    id: Id | None = None
    part_type: str | None = None
    body: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    notified_at: datetime | None = None
    assigned_to: Reference | None = None
    author: Author | None = None
    attachments: tuple[Attachment, ...] | None = None
    external_id: Id | None = None
    redacted: bool | None = None
    email_message_metadata: EmailMessageMetadata | None = None
    metadata: PartMetadata | None = None
    state: OrText[State] | None = None
    tags: tuple[Tag, ...] | None = None
    event_details: EventDetails | None = None
    app_package_code: str | None = None
    translations: Any = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConversationParts(IntercomObject):
    """The parts of a retrieved conversation; lists and searches leave them out.

    Attributes:
        type: "conversation_part.list".
        conversation_parts: the newest 500 at most.
        total_count: of all parts; without the first message, which is the `source`.
    """

    type: str | None = None
    conversation_parts: tuple[ConversationPart, ...] | None = None
    total_count: int | None = None
