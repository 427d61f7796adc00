"""What conversations are made of: the first message, parts, events, and their tags."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject
from intercom_async.model.people import Author, Reference


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Tag(IntercomObject):
    """A label; `applied_at` and `applied_by` are there only on conversations."""

    id: Id | None = None
    name: str | None = None
    applied_at: datetime | None = None
    applied_by: Reference | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Tags(IntercomObject):
    """The labels of a conversation or a company."""

    tags: tuple[Tag, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Attachment(IntercomObject):
    """A file that came with a message: `filesize` in bytes, an image's size in pixels."""

    name: str | None = None
    url: str | None = None
    content_type: str | None = None
    filesize: int | None = None
    width: int | None = None
    height: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EmailAddress(IntercomObject):
    """An address of an e-mail, which Intercom calls `email_address` in heads, `email` elsewhere.

    Attributes:
        type: the header, e.g. "from", or "to", "cc" or "bcc" of a recipient.
        drop_reason: why nothing was sent to a recipient.
    """

    email_address: str | None = None
    email: str | None = None
    name: str | None = None
    drop_reason: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EmailMessageMetadata(IntercomObject):
    """A message sent as an e-mail; `history` is the quoted thread below a first one, as HTML."""

    subject: str | None = None
    email_address_headers: tuple[EmailAddress, ...] | None = None
    message_id: str | None = None
    history: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Source(IntercomObject):
    """The message or event a conversation began with.

    Attributes:
        type: where it came from, such as "conversation", "email" or "phone_call".
        delivered_as: who began it, and how, such as "admin_initiated".
        reply_to: where an answer to an e-mail goes; not always where it came from.
        subject: may hold HTML.
        body: the text, as HTML unless the request asks for plain text.
        url: the page it was written on.
    """

    id: Id | None = None
    delivered_as: str | None = None
    recipients: tuple[EmailAddress, ...] | None = None
    reply_to: tuple[EmailAddress, ...] | None = None
    subject: str | None = None
    body: str | None = None
    author: Author | None = None
    attachments: tuple[Attachment, ...] | None = None
    url: str | None = None
    redacted: bool | None = None
    email_message_metadata: EmailMessageMetadata | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EventSubject(IntercomObject):
    """The workflow, attribute or custom action of an event, or what a workflow did.

    Workflows and attributes have a name; actions also a result, once they finished; what a
    workflow did has a type and a result.
    """

    name: str | None = None
    result: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EventDetails(IntercomObject):
    """The details of an event: the members of all kinds of events, most of them None.

    Which ones are there depends on the `part_type` of the part, e.g. "custom_action_finished".
    The API's Preview version describes fifteen kinds.

    Attributes:
        value: the new value of an attribute, as `name`, and in newer events its `previous` value;
            both may be any JSON.
        until: for how long a conversation was snoozed, in words.
        custom_until_time: the moment chosen for that; ISO text on the wire, not seconds.
        sla_definition: seconds by target, such as "first_reply_time".
        sla_states: how each target stood: `status`, and `seconds_remaining`.
    """

    workflow: EventSubject | None = None
    attribute: EventSubject | None = None
    value: Mapping[str, Any] | None = None
    action: EventSubject | None = None
    event: EventSubject | None = None
    call_id: Id | None = None
    tags_added: tuple[str, ...] | None = None
    tags_removed: tuple[str, ...] | None = None
    until: str | None = None
    custom_until_time: datetime | None = None
    current_priority: str | None = None
    previous_priority: str | None = None
    sla_name: str | None = None
    sla_definition: Mapping[str, Any] | None = None
    sla_target_type: str | None = None
    current_sla_status: str | None = None
    sla_states: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class QuickReplyOption(IntercomObject):
    """An answer offered for choosing; the part that a choice makes holds its `uuid`."""

    text: str | None = None
    uuid: str | None = None
    translations: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class PartMetadata(IntercomObject):
    """The quick replies that a part offers, or the one that was chosen."""

    quick_reply_options: tuple[QuickReplyOption, ...] | None = None
    quick_reply_uuid: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConversationPart(IntercomObject):
    """One message, note or event.

    Attributes:
        id: unique in its workspace only.
        part_type: what it is, e.g. "comment", "note", "assignment", "close".
        body: the text, as HTML unless the request asks for plain text; None for events.
        state: the conversation's state when the part was created.
        translations: of the body, if the request asks for them; any JSON, as it came.
    """

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
    state: str | None = None
    tags: tuple[Tag, ...] | None = None
    event_details: EventDetails | None = None
    app_package_code: str | None = None
    translations: Any = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConversationParts(IntercomObject):
    """The parts of a retrieved conversation; lists and searches leave them out.

    Attributes:
        conversation_parts: the newest 500 at most.
        total_count: of all parts; without the first message, which is the `source`.
    """

    conversation_parts: tuple[ConversationPart, ...] | None = None
    total_count: int | None = None
