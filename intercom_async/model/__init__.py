"""What Intercom's objects are: values without behaviour, and no parsing.

The names are the wire's own, as in Intercom's OpenAPI description (Preview) and, where replies
differ from it, as in replies. What they mean is said there; here, what is easily misread. Where
Intercom lists the values of a text, the field is plain text all the same: values are added without
a new API version. What conversations are made of is in `people`, `parts`, `company`, `insights`.
"""

from intercom_async.model.base import Id, IntercomObject, NumericId
from intercom_async.model.conversation import Conversation
from intercom_async.model.parts import ConversationPart, ConversationParts
from intercom_async.model.people import ContactReference, Contacts, Identity

__all__ = [
    "ContactReference",
    "Contacts",
    "Conversation",
    "ConversationPart",
    "ConversationParts",
    "Id",
    "Identity",
    "IntercomObject",
    "NumericId",
]
