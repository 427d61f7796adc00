"""How each state of a pair is shown: its name, its colour, and what to do next."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from intercom_async.detaching import Outcome
from intercom_async.journal.row import State


class Look(NamedTuple):
    """A colour, by its name in Rich and in the page's style sheet, and what to do next."""

    colour: str
    advice: str


LOOKS: Final[Mapping[str, Look]] = {
    Outcome.DETACHED: Look("green", "removed; nothing to do"),
    Outcome.ALREADY_ABSENT: Look("cyan", "was not in the conversation; nothing to do"),
    Outcome.CONVERSATION_MISSING: Look("blue", "no such conversation; nothing to do"),
    Outcome.REFUSED_LAST_CONTACT: Look(
        "yellow", "cannot be removed; decide about the conversation"
    ),
    Outcome.FAILED: Look("red", "nothing was changed; read the cause, then go on"),
    Outcome.UNKNOWN: Look("magenta", "may have happened; go on, that is safe"),
    Outcome.NOT_ATTEMPTED: Look("dim", "the run stopped first; go on"),
    Outcome.ATTACHED: Look("green", "put back; nothing to do"),
    State.SENDING: Look("dim", "may have happened; go on, a check finds out"),
    State.PENDING: Look("dim", "not sent yet; go on"),
}


def name(state: str) -> str:
    """Return a state as words: "already absent"."""
    return state.replace("_", " ")
