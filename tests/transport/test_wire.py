"""Requests built and replies understood, without any network."""

import json
import pickle
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from intercom_async import (
    AdminNotFoundError,
    APIError,
    AuthenticationError,
    ContactNotFoundError,
    ConversationNotFoundError,
    GatewayError,
    InvalidArgumentError,
    InvalidRequestError,
    LastContactError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ServerError,
)
from intercom_async.ids import check_id
from intercom_async.observing import RateLimitStatus
from intercom_async.pacing.window import RateLimitHeaders
from intercom_async.secret import Secret
from intercom_async.transport import wire
from intercom_async.transport.wire import Reply, Request

ADMIN = {"admin_id": "7"}
CUSTOMER = {"customer": {"intercom_user_id": "c"}}


class TestRequests:
    @given(st.text(min_size=1, max_size=80))
    def test_an_id_is_refused_or_becomes_exactly_one_segment(self, text: str) -> None:
        try:
            request = wire.detach(text, text, "1")
        except InvalidArgumentError:
            return
        parts = urlsplit("https://host" + request.path)
        assert not parts.query
        assert not parts.fragment
        start, conversations, first, customers, second = parts.path.split("/")
        assert (start, conversations, customers) == ("", "conversations", "customers")
        assert unquote(first) == unquote(second) == check_id("conversation_id", text)

    @pytest.mark.parametrize(
        ("request_", "line", "body"),
        [
            (wire.detach("1", "c", "7"), "DELETE /conversations/1/customers/c", ADMIN),
            (wire.attach("1", "c", "7"), "POST /conversations/1/customers", ADMIN | CUSTOMER),
            (wire.get_conversation("1"), "GET /conversations/1", None),
            (wire.get_contact("c"), "GET /contacts/c", None),
            (wire.get_admin("7"), "GET /admins/7", None),
            (wire.me(), "GET /me", None),
            (
                wire.search_conversations("c", per_page=150, starting_after=None),
                "POST /conversations/search",
                {
                    "query": {"field": "contact_ids", "operator": "=", "value": "c"},
                    "pagination": {"per_page": 150},
                },
            ),
            (
                wire.search_contacts("email", "a@b.c", "d@e.f", per_page=2, starting_after="x"),
                "POST /contacts/search",
                {
                    "query": {"field": "email", "operator": "IN", "value": ["a@b.c", "d@e.f"]},
                    "pagination": {"per_page": 2, "starting_after": "x"},
                },
            ),
        ],
    )
    def test_a_request_is_what_intercom_documents(
        self, request_: Request, line: str, body: Any
    ) -> None:
        assert f"{request_.method} {request_.path}" == line
        assert (None if request_.body is None else json.loads(request_.body)) == body
        # An admin answers for whatever is written.
        assert request_.writes is ("admin_id" in (body or {}))

    @pytest.mark.parametrize("value", ["", "..", 7.5, None])
    def test_what_cannot_be_sent_is_refused_by_name(self, value: Any) -> None:
        page: dict[str, Any] = {"per_page": 1, "starting_after": None}
        with pytest.raises(InvalidArgumentError, match="conversation_id must"):
            wire.attach(value, "c", "7")
        with pytest.raises(InvalidArgumentError, match="contact_id must"):
            wire.attach("1", value, "7")
        with pytest.raises(InvalidArgumentError, match="admin_id must"):
            wire.attach("1", "c", value)
        with pytest.raises(InvalidArgumentError, match="contact_id must"):
            wire.search_conversations(value, **page)
        for text in (" \t", 5):
            with pytest.raises(InvalidArgumentError, match="email must be a non-empty text"):
                wire.search_contacts("email", text, **page)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("region", "host"),
        [("us", "api.intercom.io"), ("eu", "api.eu.intercom.io"), ("au", "api.au.intercom.io")],
    )
    def test_each_region_has_its_host(self, region: str, host: str) -> None:
        assert wire.check_base_url(region, None) == f"https://{host}"

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "https://a.b"])
    def test_https_anywhere_and_http_on_loopback_are_allowed(self, url: str) -> None:
        assert wire.check_base_url("us", url) == url
        assert wire.check_base_url("us", "http://[::1]:1/x/") == "http://[::1]:1/x"

    @pytest.mark.parametrize("region", ["US", "", "de", None, 1, []])
    def test_an_unknown_region_is_refused_with_the_known_ones(self, region: object) -> None:
        with pytest.raises(InvalidArgumentError, match='"us", "eu", "au"'):
            wire.check_base_url(region, None)

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.intercom.io",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://localhost",
            "api.intercom.io",
            "https://",
            "https://user:secret@host",
            "https://host?token=secret",
            "https://host#f",
            "https://ho st",
            "https://host:port",
            "https://host\n",
            "",
            7,
        ],
    )
    def test_other_addresses_are_refused_without_showing_a_secret(self, url: object) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            wire.check_base_url("us", url)
        assert caught.value.name == "base_url"
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("token", [None, "", "a b", "abc\n", "tök", 7, b"abc"])
    def test_a_malformed_token_is_refused_and_never_shown(self, token: object) -> None:
        wire.check_token(Secret("".join(map(chr, range(0x21, 0x7F)))))
        with pytest.raises(InvalidArgumentError) as caught:
            wire.check_token(Secret(token))
        assert caught.value.value is None
        if isinstance(token, str) and token:
            assert token not in str(caught.value)
        else:
            assert "token must be a non-empty text" in str(caught.value)


