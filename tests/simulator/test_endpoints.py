"""What each call of the API does, asked over a real connection."""

from typing import Any

import pytest

from intercom_async.simulator import IntercomSimulator, ReplyForm
from tests.simulator.asking import Ask

RESOURCE_NOT_FOUND = (404, "not_found", "Resource Not Found")
USER_NOT_FOUND = (404, "not_found", "User Not Found")


class TestDetach:
    async def test_it_removes_the_contact_and_answers_who_is_left(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        stays = sim.workspace.add_contact(role="lead")
        leaves = sim.workspace.add_contact()
        conversation = sim.workspace.add_conversation([stays, leaves])
        answer = await ask.detach(conversation, leaves)
        assert (answer.status, answer.json) == (200, {"customers": [{"type": "lead", "id": stays}]})
        assert sim.workspace.participants(conversation) == [stays]
        assert sim.applied == {(conversation, leaves): 1}

    @pytest.mark.intercom_simulator(reply_form=ReplyForm.CONVERSATION)
    async def test_it_answers_the_whole_conversation_in_the_documented_form(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        document = (await ask.detach(*pair)).json
        assert (document["type"], document["id"]) == ("conversation", pair[0])
        (left,) = document["contacts"]["contacts"]
        assert left["id"] == sim.workspace.participants(pair[0])[0]
        assert document == (await ask("GET", f"/conversations/{pair[0]}")).json

    async def test_it_refuses_the_last_contact(self, ask: Ask, sim: IntercomSimulator) -> None:
        only = sim.workspace.add_contact()
        conversation = sim.workspace.add_conversation([only])
        answer = await ask.detach(conversation, only)
        assert answer.error == (
            422,
            "parameter_invalid",
            "Removing the last customer is not allowed",
        )
        assert sim.workspace.attached(conversation, only)

    async def test_it_names_what_is_missing_only_in_the_message(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        assert (await ask.detach("999", pair[1])).error == RESOURCE_NOT_FOUND
        assert (await ask.detach(pair[0], "f" * 24)).error == USER_NOT_FOUND
        await ask.detach(*pair)
        assert (await ask.detach(*pair)).error == USER_NOT_FOUND

    async def test_it_takes_any_admin_s_id_as_text_or_a_number(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        for admin in (int(sim.admin_id), sim.workspace.add_admin()):
            (pair,) = sim.workspace.populate(conversations=1)
            path = f"/conversations/{pair[0]}/customers/{pair[1]}"
            assert (await ask("DELETE", path, {"admin_id": admin})).status == 200

    @pytest.mark.parametrize(
        ("body", "content_type", "error"),
        [
            (None, "application/json", (400, "parameter_not_found")),
            (b"{}", "application/json", (400, "parameter_not_found")),
            (b'{"admin_id":null}', "application/json", (400, "parameter_not_found")),
            (b'{"admin_id":""}', "application/json", (400, "parameter_not_found")),
            (b'{"admin_id":"1"}', "application/json", (404, "admin_not_found")),
            (b"{", "application/json", (400, "parameter_invalid")),
            (b"[]", "application/json", (400, "parameter_invalid")),
            (b"\xff", "application/json", (400, "parameter_invalid")),
            (b'{"admin_id":"5017690"}', "text/plain", (400, "bad_request")),
        ],
    )
    async def test_it_needs_a_json_object_with_a_known_admin(
        self,
        body: bytes,
        content_type: str,
        error: tuple[int, str],
        ask: Ask,
        sim: IntercomSimulator,
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        path = f"/conversations/{pair[0]}/customers/{pair[1]}"
        answer = await ask("DELETE", path, body, headers={"Content-Type": content_type})
        assert answer.error[:2] == error
        assert sim.workspace.attached(*pair)


class TestPaths:
    async def test_an_encoded_id_is_one_segment_whatever_it_holds(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        odd = sim.workspace.add_contact(contact_id="../a b?c#d%2F+é")
        conversation = sim.workspace.add_conversation(
            [odd, sim.workspace.add_contact()], conversation_id="1/2?x"
        )
        answer = await ask.detach("1%2F2%3Fx", "..%2Fa%20b%3Fc%23d%252F+%C3%A9")
        assert answer.status == 200
        assert not sim.workspace.attached(conversation, odd)

    async def test_an_id_that_nobody_encoded_deletes_the_whole_conversation(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        answer = await ask.detach(f"{pair[0]}?x=1", pair[1])
        assert answer.json == {"id": pair[0], "object": "conversation", "deleted": True}
        assert sim.workspace.deleted == [pair[0]]
        assert not sim.applied

    @pytest.mark.parametrize("dots", ["..", "%2e%2E", "../customers/.."])
    async def test_dots_climb_as_they_do_in_front_of_real_servers(
        self, dots: str, ask: Ask, sim: IntercomSimulator
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        assert (await ask.detach(pair[0], dots)).json["deleted"] is True

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/nothing"),
            ("PATCH", "/conversations/1"),
            ("PUT", "/contacts/1"),
            ("DELETE", "/admins/1"),
            ("GET", "/me/too"),
        ],
    )
    async def test_a_wrong_path_or_method_is_not_found(
        self, method: str, path: str, ask: Ask
    ) -> None:
        assert (await ask(method, path)).error == RESOURCE_NOT_FOUND

    async def test_a_head_request_is_answered_without_a_body(self, ask: Ask) -> None:
        answer = await ask("HEAD", "/me")
        assert (answer.status, answer.body) == (404, b"")
        assert (await ask("GET", "/me")).status == 200


class TestAttach:
    async def attach(self, ask: Ask, conversation: str, customer: object) -> Any:
        body = {"admin_id": ask.sim.admin_id, "customer": customer}
        return await ask("POST", f"/conversations/{conversation}/customers", body)

    async def test_it_adds_a_contact_once(self, ask: Ask, sim: IntercomSimulator) -> None:
        contact = sim.workspace.add_contact()
        ((conversation, kept), _) = sim.workspace.populate(conversations=1, kept=0)
        for _ in range(2):
            answer = await self.attach(ask, conversation, {"intercom_user_id": contact})
            assert answer.json["customers"][-1] == {"type": "user", "id": contact}
        assert sim.workspace.participants(conversation).count(contact) == 1
        assert sim.workspace.attached(conversation, kept)

    @pytest.mark.parametrize("customer", [None, {}, {"id": "1"}, "1"])
    async def test_it_needs_a_customer_that_it_knows(
        self, customer: object, ask: Ask, sim: IntercomSimulator
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        answer = await self.attach(ask, pair[0], customer)
        assert answer.error[:2] == (400, "parameter_not_found")
        for conversation, contact in ((pair[0], "0"), ("0", pair[1])):
            answer = await self.attach(ask, conversation, {"intercom_user_id": contact})
            assert answer.error == RESOURCE_NOT_FOUND


class TestRetrieve:
    @pytest.mark.parametrize(("parts", "shown"), [(0, 0), (3, 3), (502, 500)])
    async def test_it_shows_the_newest_parts(
        self, parts: int, shown: int, ask: Ask, sim: IntercomSimulator
    ) -> None:
        contact = sim.workspace.add_contact(external_id="70")
        conversation = sim.workspace.add_conversation([contact], parts=parts)
        document = (await ask("GET", f"/conversations/{conversation}")).json
        listed = document["conversation_parts"]
        assert listed["total_count"] == parts
        assert len(listed["conversation_parts"]) == shown
        assert document["statistics"]["count_conversation_parts"] == parts + 1
        assert document["contacts"]["contacts"] == [
            {"type": "contact", "id": contact, "external_id": "70"}
        ]
        if parts:
            assert listed["conversation_parts"][-1]["body"] == f"<p>Part {parts}</p>"

    async def test_a_missing_conversation_is_a_resource_not_found(self, ask: Ask) -> None:
        assert (await ask("GET", "/conversations/0")).error == RESOURCE_NOT_FOUND


class TestPages:
    async def search(self, ask: Ask, contact: str, **pagination: object) -> Any:
        query = {"field": "contact_ids", "operator": "=", "value": contact}
        return await ask(
            "POST", "/conversations/search", {"query": query, "pagination": pagination}
        )

    async def test_all_pages_together_are_all_conversations_of_a_contact(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        contact = sim.workspace.add_contact()
        mine = [sim.workspace.add_conversation([contact]) for _ in range(45)]
        sim.workspace.populate(conversations=3)
        found: list[str] = []
        sizes: list[int] = []
        after: dict[str, str] = {}
        while True:
            page = (await self.search(ask, contact, **after)).json
            assert (page["type"], page["total_count"]) == ("conversation.list", 45)
            assert page["pages"]["total_pages"] == 3
            sizes.append(len(page["conversations"]))
            found += [one["id"] for one in page["conversations"]]
            assert "conversation_parts" not in page["conversations"][0]
            if "next" not in page["pages"]:
                break
            assert page["pages"]["next"]["page"] == len(sizes) + 1
            after = {"starting_after": page["pages"]["next"]["starting_after"]}
        assert (found, sizes) == (mine, [20, 20, 5])

    async def test_a_page_holds_150_at_most_and_more_is_refused_rather_than_cut(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        contact = sim.workspace.add_contact()
        for _ in range(150):
            sim.workspace.add_conversation([contact])
        page = (await self.search(ask, contact, per_page=150)).json
        assert len(page["conversations"]) == 150
        assert "next" not in page["pages"]
        for size in (0, -1, 151, "many"):
            answer = await self.search(ask, contact, per_page=size)
            assert answer.error[:2] == (400, "invalid_per_page")

    @pytest.mark.parametrize("cursor", ["???", "LTE=", "eA=="])
    async def test_a_made_up_cursor_is_refused(self, cursor: str, ask: Ask) -> None:
        answer = await self.search(ask, "0", starting_after=cursor)
        assert answer.error[:2] == (400, "parameter_invalid")

    @pytest.mark.parametrize("path", ["/conversations/search", "/contacts/search"])
    async def test_a_query_it_cannot_run_is_refused(self, path: str, ask: Ask) -> None:
        too_many = {"field": "contact_ids", "operator": "IN", "value": ["1"] * 16}
        for query in (None, {"field": "name", "operator": "=", "value": "1"}, too_many):
            answer = await ask("POST", path, {"query": query})
            assert answer.error[:2] == (400, "parameter_invalid")


class TestContacts:
    @pytest.mark.parametrize(
        ("field", "value"), [("email", "a@example.com"), ("external_id", "70")]
    )
    async def test_a_contact_is_found_by_address_or_external_id(
        self, field: str, value: str, ask: Ask, sim: IntercomSimulator
    ) -> None:
        contact = sim.workspace.add_contact(email="a@example.com", external_id="70")
        query = {"field": field, "operator": "=", "value": value}
        page = (await ask("POST", "/contacts/search", {"query": query})).json
        assert (page["type"], page["total_count"], page["pages"]["per_page"]) == ("list", 1, 50)
        assert page["data"] == [(await ask("GET", f"/contacts/{contact}")).json]

    async def test_a_missing_contact_is_a_user_not_found(self, ask: Ask) -> None:
        assert (await ask("GET", "/contacts/0")).error == USER_NOT_FOUND


class TestAdmins:
    async def test_an_admin_is_found_by_its_id(self, ask: Ask, sim: IntercomSimulator) -> None:
        other = sim.workspace.add_admin(name="Ada")
        assert (await ask("GET", f"/admins/{other}")).json["name"] == "Ada"
        assert (await ask("GET", "/admins/1")).error == (404, "admin_not_found", "Admin not found")

    @pytest.mark.intercom_simulator(region="EU")
    async def test_a_token_belongs_to_an_admin_and_a_workspace(
        self, ask: Ask, sim: IntercomSimulator
    ) -> None:
        document = (await ask("GET", "/me")).json
        assert document["id"] == sim.admin_id
        assert document["app"]["id_code"] == "simulator"
        assert document["app"]["region"] == "EU"
