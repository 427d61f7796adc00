"""The company a conversation belongs to (in conversations since API 2.15)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject
from intercom_async.model.parts import Tags
from intercom_async.model.people import Admin, NamedReference, Reference


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Segment(IntercomObject):
    """A group defined by rules; its `person_type` is "user", or "contact" for leads."""

    id: Id | None = None
    name: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    person_type: str | None = None
    count: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Segments(IntercomObject):
    """The segments a company belongs to."""

    segments: tuple[Segment, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Note(IntercomObject):
    """What a teammate wrote down about a company; `body` is HTML."""

    id: Id | None = None
    created_at: datetime | None = None
    company: Reference | None = None
    author: Admin | None = None
    body: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Notes(IntercomObject):
    """The notes about a company."""

    notes: tuple[Note, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Company(IntercomObject):
    """An organization that uses your product.

    Attributes:
        plan: what the company pays for, in your own product.
        company_id: the id your own system gave it.
        remote_created_at: when your own system created it.
        monthly_spend: revenue it brings, in your own currency; whole in the description,
            fractions happen.
    """

    id: Id | None = None
    name: str | None = None
    app_id: Id | None = None
    plan: NamedReference | None = None
    company_id: Id | None = None
    remote_created_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_request_at: datetime | None = None
    size: int | None = None
    website: str | None = None
    industry: str | None = None
    monthly_spend: int | float | None = None
    session_count: int | None = None
    user_count: int | None = None
    custom_attributes: Mapping[str, Any] | None = None
    tags: Tags | None = None
    segments: Segments | None = None
    notes: Notes | None = None
