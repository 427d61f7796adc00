"""The values Intercom documents.

It adds values without a new API version, so a field typed with one of these may always hold
other text. The members are strings: `conversation.state == "open"` works for all of them.
"""

from enum import StrEnum


class State(StrEnum):
    """What state a conversation is in, or was in when a part was created."""

    OPEN = "open"
    CLOSED = "closed"
    SNOOZED = "snoozed"


class Priority(StrEnum):
    """How urgent a conversation is: five levels since API 2.16, two before."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"
    PRIORITY = "priority"
    NOT_PRIORITY = "not_priority"


class SourceType(StrEnum):
    """Where a conversation began."""

    CONVERSATION = "conversation"
    EMAIL = "email"
    FACEBOOK = "facebook"
    INSTAGRAM = "instagram"
    PHONE_CALL = "phone_call"
    PHONE_SWITCH = "phone_switch"
    PUSH = "push"
    SMS = "sms"
    TWITTER = "twitter"
    WHATSAPP = "whatsapp"


class DeliveredAs(StrEnum):
    """Who began a conversation, and how."""

    CUSTOMER_INITIATED = "customer_initiated"
    CAMPAIGNS_INITIATED = "campaigns_initiated"
    OPERATOR_INITIATED = "operator_initiated"
    AUTOMATED = "automated"
    ADMIN_INITIATED = "admin_initiated"


class PersonType(StrEnum):
    """Whom a segment groups; a contact is a lead here."""

    CONTACT = "contact"
    USER = "user"


class SlaStatus(StrEnum):
    """How a service level agreement, or one of its targets, stands.

    Intercom spells the fourth differently on the conversation and in events.
    """

    HIT = "hit"
    MISSED = "missed"
    ACTIVE = "active"
    CANCELLED = "cancelled"
    CANCELED = "canceled"
    PAUSED = "paused"


class SlaTargetType(StrEnum):
    """The targets a service level agreement can set."""

    FIRST_REPLY_TIME = "first_reply_time"
    NEXT_REPLY_TIME = "next_reply_time"
    RESOLUTION_TIME = "resolution_time"
    TIME_TO_CLOSE = "time_to_close"


class ActionResult(StrEnum):
    """How a custom action ended."""

    SUCCESS = "success"
    FAILED = "failed"


class LinkedObjectType(StrEnum):
    """What can be linked to a conversation."""

    TICKET = "ticket"
    CONVERSATION = "conversation"


class LinkedObjectCategory(StrEnum):
    """The category of a linked ticket."""

    CUSTOMER = "Customer"
    BACK_OFFICE = "Back-office"
    TRACKER = "Tracker"


class AIAgentSourceType(StrEnum):
    """What brought the AI agent into a conversation."""

    ESSENTIALS_PLAN_SETUP = "essentials_plan_setup"
    PROFILE = "profile"
    WORKFLOW = "workflow"
    WORKFLOW_PREVIEW = "workflow_preview"
    FIN_PREVIEW = "fin_preview"


class AIAnswerType(StrEnum):
    """The kind of answer the AI agent gave last."""

    AI_ANSWER = "ai_answer"
    CUSTOM_ANSWER = "custom_answer"


class ResolutionState(StrEnum):
    """How the AI agent's part in a conversation ended.

    API 2.15 renamed "abandoned" to "negative_feedback" and "routed_to_team" to "escalated".
    """

    ASSUMED_RESOLUTION = "assumed_resolution"
    CONFIRMED_RESOLUTION = "confirmed_resolution"
    ESCALATED = "escalated"
    NEGATIVE_FEEDBACK = "negative_feedback"
    PROCEDURE_HANDOFF = "procedure_handoff"
    ABANDONED = "abandoned"
    ROUTED_TO_TEAM = "routed_to_team"


class SalesAgentOutcome(StrEnum):
    """How the sales agent's part in a conversation ended."""

    QUALIFIED = "qualified"
    DISQUALIFIED = "disqualified"
    PRODUCT_DISCOVERY = "product_discovery"
    ESCALATED_TO_SUPPORT = "escalated_to_support"
    SPAM = "spam"


class RevieweeType(StrEnum):
    """Whose work a scorecard is about."""

    AI = "ai"
    ADMIN = "admin"
