"""What a pool reads ahead: kept once, found again workspace by workspace."""

import secrets
from pathlib import Path

import pytest

from intercom_async.journal import Row, Session, Wanted
from tests.journal.helpers import InPostgres, Place, opened, row


def _place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if kind == "postgres":
        return InPostgres(request.getfixturevalue("postgres").url, secrets.token_hex(8))
    return tmp_path / "run.db" if kind == "file" else None


@pytest.fixture(params=["file", "temporary", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return _place(request.param, request, tmp_path)


async def pending(session: Session, workspace: str, *, limit: int = 1000) -> list[str]:
    found: list[Row] = []
    while page := await session.rows(
        Wanted.PLANNED, after=found[-1] if found else None, limit=limit, workspace=workspace
    ):
        found += page
    return [one.conversation_id for one in found]


async def test_new_pairs_are_kept_as_pending_and_known_ones_stay_as_they_are(
    place: Place,
) -> None:
    session = await opened(place)
    await session.write(row(1, workspace="acme"))
    asked = [
        row(1, "pending", workspace="acme"),
        row(1, "pending", workspace="umbrella"),
        row(2, "pending", workspace="acme"),
        row(2, "pending", workspace="acme"),
    ]
    known, other, new, again = await session.plan(asked)
    assert known is not None
    assert known.state == "detached"
    assert other is None
    assert new is None
    assert again is not None
    assert (again.state, again.session) == ("pending", -session.number)
    assert await session.plan([]) == []
    assert await pending(session, "acme") == ["c0002"]
    assert await pending(session, "umbrella") == ["c0001"]
    await session.close()


async def test_what_is_pending_is_read_page_by_page_in_one_workspace_only(
    place: Place,
) -> None:
    session = await opened(place)
    for workspace in ("a", "b", "c"):
        rows = [row(number, "pending", workspace=workspace) for number in range(300)]
        assert set(await session.plan(rows)) == {None}
    assert await pending(session, "b", limit=7) == [f"c{number:04}" for number in range(300)]
    await session.close()


@pytest.mark.parametrize("kind", ["file", "postgres"])
async def test_workspaces_are_those_of_which_earlier_sessions_left_something(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place = _place(kind, request, tmp_path)
    first = await opened(place)
    await first.plan([row(1, "pending", workspace="left"), row(1, "pending", workspace="again")])
    await first.write(row(1, workspace="done"))
    await first.close()
    second = await opened(place)
    assert await second.workspaces() == ["again", "left"]
    assert await pending(second, "left") == []
    await second.close()
