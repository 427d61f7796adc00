"""Intercom's objects: values without behaviour or parsing.

Names are those of Intercom's OpenAPI description (Preview), or of its replies where these differ.
The description says what they mean; the docstrings here add what is easily misread. Where Intercom
lists the values of a text, the field is plain text all the same: Intercom adds values without a new
API version. `conversation` is made of the objects in `people`, `parts`, `company` and `insights`.
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
