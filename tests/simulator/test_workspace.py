"""The state behind the API, without a server."""

import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import RefusedError, Workspace


def test_contact_ids_are_24_hexadecimal_digits_and_repeat_with_the_seed() -> None:
    ids = [Workspace(seed=7).add_contact() for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 24
    int(ids[0], 16)
    assert Workspace(seed=8).add_contact() != ids[0]


def test_everything_can_be_given_an_id_of_its_own() -> None:
    workspace = Workspace()
    assert workspace.add_admin(admin_id="7") == "7"
    assert workspace.add_contact(contact_id="a/b?c") == "a/b?c"
    assert workspace.add_conversation(["a/b?c"], conversation_id="1#2") == "1#2"
    assert workspace.participants("1#2") == ["a/b?c"]


def test_every_populated_pair_can_be_detached_in_any_order() -> None:
    workspace = Workspace()
    pairs = workspace.populate(conversations=5, contacts_per_conversation=4)
    assert len(pairs) == len(set(pairs)) == 15
    for pair in reversed(pairs):
        assert workspace.attached(*pair)
        workspace.detach(*pair)
        assert not workspace.attached(*pair)
    assert {len(workspace.participants(conversation)) for conversation, _ in pairs} == {1}
    assert workspace.detached == dict.fromkeys(pairs, 1)


def test_without_kept_contacts_each_conversation_refuses_its_last() -> None:
    workspace = Workspace()
    first, last = workspace.populate(conversations=1, contacts_per_conversation=2, kept=0)
    workspace.detach(*first)
    with pytest.raises(RefusedError, match="last customer"):
        workspace.detach(*last)
    assert workspace.attached(*last)


def test_a_conversation_needs_somebody() -> None:
    with pytest.raises(InvalidArgumentError, match="contact_ids"):
        Workspace().add_conversation([])


def test_a_detach_that_is_undone_and_done_again_is_counted_twice() -> None:
    workspace = Workspace()
    (pair,) = workspace.populate(conversations=1)
    for _ in range(2):
        workspace.detach(*pair)
        workspace.attach(*pair)
    assert workspace.detached[pair] == 2
    assert workspace.contacts[pair[1]].conversation_ids == (pair[0],)


def test_numbers_given_by_hand_are_not_given_again() -> None:
    workspace = Workspace()
    contact = workspace.add_contact(contact_id="5ba682d2")
    workspace.add_conversation([contact, workspace.add_contact()], conversation_id="1295")
    workspace.add_admin(admin_id="5017690")
    assert workspace.add_admin() != "5017690"
    pairs = workspace.populate(conversations=2)
    assert "1295" not in {conversation for conversation, _ in pairs}
    assert workspace.attached("1295", "5ba682d2")
    with pytest.raises(InvalidArgumentError, match="not used yet"):
        workspace.add_conversation([contact], conversation_id="1295")
