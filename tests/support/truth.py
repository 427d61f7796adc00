"""What a run over pairs of every kind, with every fault, must come to: the server's state says."""

import random

from intercom_async import Outcome
from intercom_async.simulator import Fault, IntercomSimulator

Pair = tuple[str, str]

FAULTS = {
    Fault.RESET_AFTER_APPLYING: 0.04,
    Fault.SERVER_ERROR_AFTER_APPLYING: 0.04,
    Fault.CLOSE_AFTER_APPLYING: 0.04,
    Fault.TRUNCATED_BODY: 0.04,
    Fault.RESET_BEFORE_APPLYING: 0.04,
    Fault.SERVER_ERROR: 0.04,
}
"""Faults that leave it open whether a request was applied, and their probabilities."""


def pairs_of(sim: IntercomSimulator, chance: random.Random, *, conversations: int) -> list[Pair]:
    """Pairs of every kind, some of them twice."""
    pairs = sim.workspace.populate(conversations=conversations, contacts_per_conversation=3)
    pairs += sim.workspace.populate(conversations=5, contacts_per_conversation=1, kept=0)
    pairs += [(pairs[n][0], f"{n:024x}") for n in range(5)]
    pairs += [(f"no-such-{n}", pairs[n][1]) for n in range(5)]
    pairs += chance.sample(pairs, len(pairs) // 10)
    chance.shuffle(pairs)
    return pairs


def fate_of(sim: IntercomSimulator, pair: Pair, *, inferred: bool) -> Outcome:
    """What the server's state says that a pair's outcome must be."""
    if pair[0] not in sim.workspace.conversations:
        return Outcome.CONVERSATION_MISSING
    if sim.workspace.attached(*pair):
        assert sim.workspace.participants(pair[0]) == [pair[1]]
        return Outcome.REFUSED_LAST_CONTACT
    # Nobody can tell whether an attempt of unknown fate removed a contact or never found it.
    return Outcome.DETACHED if sim.applied[pair] or inferred else Outcome.ALREADY_ABSENT
