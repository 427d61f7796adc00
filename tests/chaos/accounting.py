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
        outcome = reported.get(pair)
        expected = {
            Outcome.DETACHED: times == 1 and not attached,
            Outcome.FAILED: times == (0 if attached else 1) and (attached or pair in late),
            Outcome.NOT_ATTEMPTED: times == 0 and attached,
            Outcome.UNKNOWN: times <= 1,
        }
        if outcome is None or not expected.get(outcome, False):
            wrong.append(f"{pair}: reported {outcome}, applied {times} times, attached {attached}")
    return wrong


def reported_once(results: Iterable[DetachResult]) -> dict[Pair, Outcome]:
    """The outcomes by pair: every pair has one result, and no reply decides about two pairs."""
    reported: dict[Pair, Outcome] = {}
    replies: set[str] = set()
    for result in results:
        if result.request_id is not None:
            assert result.request_id not in replies
            replies.add(result.request_id)
        pair = pair_of(result)
        assert pair not in reported
        reported[pair] = result.outcome
    return reported
