"""From bytes to the model and back.

Decoding follows a write that has happened, so it never raises because a member is odd. A field
holds what its type promises; a value that does not fit is kept raw in `extra`. So encoding gives
back the document that was decoded.

`values` has the hooks for single values, `converter` registers them with cattrs, and `fast_path`
decodes usual documents in less time, to the same result. Other rooms call `objects`, or `replies`
if they have a reply.
"""

from intercom_async.structuring.objects import Page as Page
from intercom_async.structuring.objects import decode_conversation as decode_conversation
from intercom_async.structuring.objects import decode_identity as decode_identity
from intercom_async.structuring.objects import decode_page as decode_page
from intercom_async.structuring.objects import encode_conversation as encode_conversation
from intercom_async.structuring.objects import prepare as prepare
