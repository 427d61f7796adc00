"""Every request, byte for byte as Intercom documents it."""

import json
from typing import Any

import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.transport import wire
from intercom_async.transport.wire import Request


def body_of(request: Request) -> Any:
    return None if request.body is None else json.loads(request.body)


SEARCH = {"field": "contact_ids", "operator": "=", "value": "c"}
BY_EMAIL = {"field": "email", "operator": "=", "value": "a@b.c"}


@pytest.mark.parametrize(
    ("request_", "method", "path", "body", "writes"),
    [
        (
            wire.detach("1", "c", "7"),
            "DELETE",
            "/conversations/1/customers/c",
            {"admin_id": "7"},
            True,
        ),
        (
            wire.attach("1", "c", "7"),
            "POST",
            "/conversations/1/customers",
            {"admin_id": "7", "customer": {"intercom_user_id": "c"}},
            True,
        ),
        (wire.get_conversation("1"), "GET", "/conversations/1", None, False),
        (wire.get_admin("7"), "GET", "/admins/7", None, False),
        (wire.me(), "GET", "/me", None, False),
        (
            wire.search_conversations("c", per_page=150, starting_after=None),
            "POST",
            "/conversations/search",
            {"query": SEARCH, "pagination": {"per_page": 150}},
            False,
        ),
        (
            wire.search_contacts("email", "a@b.c", per_page=2, starting_after="x"),
            "POST",
            "/contacts/search",
            {"query": BY_EMAIL, "pagination": {"per_page": 2, "starting_after": "x"}},
            False,
        ),
    ],
)
def test_a_request_is_what_intercom_documents(
    request_: Request, method: str, path: str, body: Any, writes: bool
) -> None:
    assert (request_.method, request_.path, request_.writes) == (method, path, writes)
    assert body_of(request_) == body


@pytest.mark.parametrize("place", ["conversation_id", "contact_id", "admin_id"])
def test_an_attach_refuses_unusable_ids_by_name(place: str) -> None:
    ids: dict[str, object] = {"conversation_id": "1", "contact_id": "c", "admin_id": "7"}
    with pytest.raises(InvalidArgumentError) as caught:
        wire.attach(**(ids | {place: ""}))
    assert caught.value.name == place


def test_other_requests_refuse_unusable_ids_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match="contact_id must"):
        wire.search_conversations("", per_page=1, starting_after=None)
    with pytest.raises(InvalidArgumentError, match="conversation_id must"):
        wire.get_conversation("..")
    with pytest.raises(InvalidArgumentError, match="admin_id must"):
        wire.get_admin(7.5)


@pytest.mark.parametrize("value", [None, 5, "", "  \t"])
def test_a_text_to_search_for_must_be_one(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match="email must be a non-empty text"):
        wire.search_contacts("email", value, per_page=1, starting_after=None)
