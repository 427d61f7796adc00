"""Access tokens on their way from the caller to the requests; replies go through `hiding`."""

from typing import NoReturn, cast, final


@final
class Secret:
    """An access token that shows nothing of itself, and is not pickled.

    Error trackers keep the local variables of every frame of a traceback. So no function of this
    library that may fail holds a token in a variable: it holds a `Secret`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an access token cannot be pickled: the pickle would show it")

    def reveal(self) -> str:
        """Return the token; do not keep it in a variable where something may fail."""
        return cast("str", self._value)
