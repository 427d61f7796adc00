"""From bytes to the model and back.

Decoding follows a write that has happened, so it never raises because a member is odd. A field
holds what its type promises; a value that does not fit is kept raw in `extra`. So encoding gives
back the document that was decoded.

`values` understands single values, `converter` registers them with cattrs, `fast_path` decodes
usual documents in less time, to the same result; `conversations` and `pages` are what others call.
"""

from intercom_async.structuring.conversations import STEP as STEP
from intercom_async.structuring.conversations import decode_conversation as decode_conversation
from intercom_async.structuring.conversations import decode_in_steps as decode_in_steps
from intercom_async.structuring.conversations import encode_conversation as encode_conversation
from intercom_async.structuring.conversations import prepare as prepare
from intercom_async.structuring.pages import decode_contacts as decode_contacts
from intercom_async.structuring.pages import decode_identity as decode_identity
from intercom_async.structuring.pages import decode_page as decode_page
