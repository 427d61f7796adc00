"""What a conversation is connected with."""

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import LinkedObjectCategory, LinkedObjectType


@attrs.frozen(kw_only=True, repr=False, eq=False)
class LinkedObject(IntercomObject):
    """A linked ticket or conversation; only tickets have a category."""

    type: OrText[LinkedObjectType] | None = None
    id: Id | None = None
    category: OrText[LinkedObjectCategory] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class LinkedObjects(IntercomObject):
    """Linked tickets and conversations.

    Attributes:
        type: "list".
        total_count: of all linked objects.
        has_more: whether `data` leaves some out.
        data: 1000 at most.
    """

    type: str | None = None
    total_count: int | None = None
    has_more: bool | None = None
    data: tuple[LinkedObject, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Channel(IntercomObject):
    """Where a conversation began and where it is now, e.g. "messenger", "email"."""

    initial: str | None = None
    current: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ExternalReference(IntercomObject):
    """The same conversation in another helpdesk or CRM.

    Attributes:
        type: what it is there, e.g. "zendesk_ticket".
        id: its id there.
    """

    type: str | None = None
    id: Id | None = None
