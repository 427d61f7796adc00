"""Figures of a conversation."""

from datetime import datetime

import attrs

from intercom_async.model.base import Id, IntercomObject, OrText
from intercom_async.model.enums import SlaStatus
from intercom_async.model.people import ContactReference, Reference


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ResponseTime(IntercomObject):
    """How fast a team answered first.

    Attributes:
        team_id: which team.
        team_name: None if the team is gone, "Unassigned" if there was none.
        response_time: in seconds.
    """

    team_id: Id | None = None
    team_name: str | None = None
    response_time: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Statistics(IntercomObject):
    """Durations (in seconds), moments and counts for reports.

    Attributes:
        type: "conversation_statistics".
        time_to_assignment: seconds to the last assignment before the first admin reply.
        time_to_admin_reply: seconds to the first admin reply, within business hours.
        time_to_first_close: seconds to the first close, within business hours.
        time_to_last_close: seconds to the last close, within business hours.
        median_time_to_reply: seconds an admin took to answer, within business hours.
        first_contact_reply_at: the first text from a contact.
        first_assignment_at: the first assignment after that.
        first_admin_reply_at: the first admin reply after that.
        first_close_at: the first close after that.
        last_assignment_at: the last assignment.
        last_assignment_admin_reply_at: the first admin reply since the last assignment.
        last_contact_reply_at: the last part from a contact.
        last_admin_reply_at: the last part from an admin.
        last_close_at: the last close.
        last_closed_by_id: the admin who closed it last.
        count_reopens: reopens after the first text from a contact.
        count_assignments: assignments after the first text from a contact.
        count_conversation_parts: parts, the first message included.
        assigned_team_first_response_time: by team.
        assigned_team_first_response_time_in_office_hours: by team, within office hours.
        handling_time: seconds from assignment to close.
        adjusted_handling_time: the same without times nobody worked on it.
    """

    type: str | None = None
    time_to_assignment: int | None = None
    time_to_admin_reply: int | None = None
    time_to_first_close: int | None = None
    time_to_last_close: int | None = None
    median_time_to_reply: int | None = None
    first_contact_reply_at: datetime | None = None
    first_assignment_at: datetime | None = None
    first_admin_reply_at: datetime | None = None
    first_close_at: datetime | None = None
    last_assignment_at: datetime | None = None
    last_assignment_admin_reply_at: datetime | None = None
    last_contact_reply_at: datetime | None = None
    last_admin_reply_at: datetime | None = None
    last_close_at: datetime | None = None
    last_closed_by_id: Id | None = None
    count_reopens: int | None = None
    count_assignments: int | None = None
    count_conversation_parts: int | None = None
    assigned_team_first_response_time: tuple[ResponseTime, ...] | None = None
    assigned_team_first_response_time_in_office_hours: tuple[ResponseTime, ...] | None = None
    handling_time: int | None = None
    adjusted_handling_time: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConversationRating(IntercomObject):
    """How a contact rated the conversation.

    Attributes:
        rating: 1 (worst) to 5.
        remark: what the contact added.
        created_at: when the rating was asked for.
        updated_at: when it was last changed.
        contact: who rated.
        teammate: who was rated.
    """

    rating: int | None = None
    remark: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    contact: ContactReference | None = None
    teammate: Reference | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class FirstContactReply(IntercomObject):
    """The first message of a contact.

    Attributes:
        created_at: when it was written.
        type: what it was, e.g. "conversation".
        url: the page it was written on.
    """

    created_at: datetime | None = None
    type: str | None = None
    url: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SlaApplied(IntercomObject):
    """The service level agreement of a conversation.

    Attributes:
        type: "conversation_sla_summary".
        sla_name: which agreement.
        sla_status: how it stands; None once the agreement was taken off by hand.
    """

    type: str | None = None
    sla_name: str | None = None
    sla_status: OrText[SlaStatus] | None = None
