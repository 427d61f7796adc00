"""What numbers, times and outcomes are called in a report, and foreign text made harmless."""

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from intercom_async.cli.report.facts import Cause, Facts
from intercom_async.detaching import Outcome

ADVICE: Final[Mapping[Outcome, str]] = {
    Outcome.DETACHED: "removed; nothing to do",
    Outcome.ALREADY_ABSENT: "was not in the conversation; nothing to do",
    Outcome.CONVERSATION_MISSING: "no such conversation; nothing to do",
    Outcome.REFUSED_LAST_CONTACT: "cannot be removed; decide about the conversation",
    Outcome.FAILED: "not applied; see the cause, then run it again",
    Outcome.UNKNOWN: "may have been applied; run it again, that is safe",
    Outcome.NOT_ATTEMPTED: "the run stopped first; run it again",
    Outcome.ATTACHED: "put back; nothing to do",
}
"""What to do next."""

_HARMFUL: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that move a cursor, turn a line around or cannot be encoded."""


def printable(text: str, *, ascii_only: bool = False, most: int = 300) -> str:
    r"""Return text that looks the way it is: what would not be seen is spelled like "\x1b".

    Args:
        text: from a server or a file.
        ascii_only: spell out everything beyond ASCII.
        most: characters that are kept.
    """
    cut = text if len(text) <= most else text[: most - 3] + "..."
    if not cut.isprintable():
        cut = "".join(map(_visible, cut))
    return cut.encode("ascii", "backslashreplace").decode() if ascii_only else cut


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HARMFUL:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


def name(outcome: Outcome) -> str:
    """Return an outcome in words."""
    return outcome.value.replace("_", " ")


def amount(number: int, noun: str) -> str:
    """Return a number with its noun: "1 pair", "2,000 pairs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: int, whole: int) -> str:
    """Return a percentage that is never rounded to nothing or to all."""
    if not whole:
        return ""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %"


def rate(per_second: float) -> str:
    """Return a rate without its unit."""
    if per_second >= 99.95:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}".removesuffix(".0")


def day_and_time(at: float | None) -> str:
    """Return Unix seconds as "2025-01-31 22:00:00"."""
    return "unknown" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def time_of_day(at: float, *, seconds: bool = True) -> str:
    """Return Unix seconds as "22:00:00" or "22:00"."""
    return f"{datetime.fromtimestamp(at, UTC):{'%H:%M:%S' if seconds else '%H:%M'}}"


def span(seconds: float) -> str:
    """Return a duration the way it is spoken: "0.4 s", "42 s", "3 min 7 s", "2 h 5 min", "4 d"."""
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    minutes = round(whole / 60)
    if minutes < 24 * 60:
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(whole / 3600)
    return _two(hours // 24, "d", hours % 24, "h")


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large:,} {unit} {small} {smaller}" if small else f"{large:,} {unit}"


def verdict(facts: Facts) -> str:
    """Return what a report comes to, in one sentence."""
    if facts.complete:
        return "Every pair is settled." if facts.pairs else "The input was empty."
    left = facts.pairs - facts.settled
    waiting = facts.unrecorded + (facts.unsent or 0)
    if left and waiting:
        return f"{amount(left, 'pair')} not settled, and up to {waiting:,} without a record."
    if left:
        return f"{amount(left, 'pair')} not settled."
    if waiting:
        return f"Up to {amount(waiting, 'pair')} without a record."
    if not facts.pairs:
        return "Nothing was recorded yet."
    return "All recorded pairs are settled, but the input was not read to its end."


def remarks(facts: Facts) -> Iterator[str]:
    """Yield what is to be known beyond the outcomes, a sentence each."""
    if facts.inferred:
        yield (
            f"{facts.inferred:,} of the detached were concluded from a check, because the reply "
            "was lost: somebody else may have removed them, so an undo must not take them for "
            "granted."
        )
    if facts.unrecorded:
        yield (
            f"Up to {amount(facts.unrecorded, 'pair')} may have been sent and have no record: in "
            "flight when this was read, or when the run was killed. The next run checks each of "
            "them."
        )
    if facts.reopened:
        yield (
            f"{amount(facts.reopened, 'pair')} recorded as not settled may have been sent again "
            "since. The next run checks each of them."
        )
    if facts.unsent:
        yield f"{amount(facts.unsent, 'pair')} of the input were certainly not sent yet."
    if not facts.input_ended:
        yield (
            "The input was not read to its end, so there may be pairs of which the journal knows "
            "nothing."
        )
    if facts.undated:
        yield f"{amount(facts.undated, 'record')} without a time: missing in the picture."
    if not facts.complete:
        yield "To go on, run it again with the same input and the same journal."


def reason(cause: Cause) -> str:
    """Return what a cause is called: the error's class, the status and Intercom's code."""
    if cause.outcome.settled:
        return ADVICE[cause.outcome]
    status = None if cause.status is None else f"HTTP {cause.status}"
    code = None if cause.code is None else printable(cause.code, most=80)
    error = None if cause.error is None else printable(cause.error, most=80)
    return " · ".join(part for part in (error, status, code) if part) or "no error was recorded"


def facts_of_header(facts: Facts) -> list[tuple[str, str]]:
    """Return what the first line says of the run, as names and values."""
    members = [*facts.header.input.items(), *facts.header.parameters.items()]
    told = [(str(key), str(value)) for key, value in members if value is not None]
    return [(printable(key, most=40), printable(value, most=120)) for key, value in told[:12]]
