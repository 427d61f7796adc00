"""How each state of a pair is shown: its name, its colours, and what to do next."""

from collections.abc import Mapping
from typing import Final

import attrs

from intercom_async.detaching import Outcome
from intercom_async.journal.row import State


@attrs.frozen
class Look:
    """How one state is shown.

    Attributes:
        style: its colour in a terminal, for Rich.
        colour: its colour on a page, for CSS.
        advice: what happened, and what to do next.
    """

    style: str
    colour: str
    advice: str


LOOKS: Final[Mapping[str, Look]] = {
    Outcome.DETACHED: Look("green", "light-dark(#1d9a5f, #3cc283)", "removed; nothing to do"),
    Outcome.ALREADY_ABSENT: Look(
        "cyan", "light-dark(#1794b4, #41b8d5)", "was not in the conversation; nothing to do"
    ),
    Outcome.CONVERSATION_MISSING: Look(
        "cyan", "light-dark(#5a78a8, #7d9cce)", "no such conversation; nothing to do"
    ),
    Outcome.REFUSED_LAST_CONTACT: Look(
        "yellow",
        "light-dark(#9a6400, #e3a63a)",
        "cannot be removed; decide about the conversation",
    ),
    Outcome.FAILED: Look(
        "red", "light-dark(#d43a4d, #f0667a)", "nothing was changed; read the cause, then go on"
    ),
    Outcome.UNKNOWN: Look(
        "bold red", "light-dark(#8a48c7, #b68cf0)", "may have happened; go on, that is safe"
    ),
    Outcome.NOT_ATTEMPTED: Look(
        "dim", "light-dark(#687382, #8f9bab)", "the run stopped first; go on"
    ),
    Outcome.ATTACHED: Look("green", "light-dark(#1d9a5f, #3cc283)", "put back; nothing to do"),
    State.SENDING: Look(
        "dim", "light-dark(#48525f, #98a4b3)", "may have happened; go on, a check finds out"
    ),
    State.PENDING: Look("dim", "light-dark(#687382, #8f9bab)", "not sent yet; go on"),
}


def name(state: str) -> str:
    """Return a state as words: "already absent"."""
    return state.replace("_", " ")
