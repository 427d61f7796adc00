"""Finding contacts by address or external id."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from intercom_async import IntercomClient, InvalidArgumentError
from intercom_async.simulator import IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(limit=1000) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: IntercomSimulator) -> AsyncIterator[IntercomClient]:
    async with IntercomClient("token", base_url=sim.url) as opened:
        yield opened


async def test_all_contacts_with_an_address_or_an_external_id_are_found(
    sim: IntercomSimulator, client: IntercomClient
) -> None:
    first = sim.workspace.add_contact(email="a@b.example", external_id="70")
    more = {sim.workspace.add_contact(email="a@b.example") for _ in range(310)}
    found = {contact.id async for contact in client.find_contacts(email="a@b.example")}
    assert found == {first, *more}  # on several pages
    (only,) = [contact async for contact in client.find_contacts(external_id="70")]
    assert (only.id, only.external_id) == (first, "70")
    assert [one async for one in client.find_contacts(email="nobody@b.example")] == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "exactly one"),
        ({"email": "a@b.example", "external_id": "70"}, "exactly one"),
        ({"email": " "}, "email"),
    ],
)
async def test_exactly_one_thing_must_be_given(
    client: IntercomClient, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        await anext(client.find_contacts(**given))
