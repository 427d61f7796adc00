"""Tags of conversations, parts and companies."""

from datetime import datetime

import attrs

from intercom_async.model.base import Id, IntercomObject
from intercom_async.model.people import Reference


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Tag(IntercomObject):
    """A label.

    Attributes:
        type: "tag".
        id: Intercom's id of the tag.
        name: the label itself.
        applied_at: when it was put on; only on conversations.
        applied_by: who put it on; only on conversations.
    """

    type: str | None = None
    id: Id | None = None
    name: str | None = None
    applied_at: datetime | None = None
    applied_by: Reference | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Tags(IntercomObject):
    """The labels of a conversation or a company."""

    type: str | None = None
    tags: tuple[Tag, ...] | None = None
