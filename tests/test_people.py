"""From people to pairs: who is looked up, which pairs come of it, and what a journal keeps."""

import asyncio
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from intercom_async import (
    AuthenticationError,
    IntercomClient,
    InvalidArgumentError,
    Journal,
    Outcome,
    PeopleSummary,
    RetryPolicy,
)
from intercom_async.observing import Event, RequestSent
from intercom_async.people import By
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import nothing_left_behind
from tests.support.people import addresses, town
from tests.support.postgres_server import PostgresServer
from tests.support.raw_server import RawServer, always, reply
from tests.support.rows import rows_in

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

RETRY = RetryPolicy(attempts=2, backoff=0.0)


async def found(
    client: IntercomClient, people: Sequence[str], **options: object
) -> tuple[list[tuple[str, str]], PeopleSummary]:
    search = client.find_pairs(people, **options)  # type: ignore[arg-type]
    pairs = [(pair.conversation_id, pair.contact_id) async for pair in search]
    return pairs, search.summary


def searches(sim: IntercomSimulator) -> Counter[str]:
    log = sim.requests.log
    assert log is not None
    return Counter(entry.segments[0] for entry in log if "search" in entry.segments)


class TestFinding:
    @pytest.mark.parametrize(
        ("by", "prefix", "suffix"),
        [("contact", "c", ""), ("external-id", "e", ""), ("email", "p", "@x.example")],
    )
    async def test_people_are_named_by_ids_or_by_addresses(
        self, sim: IntercomSimulator, client: IntercomClient, by: By, prefix: str, suffix: str
    ) -> None:
        pairs = town(sim, 3, conversations=2)
        got, summary = await found(client, [f"{prefix}{n}{suffix}" for n in range(3)], by=by)
        assert sorted(got) == sorted(pairs)
        assert (summary.total, summary.states) == (3, {"done": 3})

    async def test_fifteen_people_are_searched_at_once_and_a_page_has_150_conversations(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = town(sim, 30, conversations=19)
        got, summary = await found(client, addresses(30))
        assert set(got) == pairs
        assert len(got) == len(pairs)
        assert searches(sim) == {"contacts": 2, "conversations": 4}
        assert summary.searches == 6

    async def test_where_batches_are_refused_people_are_searched_one_by_one_and_one_warning_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "intercom_async")
        async with (
            IntercomSimulator(limit=9999, keep_log=True, in_refused=["contact_ids"]) as sim,
            IntercomClient("token", base_url=sim.url) as client,
        ):
            pairs = town(sim, 150, conversations=1)
            got, summary = await found(client, addresses(150))
            assert sorted(got) == sorted(pairs)
            assert searches(sim)["contacts"] == 10
            # The groups that were under way when the first was refused were refused, too.
            assert 150 < searches(sim)["conversations"] <= 158
        assert summary.one_by_one == ("conversations",)
        assert len([one for one in caplog.records if "one by one" in one.message]) == 1

    async def test_a_batch_that_fails_for_one_of_its_people_says_nothing_about_batches(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = town(sim, 2, conversations=1)
        sim.workspace.add_contact(contact_id="1,308", email="odd@x.example")
        sim.workspace.add_conversation(["1,308", "c0"])
        got, summary = await found(client, [*addresses(2), "odd@x.example"])
        assert pairs < set(got)
        assert summary.states == {"done": 2, "failed": 1}
        assert summary.one_by_one == ()
        assert "1,308" in (summary.examples[0].note or "")

    async def test_all_contacts_with_an_address_are_taken_or_the_address_is_listed(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = town(sim, 1, conversations=1)
        twin, other = sim.workspace.add_contact(email="p0@x.example"), sim.workspace.add_contact()
        pairs.add((sim.workspace.add_conversation([twin, other]), twin))
        got, summary = await found(client, addresses(1))
        assert set(got) == pairs
        assert summary.contacts == 2
        got, summary = await found(client, addresses(1), one_per_address=True)
        assert (got, summary.states) == ([], {"ambiguous": 1})
        assert summary.examples[0].contacts == ["c0", twin]

    async def test_who_was_merged_is_followed_who_is_unknown_or_has_no_address_is_counted(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = town(sim, 3, conversations=2)
        sim.workspace.merge("c0", "c1")
        sim.workspace.merge("c1", "c2")
        sim.workspace.add_contact(contact_id="without")
        moved = {(conversation, "c2") for conversation, _ in pairs}
        got, summary = await found(client, ["c0", "nobody-at-all", "without"], by="contact")
        assert set(got) == moved
        assert summary.states == {"done": 2, "not_found": 1}
        assert (summary.contacts, summary.merged, summary.without_email) == (2, 1, 1)

    async def test_a_gateway_s_404_does_not_mean_that_a_contact_is_unknown(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        sim.faults.add(Fault.HTML_ERROR, status=404, method="GET", probability=1.0)
        _, summary = await found(client, ["nobody-at-all"], by="contact")
        assert summary.states == {"failed": 1}
        assert "answered by a gateway" in str(summary.examples[0].note)

    async def test_who_is_named_twice_is_searched_once_whatever_the_case_and_nonsense_fails_alone(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        pairs = town(sim, 20, conversations=1)
        people = ["P0@X.example", *addresses(20), "#N/A", *addresses(1)]
        got, summary = await found(client, people)
        assert sorted(got) == sorted(pairs)
        assert summary.states == {"done": 21, "failed": 1}
        assert [one.value for one in summary.examples] == ["#N/A"]

    @pytest.mark.parametrize(
        ("by", "people", "states"),
        [
            ("email", ["p0@x.example", "p1@x.example"], {"failed": 2}),
            ("external-id", ["e0"], {"failed": 1}),
            ("contact", ["c0", "c1"], {"failed": 2}),
            ("contact", ["1"], {"done": 1}),
        ],
    )
    async def test_a_search_that_returns_others_than_asked_for_takes_none_of_them(
        self, by: By, people: list[str], states: dict[str, int]
    ) -> None:
        listed = [
            {"id": str(n), "email": f"{n}@y.example", "external_id": f"x{n}"} for n in (1, 2, 3)
        ]
        document = json.dumps({"data": listed, "conversations": [], "total_count": 3})
        async with (
            RawServer(always(reply(document.encode()))) as server,
            IntercomClient("token", base_url=server.url, retry=RETRY) as client,
        ):
            given, summary = await found(client, people, by=by)
        assert (given, summary.states) == ([], states)
        assert summary.contacts == states.get("done", 0)
        if summary.examples:
            assert "returned results that nobody asked for" in str(summary.examples[0].note)

    async def test_people_are_read_ahead_by_a_bounded_number_and_leaving_early_leaves_nothing(
        self, sim: IntercomSimulator
    ) -> None:
        town(sim, 400, conversations=1)
        read, closed = 0, False

        async def people() -> AsyncIterator[str]:
            nonlocal read, closed
            try:
                for address in addresses(400):
                    read += 1
                    yield address
            finally:
                closed = True

        async with nothing_left_behind(), IntercomClient("token", base_url=sim.url) as client:
            search = client.find_pairs(people())
            await anext(search)
            for _ in range(100):
                await asyncio.sleep(0.01)
            assert read <= 8 * 15
            await search.aclose()
            assert closed

    async def test_what_is_no_iterable_of_people_is_refused(self, client: IntercomClient) -> None:
        people: list[Any] = ["p0@x.example", 7]
        for each in people:
            with pytest.raises(InvalidArgumentError, match="people"):
                client.find_pairs(each)
        with pytest.raises(InvalidArgumentError, match="by must be one of"):
            client.find_pairs([], by="name")  # type: ignore[arg-type]

    async def test_people_are_counted_while_the_search_goes_on(
        self, sim: IntercomSimulator, client: IntercomClient
    ) -> None:
        town(sim, 45, conversations=1)
        seen: list[int] = []

        async def slowly() -> AsyncIterator[str]:
            for address in addresses(45):
                await asyncio.sleep(1.0)
                seen.append(search.summary.total)
                yield address

        search = client.find_pairs(slowly())
        assert len([pair async for pair in search]) == 45
        assert {0, 15, 30} == set(seen)


class TestInARun:
    async def test_pages_that_shift_while_thousands_are_detached_lose_nobody(
        self, sim: IntercomSimulator
    ) -> None:
        town(sim, 3, conversations=500)
        workspace = sim.workspace
        left = {
            number: [one.id for one in workspace.conversations_of([f"c{number}"])]
            for number in range(3)
        }

        def somebody_else(event: Event) -> None:
            """Detach the first ones of each person behind every page that is read."""
            if isinstance(event, RequestSent) and event.path == "/conversations/search":
                for number, conversations in left.items():
                    for conversation in conversations[1:60]:
                        if workspace.attached(conversation, f"c{number}"):
                            workspace.detach(conversation, f"c{number}")
                    del conversations[1:60]

        async with IntercomClient("token", base_url=sim.url, observer=somebody_else) as client:
            search = client.find_pairs(addresses(3))
            summary = await client.detach_contacts(search, admin_id=sim.admin_id)
        assert all(len(workspace.conversations_of([f"c{number}"])) == 1 for number in range(3))
        assert summary.settled == summary.total
        assert summary.requests == sim.requests.total
        assert workspace.detached.total() == 1500
        assert max(workspace.detached.values()) == 1
        assert search.summary.states == {"done": 3}

    async def test_a_run_that_was_left_searches_nothing_again_that_is_settled(
        self, sim: IntercomSimulator, tmp_path: Path
    ) -> None:
        pairs, path = town(sim, 300, conversations=2), tmp_path / "run.db"
        async with IntercomClient("token", base_url=sim.url) as client:
            search = client.find_pairs(addresses(300))
            async with client.detach_contacts(search, admin_id=sim.admin_id, journal=path) as run:
                results = aiter(run)
                for _ in range(50):
                    await anext(results)
            before = searches(sim)
            kept = people_in(path)
            search = client.find_pairs(addresses(300))
            summary = await client.detach_contacts(search, admin_id=sim.admin_id, journal=path)
        assert 0 < kept["done"] < 300
        assert (searches(sim) - before)["contacts"] <= 20 - kept["done"] // 15
        assert people_in(path) == {"done": 300}
        assert search.summary.states == {"done": 300}
        assert set(rows_in(path)) == pairs
        assert summary.settled + summary.settled_before == len(pairs)
        assert sim.applied == dict.fromkeys(pairs, 1)

    async def test_a_journal_alone_goes_on_with_the_people_that_are_left(
        self, sim: IntercomSimulator, client: IntercomClient, tmp_path: Path
    ) -> None:
        pairs, path = town(sim, 3, conversations=1), tmp_path / "run.db"
        fault = sim.faults.add(Fault.SERVER_ERROR, match=is_search, probability=1.0)
        first = client.find_pairs(addresses(3))
        summary = await client.detach_contacts(first, admin_id=sim.admin_id, journal=path)
        assert (summary.total, first.summary.states) == (0, {"failed": 3})
        assert "500" in (first.summary.examples[0].note or "")
        sim.faults.remove(fault)
        second = client.find_pairs()
        summary = await client.detach_contacts(second, admin_id=sim.admin_id, journal=path)
        assert summary.outcomes[Outcome.DETACHED] == len(pairs)
        assert second.summary.states == people_in(path) == {"done": 3}

    async def test_a_person_whose_name_cannot_be_an_id_is_taken_up_once_in_each_session(
        self, sim: IntercomSimulator, client: IntercomClient, tmp_path: Path
    ) -> None:
        for given in ([" a\x00b"], None):
            search = client.find_pairs(given, by="external-id")
            async with asyncio.timeout(5):
                await client.detach_contacts(
                    search, admin_id=sim.admin_id, journal=tmp_path / "run.db"
                )
            assert search.summary.total == 1

    async def test_a_refused_token_stops_the_run_and_no_person_is_lost(
        self, sim: IntercomSimulator, client: IntercomClient, tmp_path: Path
    ) -> None:
        town(sim, 20, conversations=1)
        sim.faults.add(Fault.UNAUTHORIZED, match=is_search, probability=1.0)
        search = client.find_pairs(addresses(20))
        summary = await client.detach_contacts(
            search, admin_id=sim.admin_id, journal=tmp_path / "run.db"
        )
        assert isinstance(summary.stopped_by, AuthenticationError)
        assert not summary.input_ended
        assert search.summary.states == {"pending": 20}

    @pytest.mark.asyncio(loop_factories=["uvloop"])  # the database takes its time
    async def test_a_journal_in_postgresql_keeps_the_pairs_alone(
        self, sim: IntercomSimulator, client: IntercomClient, postgres: PostgresServer
    ) -> None:
        pairs = town(sim, 20, conversations=2)
        for again in (False, True):
            search = client.find_pairs(addresses(20))
            summary = await client.detach_contacts(
                search, admin_id=sim.admin_id, journal=Journal(postgres.url, run="people")
            )
            assert summary.total == (0 if again else len(pairs))
            assert search.summary.states == {"done": 20}
        assert set(sim.applied) == pairs


def is_search(_method: str, path: str) -> bool:
    return path.endswith("/search")


def people_in(path: Path) -> Counter[str]:
    with closing(sqlite3.connect(path)) as journal:
        return Counter(dict(journal.execute("SELECT state, count(*) FROM person GROUP BY state")))
