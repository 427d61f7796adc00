"""The state behind the API, without a server."""

import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import RefusedError, Workspace


def test_contact_ids_are_24_hexadecimal_digits_and_repeat_with_the_seed() -> None:
    one, same, other = (Workspace(seed=seed).add_contact() for seed in (7, 7, 8))
    assert one == same != other
    assert len(one) == 24
    int(one, 16)


@pytest.mark.parametrize("kept", [0, 1])
def test_populated_pairs_can_be_detached_in_any_order_up_to_the_last_contact(kept: int) -> None:
    workspace = Workspace()
    pairs = workspace.populate(conversations=5, contacts_per_conversation=4, kept=kept)
    assert len(pairs) == len(set(pairs)) == 5 * (4 - kept)
    refused: set[tuple[str, str]] = set()
    for pair in reversed(pairs):
        try:
            workspace.detach(*pair)
        except RefusedError:
            refused.add(pair)
        assert workspace.attached(*pair) is (pair in refused)
    assert len(refused) == (0 if kept else 5)
    assert workspace.detached == dict.fromkeys(set(pairs) - refused, 1)


def test_a_detach_that_is_undone_and_done_again_is_counted_twice() -> None:
    workspace = Workspace()
    (pair,) = workspace.populate(conversations=1)
    for _ in range(2):
        workspace.detach(*pair)
        workspace.attach(*pair)
    assert workspace.detached[pair] == 2


def test_ids_given_by_hand_are_not_given_again() -> None:
    workspace = Workspace()
    contact = workspace.add_contact(contact_id="a/b?c")
    assert workspace.add_conversation([contact], conversation_id="1295") == "1295"
    assert workspace.add_admin(admin_id="5017690") == "5017690"
    assert workspace.add_admin() != "5017690"
    pairs = workspace.populate(conversations=2)
    assert "1295" not in {conversation for conversation, _ in pairs}
    assert workspace.participants("1295") == ["a/b?c"]
    with pytest.raises(InvalidArgumentError, match="not used yet"):
        workspace.add_conversation([contact], conversation_id="1295")
    with pytest.raises(InvalidArgumentError, match="contact_ids"):
        workspace.add_conversation([])
