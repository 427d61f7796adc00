"""What each call of the API does, asked over a real connection, and the workspace behind it."""

from typing import Any

import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import IntercomSimulator, RefusedError, ReplyForm, Workspace
from intercom_async.structuring import decode_conversation, decode_identity
from tests.model.test_fields import objects_in
from tests.simulator.asking import Ask

RESOURCE_NOT_FOUND = (404, "not_found", "Resource Not Found")
USER_NOT_FOUND = (404, "not_found", "User Not Found")
LAST_CUSTOMER = (422, "parameter_invalid", "Removing the last customer is not allowed")

DETACH = ("DELETE", "/conversations/1/customers/anna")
ATTACH = ("POST", "/conversations/1/customers")
SEARCH = ("POST", "/conversations/search")
ADMIN: dict[str, Any] = {"admin_id": "5017690"}


@pytest.fixture
def town(sim: IntercomSimulator) -> IntercomSimulator:
    """Anna and Bert talk in conversation 1, Anna alone in 2."""
    for name in ("anna", "bert"):
        sim.workspace.add_contact(contact_id=name, email="a@b.example", external_id=name)
    sim.workspace.add_conversation(["anna", "bert"], conversation_id="1", parts=502)
    sim.workspace.add_conversation(["anna"], conversation_id="2")
    return sim


def asking(field: str, value: object, operator: str = "=", **pagination: object) -> dict[str, Any]:
    query = {"field": field, "operator": operator, "value": value}
    return {"query": query, "pagination": pagination}


REFUSED: list[tuple[str, str, object, tuple[Any, ...]]] = [
    ("DELETE", "/conversations/9/customers/anna", ADMIN, RESOURCE_NOT_FOUND),
    ("DELETE", "/conversations/1/customers/carl", ADMIN, USER_NOT_FOUND),
    ("DELETE", "/conversations/2/customers/anna", ADMIN, LAST_CUSTOMER),
    *((*DETACH, body, (400, "parameter_not_found")) for body in (None, {"admin_id": None})),
    (*DETACH, {"admin_id": "1"}, (404, "admin_not_found", "Admin for admin_id not found")),
    *((*DETACH, body, (400, "parameter_invalid")) for body in (b"{", b"[]", b"\xff")),
    (*ATTACH, ADMIN | {"customer": {"id": "1"}}, (400, "parameter_not_found")),
    (*ATTACH, ADMIN | {"customer": {"intercom_user_id": "carl"}}, RESOURCE_NOT_FOUND),
    ("GET", "/conversations/9", None, RESOURCE_NOT_FOUND),
    ("GET", "/contacts/carl", None, USER_NOT_FOUND),
    ("GET", "/admins/1", None, (404, "admin_not_found", "Admin not found")),
    *(
        (*SEARCH, asking("contact_ids", "anna", per_page=size), (400, "invalid_per_page"))
        for size in (0, 151, "many")
    ),
    (*SEARCH, asking("contact_ids", "anna", starting_after="x"), (400, "parameter_invalid")),
    *(
        ("POST", f"/{what}/search", body, (400, "parameter_invalid"))
        for what in ("conversations", "contacts")
        for body in ({}, asking("name", "1"), asking("contact_ids", ["1"] * 16, "IN"))
    ),
    ("PATCH", "/conversations/1", None, RESOURCE_NOT_FOUND),
]


@pytest.mark.parametrize(("method", "path", "body", "error"), REFUSED)
async def test_what_is_refused_changes_nothing(
    method: str, path: str, body: object, error: tuple[Any, ...], ask: Ask, town: IntercomSimulator
) -> None:
    assert (await ask(method, path, body)).error[: len(error)] == error
    assert town.workspace.participants("1") == ["anna", "bert"]
    assert town.workspace.participants("2") == ["anna"]


async def test_a_detach_removes_the_contact_and_answers_who_is_left(
    ask: Ask, town: IntercomSimulator
) -> None:
    answer = await ask(*DETACH, {"admin_id": int(town.admin_id)})  # a number is as good
    assert answer.json == {"customers": [{"type": "user", "id": "bert"}]}
    assert town.workspace.participants("1") == ["bert"]
    assert town.applied == {("1", "anna"): 1}
    assert (await ask(*DETACH, ADMIN)).error == USER_NOT_FOUND


@pytest.mark.intercom_simulator(reply_form=ReplyForm.CONVERSATION)
async def test_it_answers_the_whole_conversation_in_the_documented_form(
    ask: Ask, town: IntercomSimulator
) -> None:
    document = (await ask(*DETACH, ADMIN)).json
    assert [one["id"] for one in document["contacts"]["contacts"]] == ["bert"]
    assert document == (await ask("GET", "/conversations/1")).json


