"""Requests built and replies understood, without any network."""

import json
import pickle
import time
from email.utils import formatdate
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
from intercom_async.transport.wire import Reply


class TestIds:
    @given(st.text(min_size=1, max_size=80))
    def test_an_id_is_refused_or_becomes_exactly_one_segment(self, text: str) -> None:
        try:
            request = wire.detach(text, text, "1")
        except InvalidArgumentError:
            return
        parts = urlsplit("https://host" + request.path)
        assert not parts.query
        assert not parts.fragment
        segments = parts.path.split("/")
        assert segments[:2] == ["", "conversations"]
        assert segments[3] == "customers"
        assert len(segments) == 5
        assert unquote(segments[2]) == unquote(segments[4]) == check_id("conversation_id", text)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("region", "url"),
        [
            ("us", "https://api.intercom.io"),
            ("eu", "https://api.eu.intercom.io"),
            ("au", "https://api.au.intercom.io"),
        ],
    )
    def test_each_region_has_its_address(self, region: str, url: str) -> None:
        assert wire.check_base_url(region, None) == url

    @pytest.mark.parametrize("region", ["US", "", "de", None, 1, []])
    def test_an_unknown_region_is_refused_with_the_known_ones(self, region: object) -> None:
        with pytest.raises(InvalidArgumentError, match='"us", "eu", "au"'):
            wire.check_base_url(region, None)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:1/x/", "https://a.b"]
    )
    def test_https_anywhere_and_http_on_loopback_are_allowed(self, url: str) -> None:
        assert wire.check_base_url("us", url) == url.rstrip("/")

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

    @pytest.mark.parametrize("token", ["dG9rOjEyMw==", "".join(map(chr, range(0x21, 0x7F)))])
    def test_a_token_of_printable_ascii_is_taken(self, token: str) -> None:
        wire.check_token(Secret(token))

    @pytest.mark.parametrize("token", [None, "", "a b", "abc\n", "tök", 7, b"abc"])
    def test_a_malformed_token_is_refused_and_never_shown(self, token: object) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            wire.check_token(Secret(token))
        assert caught.value.value is None
        if isinstance(token, str) and token:
            assert token not in str(caught.value)
        else:
            assert "token must be a non-empty text" in str(caught.value)


def reply(status: int, body: object = None, **kwargs: object) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, body=content, **kwargs)  # type: ignore[arg-type]  # facts by name


def error_list(code: str, message: str) -> dict[str, object]:
    return {
        "type": "error.list",
        "request_id": "in-body",
        "errors": [{"code": code, "message": message}],
    }


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
            (
                422,
                "parameter_invalid",
                "Removing the last customer is not allowed",
                LastContactError,
            ),
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
        error = wire.error_for(reply(status, error_list(code, message), attempts=3))
        assert type(error) is kind
        assert (error.status, error.code, error.message) == (status, code, message)
        assert error.errors == ({"code": code, "message": message},)
        assert error.request_id == "in-body"
        assert error.attempts == 3
        assert "in-body" in str(error)

    def test_an_entry_nested_too_deeply_to_be_pickled_is_left_out(self) -> None:
        deep = '{"errors":[{"code":"a","x":' + "[" * 900 + "]" * 900 + '},{"code":"b","x":[[1]]}]}'
        error = wire.error_for(reply(500, deep.encode()))
        assert error.errors == ({"code": "b", "x": [[1]]},)
        assert error.code == "b"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (301, RedirectError),
            (399, RedirectError),
            (400, GatewayError),
            (401, GatewayError),
            (403, GatewayError),
            (404, GatewayError),
            (407, GatewayError),
            (408, ServerError),
            (425, ServerError),
            (429, RateLimitedError),
            (499, ServerError),
            (500, ServerError),
            (599, ServerError),
            (202, ServerError),
        ],
    )
    def test_an_error_without_a_word_of_intercom_s_is_a_gateway_s_or_leaves_it_open(
        self, status: int, kind: type[APIError]
    ) -> None:
        assert type(wire.error_for(reply(status, b""))) is kind

    def test_the_first_error_speaks_and_all_are_kept(self) -> None:
        listed = [{"code": "first", "message": "a"}, {"code": "second", "message": "b"}]
        error = wire.error_for(reply(400, {"errors": listed}))
        assert (error.code, error.message) == ("first", "a")
        assert error.errors == tuple(listed)

    def test_what_was_known_of_the_quota_is_in_the_error(self) -> None:
        quota = RateLimitStatus(limit=100, remaining=0, resets_in=2.0, share=1.0, in_flight=3)
        said = RateLimitHeaders(retry_after=7.0)
        error = wire.error_for(reply(429, b"", headers=said, rate_limit=quota))
        assert error.retry_after == 7.0
        assert error.rate_limit is quota
        assert wire.error_for(reply(429, b"")).retry_after is None

    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (401, "check the access token and the region"),
            (403, "check the workspace's plan and the token's permissions"),
            (302, "redirects are never followed; check base_url"),
        ],
    )
    def test_an_error_that_the_caller_can_mend_says_how(self, status: int, advice: str) -> None:
        body = error_list("code", "message")
        assert advice in str(wire.error_for(reply(status, body)))
        told = str(wire.error_for(reply(status, body, advice="ask Ann")))
        assert "ask Ann" in told
        assert advice not in told

    def test_the_header_s_request_id_goes_before_the_body_s(self) -> None:
        error = wire.error_for(reply(500, error_list("c", "m"), request_id="header"))
        assert error.request_id == "header"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>502</html>",
            b"[]",
            b"null",
            b'{"errors": null}',
            b'{"errors": [null, 7]}',
            b'{"errors": [{"code": 7, "message": []}]}',
            b"\xff",
            b"[" * 100_000,
        ],
    )
    @pytest.mark.parametrize("status", [404, 422, 502])
    def test_a_body_of_any_shape_still_makes_an_error(self, body: bytes, status: int) -> None:
        error = wire.error_for(reply(status, body))
        assert error.status == status
        assert error.code is None
        assert error.message is None
        assert error.request_id is None

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
        error = wire.error_for(reply(409, body))
        assert (error.code, error.message) == (code, message)
        assert message in str(error)

    def test_a_gateway_is_named(self) -> None:
        error = wire.error_for(reply(403, b"<html>", server="awselb/2.0"))
        assert type(error) is GatewayError
        assert "answered by a gateway, server: awselb/2.0" in str(error)
        named = wire.error_for(reply(403, error_list("forbidden", "No"), server="nginx"))
        assert "gateway" not in str(named)