def error(status: int, body: object = b"", **facts: Any) -> APIError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.error_for(Reply(status, content, **facts))


def error_list(*errors: tuple[str, str]) -> dict[str, object]:
    listed = [{"code": code, "message": message} for code, message in errors]
    return {"type": "error.list", "request_id": "in-body", "errors": listed}


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "code", "message", "kind"),
        [
            (401, "unauthorized", "Access Token Invalid", AuthenticationError),
            (403, "api_plan_restricted", "Active subscription needed.", PermissionDeniedError),
            (404, "not_found", "Resource Not Found", ConversationNotFoundError),
            (404, "not_found", "User Not Found", ContactNotFoundError),
            (404, "not_found", "Something Else", NotFoundError),
            (404, "not_found", " RESOURCE not found ", ConversationNotFoundError),
            (404, "not_found", "\nuser NOT found (deleted)", ContactNotFoundError),
            (404, "not_found", "the user not found", NotFoundError),
            (404, "admin_not_found", "Admin for admin_id not found", AdminNotFoundError),
            (404, "not_found", "Admin Not Found", AdminNotFoundError),
            (422, "x", "Removing the last customer is not allowed", LastContactError),
            (422, "x", "  Sorry: Removing the LAST contact is not allowed", LastContactError),
            (422, "x", "Removing the last participant", LastContactError),
            (422, "parameter_invalid", "other", InvalidRequestError),
            (400, "x", "Removing the last contact is not allowed", InvalidRequestError),
            (429, "rate_limit_exceeded", "Exceeded rate limit", RateLimitedError),
            (400, "bad_request", "x", InvalidRequestError),
            (409, "conflict", "x", InvalidRequestError),
            (408, "request_timeout", "x", ServerError),
            (500, "server_error", "x", ServerError),
            (303, "x", "x", RedirectError),
        ],
    )
    def test_each_documented_error_has_its_class_and_facts(
        self, status: int, code: str, message: str, kind: type[APIError]
    ) -> None:
        found = error(status, error_list((code, message), ("b", "another")), attempts=3)
        assert type(found) is kind
        assert (found.status, found.code, found.message) == (status, code, message)
        assert [each["code"] for each in found.errors] == [code, "b"]
        assert (found.request_id, found.attempts) == ("in-body", 3)
        assert "in-body" in str(found)

    @pytest.mark.parametrize(
        ("kind", "statuses"),
        [
            (GatewayError, [400, 401, 403, 404, 407]),
            (RedirectError, [301, 399]),
            (RateLimitedError, [429]),
            (ServerError, [202, 408, 425, 499, 500, 599]),
        ],
    )
    def test_an_error_without_a_word_of_intercom_s_is_a_gateway_s_or_leaves_it_open(
        self, kind: type[APIError], statuses: list[int]
    ) -> None:
        assert {type(error(status)) for status in statuses} == {kind}

    def test_an_entry_nested_too_deeply_to_be_pickled_is_left_out(self) -> None:
        deep = '{"errors":[{"code":"a","x":' + "[" * 900 + "]" * 900 + '},{"code":"b","x":[[1]]}]}'
        found = error(500, deep.encode())
        assert found.errors == ({"code": "b", "x": [[1]]},)
        assert found.code == "b"
        assert str(pickle.loads(pickle.dumps(found))) == str(found)

    def test_what_was_known_beside_the_body_is_in_the_error(self) -> None:
        quota = RateLimitStatus(limit=100, remaining=0, resets_in=2.0)
        said = RateLimitHeaders(retry_after=7.0)
        known: dict[str, Any] = {"headers": said, "rate_limit": quota, "request_id": "in-header"}
        found = error(429, error_list(("c", "m")), **known)
        assert (found.retry_after, found.request_id) == (7.0, "in-header")
        assert found.rate_limit is quota

    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (401, "check the access token and the region"),
            (403, "check the workspace's plan and the token's permissions"),
            (302, "redirects are never followed; check base_url"),
        ],
    )
    def test_an_error_that_the_caller_can_mend_says_how(self, status: int, advice: str) -> None:
        body = error_list(("code", "message"))
        assert advice in str(error(status, body))
        told = str(error(status, body, advice="ask Ann"))
        assert "ask Ann" in told
        assert advice not in told

    @pytest.mark.parametrize(
        ("body", "code", "message"),
        [
            ({"errors": {"email": "is taken"}}, "email", "is taken"),
            ({"errors": {"email": ["is taken", "is odd"]}}, "email", "is taken"),
            ({"errors": ["a text", "another"]}, None, "a text"),
            ({"error_key": "plan_restricted", "message": "Upgrade"}, "plan_restricted", "Upgrade"),
            ({"type": "error", "code": "c", "message": "m"}, "c", "m"),
            ({"type": "error", "message": "m"}, None, "m"),
        ],
    )
    def test_errors_in_other_forms_have_a_code_and_a_message(
        self, body: object, code: str | None, message: str
    ) -> None:
        found = error(409, body)
        assert (found.code, found.message) == (code, message)
        assert message in str(found)

    def test_a_gateway_is_named(self) -> None:
        named = "answered by a gateway, server: awselb/2.0"
        assert named in str(error(403, b"<html>", server="awselb/2.0"))
        assert "gateway" not in str(error(403, error_list(("x", "No")), server="nginx"))

    def test_the_body_of_a_success_is_not_searched_for_a_request_id(self) -> None:
        assert wire.request_id_of(Reply(200, b'{"request_id": "an attribute"}')) is None
        assert wire.request_id_of(Reply(200, b"", request_id="header")) == "header"


