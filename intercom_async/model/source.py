"""The message a conversation began with, and what comes with messages."""

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import DeliveredAs, SourceType
from intercom_async.model.people import Author


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Attachment(IntercomObject):
    """A file that came with a message.

    Attributes:
        type: e.g. "upload".
        name: the file's name.
        url: where it can be fetched.
        content_type: its media type, e.g. "image/png".
        filesize: its size in bytes.
        width: of an image, in pixels.
        height: of an image, in pixels.
    """

    type: str | None = None
    name: str | None = None
    url: str | None = None
    content_type: str | None = None
    filesize: int | None = None
    width: int | None = None
    height: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EmailAddressHeader(IntercomObject):
    """One address in the head of an e-mail.

    Attributes:
        type: which header, e.g. "from".
        email_address: the address.
        name: the name beside it.
    """

    type: str | None = None
    email_address: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EmailMessageMetadata(IntercomObject):
    """What is known of a message that was sent as an e-mail.

    Attributes:
        subject: its subject.
        email_address_headers: its addresses.
        message_id: its Message-ID header.
        history: the quoted or forwarded thread below a first message, as HTML.
    """

    subject: str | None = None
    email_address_headers: tuple[EmailAddressHeader, ...] | None = None
    message_id: str | None = None
    history: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Recipient(IntercomObject):
    """Whom a first e-mail was sent to.

    Attributes:
        type: "to", "cc" or "bcc".
        email: the address.
        drop_reason: why it was left out, if it was.
    """

    type: str | None = None
    email: str | None = None
    drop_reason: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ReplyTo(IntercomObject):
    """Where an answer to a first e-mail goes; not always where it came from."""

    email: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Source(IntercomObject):
    """The message or event a conversation began with.

    Attributes:
        type: where it came from; any text since API 2.16.
        id: Intercom's id of the message.
        delivered_as: who began it, and how.
        recipients: of an e-mail.
        reply_to: of an e-mail.
        subject: of an e-mail; may hold HTML.
        body: the text, as HTML unless plain text was asked for.
        author: who wrote it.
        attachments: files that came with it.
        url: the page it was written on.
        redacted: whether the text was removed.
        email_message_metadata: of an e-mail.
    """

    type: OrText[SourceType] | None = None
    id: Id | None = None
    delivered_as: OrText[DeliveredAs] | None = None
    recipients: tuple[Recipient, ...] | None = None
    reply_to: tuple[ReplyTo, ...] | None = None
    subject: str | None = None
    body: str | None = None
    author: Author | None = None
    attachments: tuple[Attachment, ...] | None = None
    url: str | None = None
    redacted: bool | None = None
    email_message_metadata: EmailMessageMetadata | None = None
