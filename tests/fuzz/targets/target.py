"""The form of a target."""

from collections.abc import Callable, Sequence

import attrs


def at_the_limit(data: bytes) -> bool:
    """Whether the caller's own depth may decide if an input is nested too deeply."""
    return 800 < data.count(b"[") + data.count(b"{") < 1200


@attrs.frozen
class Target:
    """One area that reads what others wrote."""

    check: Callable[[bytes], None]
    """Raises AssertionError, or whatever escaped, if an input breaks a promise."""

    words: Sequence[bytes]
    """The format's own, for changes that keep its shape."""