NOW = 1_700_000_000.0
DATE = formatdate(NOW, usegmt=True)


def read(wall: float = 0.0, /, **values: str) -> RateLimitHeaders | None:
    """Return what headers say; for "limit", "remaining" and "reset" say so."""
    quota = {"limit", "remaining", "reset"}
    headers = CIMultiDict[str]()
    for name, value in values.items():
        headers[f"X-RateLimit-{name}" if name in quota else name.replace("_", "-")] = value
    return wire.quota_headers(headers, wall=wall)


class TestQuotaHeaders:
    def test_the_three_headers_and_the_date_are_read(self) -> None:
        assert read(limit="167", remaining="3", reset="1700000010", date=DATE) == RateLimitHeaders(
            limit=167, remaining=3, reset=1_700_000_010, date=NOW
        )

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("3", 3.0),
            ("0.5", 0.5),
            ("-4", 0.0),
            (formatdate(NOW + 7, usegmt=True), 7.0),
            (formatdate(NOW - 7, usegmt=True), 0.0),
        ],
    )
    def test_retry_after_may_be_seconds_fractions_or_a_date(
        self, text: str, seconds: float
    ) -> None:
        by_its_clock = RateLimitHeaders(date=NOW, retry_after=seconds)
        assert read(retry_after=text, date=DATE) == by_its_clock
        assert read(NOW, retry_after=text) == RateLimitHeaders(retry_after=seconds)

    @pytest.mark.parametrize(
        "time_",
        ["22:13:20 GMT", "22:13:20 +0000", "22:13:20 -0000", "22:13:20", "23:13:20 +0100"],
    )
    def test_a_date_is_never_read_in_this_machine_s_zone(
        self, time_: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "EST5")
            time.tzset()
            found = read(date=f"Tue, 14 Nov 2023 {time_}", retry_after="1")
        time.tzset()
        assert found == RateLimitHeaders(date=NOW, retry_after=1.0)

    @pytest.mark.parametrize(
        ("name", "texts"),
        [
            ("limit", {"1": 1, "0": None, "-5": None, "1e300": None}),
            ("remaining", {"0": 0, "-3": -3, "-1e300": None, "1e300": None}),
            ("reset", {"0": 0.0, "-1": None, "1.5": 1.5, "1700000010000": None}),  # milliseconds
        ],
    )
    def test_a_number_that_cannot_mean_what_it_should_counts_as_not_said(
        self, name: str, texts: dict[str, float | None]
    ) -> None:
        found = {text: read(0.0, retry_after="1", **{name: text}) for text in texts}
        assert {text: getattr(said, name) for text, said in found.items()} == texts

    @pytest.mark.parametrize(
        "text",
        ["nan", "inf", "-inf", "1e999", "", "soon", "0x10", "1_0", "\N{ARABIC-INDIC DIGIT FIVE}"],
    )
    def test_nonsense_counts_as_not_said(self, text: str) -> None:
        assert read(limit=text, reset=text, retry_after=text) is None
