"""From bytes to the model and back.

Decoding follows a write that has happened, so it never raises because a member is odd. A field
holds what its type promises; a value that does not fit is kept raw in `extra`. So encoding gives
back the document that was decoded.

`values` understands single values, `converter` registers them with cattrs, `fast_path` decodes
usual documents in less time, to the same result; `conversations` and `pages` are what others call.
"""

from intercom_async.structuring.conversations import (
    STEP,
    decode_conversation,
    decode_in_steps,
    encode_conversation,
    prepare,
)
from intercom_async.structuring.documents import decode_json, is_list, is_object
from intercom_async.structuring.pages import decode_contacts, decode_identity, decode_page

__all__ = [
    "STEP",
    "decode_contacts",
    "decode_conversation",
    "decode_identity",
    "decode_in_steps",
    "decode_json",
    "decode_page",
    "encode_conversation",
    "is_list",
    "is_object",
    "prepare",
]
