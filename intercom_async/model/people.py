"""Contacts, teammates and authors, and the admin behind a token."""

from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import Id, IntercomObject, RepliedObject


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Reference(IntercomObject):
    """A pointer to another object: an admin, a team, a contact, a ticket of another helpdesk."""

    id: Id | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class NamedReference(IntercomObject):
    """A pointer with a name: an admin's role, a company's plan, a narrower subject."""

    id: Id | None = None
    name: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ContactReference(RepliedObject):
    """A contact (a user or a lead) as a conversation names it.

    Attributes:
        type: "contact" in documents; "user" or "lead" where a detach or attach answers.
        external_id: the id your own system gave it.
    """

    id: Id | None = None
    external_id: Id | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Contacts(IntercomObject):
    """The contacts of a conversation; more than one only in group conversations."""

    contacts: tuple[ContactReference, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Teammates(IntercomObject):
    """Who wrote at least one part: `admins` in replies, `teammates` in the description."""

    teammates: tuple[Reference, ...] | None = None
    admins: tuple[Reference, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Author(IntercomObject):
    """Who wrote a part or began a conversation: a contact, an admin, a team or a bot.

    Bots and campaigns speak on behalf of admins or teams. `email` is "" when there is none.
    """

    id: Id | None = None
    name: str | None = None
    email: str | None = None
    from_ai_agent: bool | None = None
    is_ai_answer: bool | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class TeamPriorityLevel(IntercomObject):
    """The teams an admin serves first, and those served after them."""

    primary_team_ids: tuple[Id, ...] | None = None
    secondary_team_ids: tuple[Id, ...] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Admin(RepliedObject):
    """A teammate with access to the workspace.

    `avatar` is the picture's address, or an object with that as `image_url`.
    """

    id: Id | None = None
    name: str | None = None
    email: str | None = None
    job_title: str | None = None
    away_mode_enabled: bool | None = None
    away_mode_reassign: bool | None = None
    away_status_reason_id: Id | None = None
    has_inbox_seat: bool | None = None
    team_ids: tuple[Id, ...] | None = None
    avatar: Any = None
    team_priority_level: TeamPriorityLevel | None = None
    role: NamedReference | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class App(IntercomObject):
    """A workspace, which Intercom's API calls an app.

    Attributes:
        id_code: the id of the workspace.
        region: where its data is kept, e.g. "US"; the region to give to the client.
        secure: `identity_verification` by its older name; replies hold it.
    """

    id_code: str | None = None
    name: str | None = None
    region: str | None = None
    timezone: str | None = None
    created_at: datetime | None = None
    identity_verification: bool | None = None
    secure: bool | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Identity(Admin):
    """The admin an access token belongs to, with its workspace: the answer of `GET /me`.

    Do not trust `email` as a login unless `email_verified`.
    """

    email_verified: bool | None = None
    app: App | None = None
