"""What a session hands to the thread or task that writes its journal."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from intercom_async.journal.errors import JournalError, again
from intercom_async.journal.row import Row

_Given = TypeVar("_Given")
_Work = TypeVar("_Work")

Done = Callable[[JournalError | None], None]


@attrs.define(eq=False)
class Call(Generic[_Given, _Work]):
    """A row to write, or else any work; `answer` or `done` gets the result."""

    row: _Given | None = None
    work: _Work | None = None
    answer: asyncio.Future[Any] | None = None
    done: Done | None = None

    def end(self, result: Any, error: BaseException | None) -> None:
        """Give the result, or the error, to whoever waits for it."""
        if isinstance(error, JournalError):
            error = again(error)
        if self.done is not None:
            self.done(error if isinstance(error, JournalError) else None)
        elif self.answer is None or self.answer.done():  # cancelled: nobody waits
            pass
        elif error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


def sift(
    found: list[Row | None],
    keys: Sequence[tuple[Any, ...]],
    given: Sequence[_Given],
    row_of: Callable[[_Given], Row],
) -> list[_Given]:
    """Return what is given of new pairs, each once; `found` gets the rows of the repeated ones."""
    new: dict[tuple[Any, ...], _Given] = {}
    for place, key in enumerate(keys):
        if found[place] is None and key in new:
            found[place] = row_of(new[key])
        elif found[place] is None:
            new[key] = given[place]
    return list(new.values())
