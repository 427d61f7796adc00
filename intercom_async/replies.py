"""What a reply says beside its body."""

from collections.abc import Mapping

import attrs


@attrs.frozen(eq=False)
class ReplyHead:
    """Status and headers of a reply: `reply` of what it held, of an error, of a run's result.

    Attributes:
        status: HTTP status.
        request_id: Intercom's id of the request, for its support; None if it gave none.
        headers: by name, in upper or lower case. A token that a server repeats is taken out.
    """

    status: int
    request_id: str | None
    headers: Mapping[str, str] = attrs.field(repr=False)
