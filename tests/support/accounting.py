"""Compare what the client said of each pair with what the server did."""

from collections.abc import Collection, Iterable, Mapping

from intercom_async import DetachResult, Outcome
from intercom_async.simulator import IntercomSimulator
from tests.support.rows import Pair, pair_of


def disagreements(
    sim: IntercomSimulator,
    pairs: Iterable[Pair],
    reported: Mapping[Pair, Outcome],
    *,
    late: Collection[Pair] = (),
) -> list[str]:
    """Every pair whose outcome is not what happened at the server, in words.

    `late` are the pairs of which the client said that a request may still be under way.
    """
    wrong: list[str] = []
    for pair in pairs:
        times, attached = sim.applied[pair], sim.workspace.attached(*pair)
        true = {
            Outcome.DETACHED: times == 1 and not attached,
            Outcome.FAILED: times == (not attached) and (attached or pair in late),
            Outcome.NOT_ATTEMPTED: times == 0 and attached,
            Outcome.UNKNOWN: times <= 1,
        }
        outcome = reported.get(pair)
        if outcome is None or not true.get(outcome, False):
            wrong.append(f"{pair}: reported {outcome}, applied {times} times, attached {attached}")
    return wrong


def reported_once(results: Iterable[DetachResult]) -> dict[Pair, Outcome]:
    """The outcomes by pair: every pair has one result, and no reply decides about two pairs."""
    results = list(results)
    replies = [result.request_id for result in results if result.request_id is not None]
    assert len(set(replies)) == len(replies)
    reported = {pair_of(result): result.outcome for result in results}
    assert len(reported) == len(results)
    return reported
