"""What is believed of one reply, decided without any network."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async import IntercomError
from intercom_async.pacing.window import RateLimitHeaders
from intercom_async.transport import wire
from intercom_async.transport.doubt import doubt_about, error_of
from intercom_async.transport.wire import Reply, Request

DETACH = wire.detach("7", "gone", "1")
ATTACH = wire.attach("7", "gone", "1")
READ = wire.get_conversation("7")
SEARCH = wire.search_conversations("gone", per_page=150, starting_after=None)
REQUESTS = [DETACH, ATTACH, READ, SEARCH, wire.me()]

names = st.sampled_from(["type", "id", "errors", "code", "message", "customers", "contacts", "x"])
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("error.list")
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)
)


@given(
    st.sampled_from(REQUESTS),
    st.integers(100, 999),
    st.binary(max_size=9) | documents.map(lambda document: json.dumps(document).encode()),
)
def test_whatever_comes_is_believed_or_stands_for_an_error(
    request: Request, status: int, body: bytes
) -> None:
    reply = Reply(status, body)
    doubt = doubt_about(request, reply)
    if doubt is None:
        assert status == 200 or 400 <= status < 500
    if doubt is not None or status != 200:
        error = error_of(Reply(status, body, doubt=doubt))
        assert isinstance(error, IntercomError)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(documents)
def test_a_detach_is_never_believed_that_lists_the_contact(document: object) -> None:
    body = {"customers": [{"id": "stays"}, {"id": "gone"}], "x": document}
    assert doubt_about(DETACH, Reply(200, json.dumps(body).encode())) is not None


@pytest.mark.parametrize(
    "document",
    [
        {"customers": []},
        {"customers": [{"type": "user", "id": "stays"}]},
        {"customers": [{"id": 5}, {"id": None}, 6]},
        {"type": "conversation", "id": "7", "contacts": {"contacts": [{"id": "stays"}]}},
        {"type": "conversation", "id": 7, "customers": [{"id": "stays"}]},
        {"id": "7"},
    ],
)
def test_answers_of_every_version_to_a_detach_are_believed(document: object) -> None:
    assert doubt_about(DETACH, Reply(200, json.dumps(document).encode())) is None


def test_a_429_is_intercom_s_by_its_words_or_by_its_quota() -> None:
    words = b'{"type": "error.list", "errors": [{"code": "rate_limit_exceeded"}]}'
    for body, said, believed in (
        (words, None, True),
        (b"", RateLimitHeaders(reset=1.0), True),
        (b"", RateLimitHeaders(retry_after=1.0), False),
        (b"", None, False),
    ):
        assert (doubt_about(DETACH, Reply(429, body, headers=said)) is None) is believed


@pytest.mark.parametrize(
    ("request_", "status", "body", "again"),
    [
        # An undocumented success is asked again of a read only.
        (DETACH, 206, b"{}", False),
        (READ, 206, b"{}", True),
        # An error in another form is in doubt, but would come again.
        (DETACH, 400, b'{"type": "error", "message": "No"}', False),
        (DETACH, 400, b'{"error_key": "no", "message": "No"}', False),
    ],
)
def test_what_is_in_doubt_is_tried_again_if_that_may_help(
    request_: Request, status: int, body: bytes, *, again: bool
) -> None:
    doubt = doubt_about(request_, Reply(status, body))
    assert doubt is not None
    assert doubt.again is again