async def test_an_attach_adds_a_contact_once(ask: Ask, town: IntercomSimulator) -> None:
    town.workspace.add_contact(contact_id="carl", role="lead")
    for _ in range(2):
        answer = await ask(*ATTACH, ADMIN | {"customer": {"intercom_user_id": "carl"}})
        assert answer.json["customers"][-1] == {"type": "lead", "id": "carl"}
    assert town.workspace.participants("1") == ["anna", "bert", "carl"]


async def test_an_encoded_id_is_one_segment_whatever_it_holds(
    ask: Ask, town: IntercomSimulator
) -> None:
    odd = town.workspace.add_contact(contact_id="../a b?c#d%2F+é")
    conversation = town.workspace.add_conversation(["anna", odd], conversation_id="1/2?x")
    answer = await ask.detach("1%2F2%3Fx", "..%2Fa%20b%3Fc%23d%252F+%C3%A9")
    assert answer.status == 200
    assert not town.workspace.attached(conversation, odd)


@pytest.mark.parametrize(
    "pair", [("1?x=1", "anna"), ("1", ".."), ("1", "%2e%2E"), ("1", "../customers/..")]
)
async def test_an_id_that_nobody_encoded_deletes_the_whole_conversation(
    pair: tuple[str, str], ask: Ask, town: IntercomSimulator
) -> None:
    answer = await ask.detach(*pair)
    assert answer.json == {"id": "1", "object": "conversation", "deleted": True}
    assert town.workspace.deleted == ["1"]
    assert [one.id for one in town.workspace.conversations_of(["anna"])] == ["2"]
    assert not town.applied


async def test_a_retrieved_conversation_shows_its_newest_parts(
    ask: Ask, town: IntercomSimulator
) -> None:
    document = (await ask("GET", "/conversations/1")).json
    listed = document["conversation_parts"]
    assert (listed["total_count"], len(listed["conversation_parts"])) == (502, 500)
    assert listed["conversation_parts"][-1]["body"] == "<p>Part 502</p>"
    assert document["statistics"]["count_conversation_parts"] == 503


@pytest.mark.intercom_simulator(region="EU", app_id="acme")
async def test_a_token_belongs_to_an_admin_and_a_workspace(ask: Ask) -> None:
    document = (await ask("GET", "/me")).json
    assert document["id"] == ask.sim.admin_id
    assert (document["app"]["id_code"], document["app"]["region"]) == ("acme", "EU")


async def test_all_pages_together_are_all_conversations_of_a_contact(
    ask: Ask, town: IntercomSimulator
) -> None:
    mine = ["1", "2", *(town.workspace.add_conversation(["anna"]) for _ in range(43))]
    town.workspace.populate(conversations=3)
    found: list[list[str]] = []
    pages: dict[str, Any] = {"next": {}}
    while "next" in pages:
        search = asking("contact_ids", "anna", **pages["next"])
        page = (await ask(*SEARCH, search)).json
        pages = page["pages"]
        found.append([one["id"] for one in page["conversations"]])
        assert (page["total_count"], pages["page"], pages["total_pages"]) == (45, len(found), 3)
    assert found == [mine[:20], mine[20:40], mine[40:]]


@pytest.mark.parametrize(
    ("method", "path", "decode"),
    [
        (*DETACH, decode_conversation),
        ("GET", "/conversations/1", decode_conversation),
        ("GET", "/me", decode_identity),
    ],
)
async def test_a_reply_holds_nothing_that_the_model_does_not_know(
    method: str, path: str, decode: Any, ask: Ask, town: IntercomSimulator
) -> None:
    answer = await ask(method, path, ADMIN if method == "DELETE" else None)
    assert answer.status == 200
    assert not any(one.extra for one in objects_in(decode(answer.body)))


class TestWorkspace:
    def test_ids_repeat_with_the_seed_and_those_given_by_hand_are_not_given_again(self) -> None:
        one, same, other = (Workspace(seed=seed).add_contact() for seed in (7, 7, 8))
        assert one == same != other
        assert len(bytes.fromhex(one)) == 12
        workspace = Workspace()
        contact = workspace.add_contact(contact_id="a/b?c")
        assert workspace.add_conversation([contact], conversation_id="1295") == "1295"
        assert workspace.add_admin(admin_id="5017690") == "5017690" != workspace.add_admin()
        assert "1295" not in {pair[0] for pair in workspace.populate(conversations=2)}
        with pytest.raises(InvalidArgumentError, match="not used yet"):
            workspace.add_conversation([contact], conversation_id="1295")
        with pytest.raises(InvalidArgumentError, match="contact_ids"):
            workspace.add_conversation([])

    @pytest.mark.parametrize("kept", [0, 1])
    def test_populated_pairs_can_be_detached_in_any_order_up_to_the_last_contact(
        self, kept: int
    ) -> None:
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