class TestReplies:
    def test_the_body_of_a_success_is_not_searched_for_a_request_id(self) -> None:
        assert wire.request_id_of(reply(200, {"request_id": "a contact's attribute"})) is None
        assert wire.request_id_of(reply(200, b"", request_id="header")) == "header"
        assert wire.request_id_of(reply(404, {"request_id": 7})) is None


NOW = 1_700_000_000.0


def headers(**values: str) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in values.items()})


class TestQuotaHeaders:
    def test_the_three_headers_and_the_date_are_read(self) -> None:
        found = wire.quota_headers(
            headers(
                x_ratelimit_limit="167",
                x_ratelimit_remaining="3",
                x_ratelimit_reset="1700000010",
                date=formatdate(NOW, usegmt=True),
            ),
            wall=0.0,
        )
        assert found is not None
        assert (found.limit, found.remaining, found.reset) == (167, 3, 1_700_000_010)
        assert found.date == NOW
        assert found.retry_after is None

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
    @pytest.mark.parametrize(
        ("said", "wall"),
        [({"date": formatdate(NOW, usegmt=True)}, 0.0), ({}, NOW)],
        ids=["the server's clock", "ours for want of it"],
    )
    def test_retry_after_may_be_seconds_fractions_or_a_date(
        self, text: str, seconds: float, said: dict[str, str], wall: float
    ) -> None:
        found = wire.quota_headers(headers(retry_after=text, **said), wall=wall)
        assert found is not None
        assert found.retry_after == seconds

    @pytest.mark.parametrize(
        ("hour", "zone"),
        [
            ("22", "GMT"),
            ("22", "+0000"),
            ("22", "-0000"),
            ("22", ""),
            ("22", "GMT0"),
            ("23", "+0100"),
        ],
    )
    def test_a_date_is_never_read_in_this_machine_s_zone(
        self, hour: str, zone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = f"Tue, 14 Nov 2023 {hour}:13:20 {zone}".strip()
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "EST5")
            time.tzset()
            found = wire.quota_headers(headers(date=text, retry_after="1"), wall=0.0)
        time.tzset()
        assert found is not None
        assert found.date == NOW

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("limit", "1", 1),
            ("limit", "0", None),
            ("limit", "-5", None),
            ("limit", "1e300", None),
            ("remaining", "0", 0),
            ("remaining", "-3", -3),
            ("remaining", "-1e300", None),
            ("remaining", "1e300", None),
            ("reset", "0", 0.0),
            ("reset", "-1", None),
            ("reset", "1700000010.5", 1_700_000_010.5),
            ("reset", "1700000010000", None),  # milliseconds
        ],
    )
    def test_a_number_that_cannot_mean_what_it_should_counts_as_not_said(
        self, name: str, text: str, value: float | None
    ) -> None:
        found = wire.quota_headers(
            headers(**{f"x_ratelimit_{name}": text}, retry_after="1"), wall=0.0
        )
        assert found is not None
        assert getattr(found, name) == value

    @given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
    def test_no_header_text_raises(self, limit: str, reset: str, date: str, after: str) -> None:
        wire.quota_headers(
            headers(
                x_ratelimit_limit=limit,
                x_ratelimit_remaining=limit,
                x_ratelimit_reset=reset,
                date=date,
                retry_after=after,
            ),
            wall=NOW,
        )

    @pytest.mark.parametrize(
        "text",
        ["nan", "inf", "-inf", "1e999", "", "soon", "0x10", "1_0", "\N{ARABIC-INDIC DIGIT FIVE}"],
    )
    def test_nonsense_counts_as_not_said(self, text: str) -> None:
        found = wire.quota_headers(
            headers(x_ratelimit_limit=text, x_ratelimit_reset=text, retry_after=text), wall=NOW
        )
        assert found is None
