"""What a part that is an event, not a message, tells of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from intercom_async.model.base import IntercomObject, OrText
from intercom_async.model.enums import ActionResult, Priority, SlaStatus, SlaTargetType


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Named(IntercomObject):
    """A workflow or an attribute, by its name."""

    name: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class AttributeValue(IntercomObject):
    """The value an attribute was given.

    Attributes:
        name: the new value; text in the description, any JSON in the wild.
        previous: the value before; missing in older events.
    """

    name: Any = attrs.field(default=None, hash=False)
    previous: Any = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class CustomAction(IntercomObject):
    """A custom action that was started, or has ended.

    Attributes:
        name: which action.
        result: how it ended; absent when it only started.
    """

    name: str | None = None
    result: OrText[ActionResult] | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class WorkflowEvent(IntercomObject):
    """What a workflow did."""

    type: str | None = None
    result: str | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SlaDefinition(IntercomObject):
    """The targets of a service level agreement, all in seconds."""

    first_reply_time: int | None = None
    next_reply_time: int | None = None
    resolution_time: int | None = None
    time_to_close: int | None = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class EventDetails(IntercomObject):
    """The details of an event: the members of all kinds of events, most of them None.

    Which ones are there depends on the `part_type` of the part, e.g. "custom_action_finished".
    The API's Preview version describes fifteen kinds.

    Attributes:
        workflow: the workflow that acted.
        attribute: the conversation attribute that was changed.
        value: what it was changed to.
        action: the custom action.
        event: what the workflow did.
        tags_added: names of tags put on.
        tags_removed: names of tags taken off.
        until: for how long a conversation was snoozed, in words.
        custom_until_time: the moment chosen for that; ISO text on the wire, not seconds.
        current_priority: the priority after the change.
        previous_priority: the priority before it.
        sla_name: the service level agreement.
        sla_definition: its targets.
        sla_target_type: the target that was missed.
        current_sla_status: how the agreement stood as a whole.
        sla_states: how each target stood, by its name: `status`, and `seconds_remaining`.
    """

    workflow: Named | None = None
    attribute: Named | None = None
    value: AttributeValue | None = None
    action: CustomAction | None = None
    event: WorkflowEvent | None = None
    tags_added: tuple[str, ...] | None = None
    tags_removed: tuple[str, ...] | None = None
    until: str | None = None
    custom_until_time: datetime | None = None
    current_priority: OrText[Priority] | None = None
    previous_priority: OrText[Priority] | None = None
    sla_name: str | None = None
    sla_definition: SlaDefinition | None = None
    sla_target_type: OrText[SlaTargetType] | None = None
    current_sla_status: OrText[SlaStatus] | None = None
    sla_states: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
