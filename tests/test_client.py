"""The client against the simulator, over real sockets, on a clock that jumps."""

import asyncio
import threading
from typing import Any, cast

import pytest

import intercom_async
from intercom_async import (
    ClientStateError,
    ConnectionFailedError,
    ContactNotFoundError,
    Conversation,
    ConversationNotFoundError,
    IntercomClient,
    IntercomError,
    InvalidArgumentError,
    LastContactError,
    ServerError,
    UnknownOutcomeError,
)
from intercom_async.observing import (
    CallBegan,
    CallEnded,
    CallGivenUp,
    Event,
    RequestLost,
    RequestRetried,
)
from intercom_async.simulator import Fault, IntercomSimulator, ReplyForm
from intercom_async.structuring import decode_conversation, decode_page
from intercom_async.transport import wire

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


def conversation_of(sim: IntercomSimulator, *, contacts: int = 2) -> tuple[str, list[str]]:
    ids = [sim.workspace.add_contact() for _ in range(contacts)]
    return sim.workspace.add_conversation(ids), ids


class TestDetach:
    @pytest.mark.parametrize("form", ReplyForm)
    async def test_a_contact_is_removed_and_the_others_are_returned(self, form: ReplyForm) -> None:
        async with (
            IntercomSimulator(reply_form=form) as sim,
            IntercomClient("token", base_url=sim.url) as client,
        ):
            conversation_id, (first, second) = conversation_of(sim)
            found = await client.detach_contact(conversation_id, first, admin_id=sim.admin_id)
        assert isinstance(found, Conversation)
        assert found.id == conversation_id
        assert [contact.id for contact in found.participants] == [second]
        assert sim.workspace.participants(conversation_id) == [second]

    async def test_the_documented_errors_have_their_classes(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        conversation_id, (contact,) = conversation_of(sim, contacts=1)
        with pytest.raises(LastContactError) as last:
            await client.detach_contact(conversation_id, contact, admin_id=sim.admin_id)
        with pytest.raises(ContactNotFoundError):
            await client.detach_contact(conversation_id, "f" * 24, admin_id=sim.admin_id)
        with pytest.raises(ConversationNotFoundError):
            await client.detach_contact("no-such", contact, admin_id=sim.admin_id)
        assert last.value.attempts == 1
        assert last.value.request_id
        assert last.value.rate_limit is not None
        assert last.value.rate_limit.limit == sim.quota.limit
        assert sim.workspace.attached(conversation_id, contact)

    @pytest.mark.parametrize("conversation_id", ["1?x=1", "1#f", "1/../1", "1%3Fx"])
    async def test_an_id_that_looks_like_a_url_reaches_no_other_call(
        self, sim: IntercomSimulator, client: IntercomClient, conversation_id: str
    ) -> None:
        contacts = [sim.workspace.add_contact() for _ in range(2)]
        sim.workspace.add_conversation(contacts, conversation_id="1")
        with pytest.raises(ConversationNotFoundError):
            await client.detach_contact(conversation_id, contacts[0], admin_id=sim.admin_id)
        assert sim.workspace.deleted == []
        assert sim.workspace.participants("1") == contacts

    async def test_the_module_s_coroutine_takes_a_client_or_opens_one(
        self, sim: IntercomSimulator, client: IntercomClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        conversation_id, (first, second, _) = conversation_of(sim, contacts=3)
        await intercom_async.detach_contact(
            conversation_id, first, admin_id=sim.admin_id, client=client
        )
        monkeypatch.setenv("INTERCOM_ACCESS_TOKEN", sim.token)
        monkeypatch.setitem(cast("dict[str, str]", wire.REGIONS), "us", sim.url)
        await intercom_async.detach_contact(
            conversation_id, second, admin_id=sim.admin_id, timeout=5.0
        )
        assert len(sim.workspace.participants(conversation_id)) == 1


class TestFindContacts:
    async def test_all_with_an_address_or_an_external_id_are_found(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        first = sim.workspace.add_contact(email="a@b.example", external_id="70")
        more = {sim.workspace.add_contact(email="a@b.example") for _ in range(310)}
        found = {contact.id async for contact in client.find_contacts(email="a@b.example")}
        assert found == {first, *more}  # on several pages
        (only,) = [contact async for contact in client.find_contacts(external_id="70")]
        assert (only.id, only.external_id) == (first, "70")
        assert [one async for one in client.find_contacts(email="nobody@b.example")] == []

    async def test_exactly_one_thing_must_be_given(self, client: IntercomClient) -> None:
        both: dict[str, Any] = {"email": "a@b.example", "external_id": "70"}
        none, blank = dict[str, Any](), dict[str, Any](email=" ")
        for given, told in ((none, "exactly one"), (both, "exactly one"), (blank, "email")):
            with pytest.raises(InvalidArgumentError, match=told):
                await anext(client.find_contacts(**given))


CLOSED, RESET = Fault.CLOSE_BEFORE_APPLYING, Fault.RESET_BEFORE_APPLYING
CLOSED_AFTER, RESET_AFTER = Fault.CLOSE_AFTER_APPLYING, Fault.RESET_AFTER_APPLYING


class TestAmbiguity:
    """An attempt of unknown fate is retried; a check decides what cannot be told otherwise."""

    @pytest.mark.parametrize(
        ("faults", "requests", "error", "words"),
        [
            ([RESET_AFTER], "DDG", None, ""),
            ([CLOSED_AFTER], "DDG", None, ""),
            ([Fault.SERVER_ERROR_AFTER_APPLYING], "DDG", None, ""),
            ([Fault.HANG_AFTER_APPLYING], "DDG", None, ""),
            ([RESET_AFTER, *[RESET] * 4], "DDDDDG", None, ""),
            ([RESET], "DD", None, ""),
            ([CLOSED], "DD", None, ""),
            ([Fault.SERVER_ERROR], "DD", None, ""),
            ([Fault.HTML_ERROR], "DD", None, ""),
            ([Fault.RETRY_AFTER], "DD", None, ""),
            ([CLOSED] * 5, "DDDDDGGG", ConnectionFailedError, "still attached"),
            ([Fault.SERVER_ERROR] * 5, "DDDDDGGG", ServerError, "all 5 attempts are used"),
            ([CLOSED_AFTER] * 99, "DDDDDGGGGG", UnknownOutcomeError, "may have been applied"),
            ([RESET_AFTER, Fault.UNAUTHORIZED], "DD", UnknownOutcomeError, "HTTP 401"),
        ],
    )
    async def test_whatever_is_lost_a_detach_is_applied_once_at_most_and_ends_as_it_is(
        self,
        sim: IntercomSimulator,
        client: IntercomClient,
        faults: list[Fault],
        requests: str,
        error: type[ConnectionFailedError | ServerError | UnknownOutcomeError] | None,
        words: str,
    ) -> None:
        conversation_id, (first, second) = conversation_of(sim)
        for fault in faults:
            sim.faults.add(fault, times=None if fault is Fault.UNAUTHORIZED else 1)
        call = client.detach_contact(conversation_id, first, admin_id=sim.admin_id)
        if error is None:
            assert [contact.id for contact in (await call).participants] == [second]
        else:
            with pytest.raises(error, match=words):
                await call
        assert "".join(entry.method[0] for entry in sim.requests.log or ()) == requests
        applied = error in {None, UnknownOutcomeError}
        assert sim.applied[conversation_id, first] == applied

    async def test_the_last_contact_is_refused_even_after_a_lost_reply(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        conversation_id, (only,) = conversation_of(sim, contacts=1)
        sim.faults.add(Fault.CLOSE_AFTER_APPLYING, times=1)
        with pytest.raises(LastContactError):
            await client.detach_contact(conversation_id, only, admin_id=sim.admin_id)


@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT_WORKSPACE, Fault.TOO_MANY_REQUESTS])
async def test_a_429_costs_no_attempt_and_endless_ones_bring_no_hail_of_requests(
    sim: IntercomSimulator, client: IntercomClient, fault: Fault
) -> None:
    patient = client.with_options(max_retries=0, max_wait=60.0)
    sim.faults.add(fault, times=2)
    search = {"query": {"field": "email", "operator": "=", "value": "a@b.example"}}
    assert (await patient.request("POST", "/contacts/search", json=search)).status == 200
    assert sim.requests.refused == 2
    sim.faults.add(fault, probability=1.0, seconds=0.0)
    with pytest.raises(IntercomError):
        await patient.whoami()
    assert sim.requests.refused <= 14


class TestEvents:
    async def test_an_observer_that_raises_harms_nothing(
        self, sim: IntercomSimulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        def observe(_: Event) -> None:
            raise ValueError("no")

        async with IntercomClient(sim.token, base_url=sim.url, observer=observe) as client:
            assert (await client.whoami()).id == "5017690"
        assert "observer raised" in caplog.text

    async def test_every_call_begins_and_ends_whichever_way_it_goes(
        self, sim: IntercomSimulator
    ) -> None:
        events: list[Event] = []
        async with IntercomClient(
            sim.token, base_url=sim.url, max_retries=1, observer=events.append
        ) as client:
            await client.whoami()
            with pytest.raises(ConversationNotFoundError):
                await client.get_conversation("no-such")
            sim.faults.add(Fault.CLOSE_BEFORE_APPLYING, times=2)
            with pytest.raises(ConnectionFailedError):
                await client.whoami()
            sim.faults.add(Fault.HANG, times=1)
            task = asyncio.create_task(client.whoami())
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        ended = [event for event in events if isinstance(event, CallEnded)]
        assert [(event.status, event.error) for event in ended] == [
            (200, None),
            (404, None),
            (None, "ConnectionFailedError"),
            (None, "CancelledError"),
        ]
        for event in ended:
            of_call = [other for other in events if other.call == event.call]
            assert isinstance(of_call[0], CallBegan)
            assert of_call[-1] is event
        (retried,) = [event for event in events if isinstance(event, RequestRetried)]
        assert (retried.attempt, retried.wait <= 0.5) == (1, True)
        (given_up,) = [event for event in events if isinstance(event, CallGivenUp)]
        assert (given_up.attempts, "all 2 attempts" in given_up.reason) == (2, True)
        lost = [event for event in events if isinstance(event, RequestLost)]
        assert [(event.failure, event.attempt) for event in lost] == [
            ("disconnected", 1),
            ("disconnected", 2),
            ("cancelled", 1),
        ]

    async def test_a_wait_too_long_for_retry_after_is_given_up_in_one_warning(
        self, sim: IntercomSimulator, client: IntercomClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1, seconds=300.0)
        with pytest.raises(intercom_async.RateLimitedError) as caught:
            await client.whoami()
        (line,) = [record.getMessage() for record in caplog.records]
        assert "given up" in line
        assert "300 s" in str(caught.value)
        assert caught.value.retry_after == 300.0
        assert caught.value.request_id is not None
        assert caught.value.request_id in line


async def test_the_numbers_agree_with_what_the_server_saw(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    pairs = sim.workspace.populate(conversations=60)
    sim.faults.add(Fault.SERVER_ERROR, probability=0.1)
    sim.faults.add(Fault.CLOSE_BEFORE_APPLYING, probability=0.1)
    sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1)
    summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
    stats = client.stats()
    assert stats.requests == sim.requests.total
    assert stats.by_status == dict(sorted(sim.requests.by_status.items()))
    assert stats.requests == sum(stats.by_status.values()) + stats.lost
    assert stats.refusals == summary.refusals == sim.requests.refused
    assert stats.retries == stats.by_status.get(500, 0) + stats.lost
    assert stats.calls == len(pairs)
    assert stats.given_up == 0
    assert min(stats.waits, stats.waited) > 0


class TestLife:
    @pytest.mark.parametrize("waiting_for", ["the quota", "a retry"])
    async def test_closing_ends_calls_that_wait_at_once(
        self, sim: IntercomSimulator, client: IntercomClient, waiting_for: str
    ) -> None:
        await asyncio.sleep(10.5 - sim.now() % 10.0)
        await client.whoami()
        if waiting_for == "the quota":
            sim.spend(sim.quota.limit)
        else:
            sim.faults.add(Fault.RETRY_AFTER, times=5, seconds=60.0)
        waiting = [asyncio.create_task(client.whoami()) for _ in range(5)]
        await asyncio.sleep(1.0)
        began = sim.now()
        await client.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert sim.now() - began < 0.5
        assert {type(result) for result in results} == {ClientStateError}

    async def test_a_detach_in_flight_when_the_client_closes_is_unknown(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        conversation_id, (first, _) = conversation_of(sim)
        sim.faults.add(Fault.HANG, times=1)
        task = asyncio.create_task(
            client.detach_contact(conversation_id, first, admin_id=sim.admin_id)
        )
        await asyncio.sleep(1.0)
        await client.aclose()
        with pytest.raises(UnknownOutcomeError):
            await task

    async def test_a_call_after_closing_says_so(self, client: IntercomClient) -> None:
        for _ in range(2):
            await client.aclose()
        with pytest.raises(ClientStateError, match="closed"):
            await client.whoami()
        assert "closed" in repr(client)

    async def test_a_missing_token_and_wrong_options_of_a_view_are_refused(
        self, client: IntercomClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("INTERCOM_ACCESS_TOKEN", raising=False)
        with pytest.raises(InvalidArgumentError, match="INTERCOM_ACCESS_TOKEN"):
            IntercomClient()
        with pytest.raises(InvalidArgumentError, match="timeout"):
            client.with_options(timeout=-1)
        with pytest.raises(InvalidArgumentError, match="max_wait"):
            client.with_options(max_wait=-1)


async def test_long_conversations_and_large_pages_are_decoded_off_the_loop(
    sim: IntercomSimulator, client: IntercomClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def watched(decode: Any) -> Any:
        def noting(*args: Any, **kwargs: Any) -> object:
            threads.append(threading.get_ident())
            return decode(*args, **kwargs)

        return noting

    for place, decode in (("structuring.replies", decode_conversation), ("search", decode_page)):
        name = f"intercom_async.{place}.{decode.__name__}"
        monkeypatch.setattr(name, watched(decode))
    contacts = [sim.workspace.add_contact() for _ in range(2)]
    large = sim.workspace.add_conversation(contacts, parts=500)
    for _ in range(149):
        sim.workspace.add_conversation(contacts)
    found = await client.get_conversation(large)
    assert found.conversation_parts is not None
    assert len(found.conversation_parts.conversation_parts or ()) == 500
    assert len([found async for found in client.find_conversations(contacts[0])]) == 150
    assert len(threads) == 2
    assert threading.get_ident() not in threads
