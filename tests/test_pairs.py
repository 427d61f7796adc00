"""What a run takes for a pair."""

import sqlite3
from collections import UserDict
from collections.abc import Iterator
from contextlib import closing
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from intercom_async import Detach, IntercomPool
from intercom_async.errors import InvalidArgumentError
from intercom_async.pairs import as_detach, as_routed


class Record:
    """A row as asyncpg gives it: its values by their places and by their names."""

    def __init__(self, **cells: object) -> None:
        self._cells = cells

    def keys(self) -> Iterator[str]:
        return iter(self._cells)

    def __iter__(self) -> Iterator[object]:
        return iter(self._cells.values())

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, key: int | str) -> object:
        return self._cells[key] if isinstance(key, str) else [*self][key]


def row(query: str) -> object:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query).fetchone()


class Named(NamedTuple):
    number: int
    contact_id: str | None
    conversation_id: int


class Placed(NamedTuple):
    conversation: int
    contact: str


TWO: list[object] = [
    Detach("1295", "c1"),
    Detach(1295, " c1 "),  # type: ignore[arg-type]  # as untyped callers do
    ("1295", "c1"),
    ["1295", "c1"],
    (1295, "c1", None),
    Named(0, "c1", 1295),
    Placed(1295, "c1"),
    {"contact_id": "c1", "conversation_id": 1295, "note": "x"},
    MappingProxyType({"contact_id": "c1", "conversation_id": 1295, "admin_id": None}),
    UserDict({"contact_id": "c1", "conversation_id": "1295"}),
    row("select 'note' as note, 'c1' as contact_id, 1295 as conversation_id"),
    row("select 1295 as id, 'c1' as id"),
    Record(contact_id="c1", conversation_id=1295),
    Record(id=1295, contact="c1"),
]
THREE: list[object] = [
    ("1295", "c1", 9),
    {"conversation_id": "1295", "contact_id": "c1", "admin_id": "9"},
    row("select 9 as admin_id, 1295 as conversation_id, 'c1' as contact_id"),
    row("select 1295, 'c1', 9"),
    Record(conversation_id=1295, contact_id="c1", admin_id=9),
]


@pytest.mark.parametrize(
    ("item", "admin_id"),
    [*((item, None) for item in TWO), *((item, "9") for item in THREE)],
    ids=lambda item: type(item).__name__,
)
def test_each_form_of_a_pair_is_taken_a_third_id_is_the_admins(
    item: Any, admin_id: str | None
) -> None:
    assert as_detach(item, 1) == (Detach("1295", "c1", admin_id), None)


@pytest.mark.parametrize(
    "item",
    [
        *("12", "1295", b"12", 5, None, (), ("1",), ("1", "2", "3", "4"), {"1", "2"}, iter("12")),
        *({}, {"id": "1"}, {"a": 1, "b": 2}, SimpleNamespace(conversation_id="1"), Record(a=1)),
        row("select 1, 2, 3, 4"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_what_is_no_pair_at_all_raises_and_names_its_place(item: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^pairs, item 7, must be a Detach, "):
        as_detach(item, 7)


@pytest.mark.parametrize("workspace", [None, 7, "", "acme\udcff", "acme\0"])
def test_a_workspace_that_no_database_can_keep_is_refused(workspace: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^pairs, item 7, must be \(workspace, Detach\)"
    ):
        as_routed((workspace, "1295", "c1"), 7)
    with pytest.raises(InvalidArgumentError, match="a mapping of workspaces' names"):
        _ = IntercomPool({}).detach_contacts({workspace: [("1295", "c1")]})


@pytest.mark.parametrize(
    ("item", "name", "shown"),
    [
        (("nan", "c1"), "conversation_id", Detach("nan", "c1")),
        ((1295, float("nan")), "contact_id", Detach("1295", "nan")),
        ((1295.0, "c1"), "conversation_id", Detach("1295.0", "c1")),
        (("1", "c1", True), "admin_id", Detach("1", "c1", "True")),
        ({"conversation_id": "1"}, "contact_id", Detach("1", "")),
        (Named(0, None, 5), "contact_id", Detach("5", "")),
        (row("select 1.5, 'c1'"), "conversation_id", Detach("1.5", "c1")),
        (Detach("", "c1"), "conversation_id", Detach("", "c1")),
        (("contact_id", "c1"), "conversation_id", Detach("contact_id", "c1")),
        (("1\ud800\0", "c1"), "conversation_id", Detach("1\\ud800\\x00", "c1")),
        (("1", 10**5000), "contact_id", Detach("1", "a number")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_pair_with_a_bad_id_is_given_back_with_its_error(
    item: Any, name: str, shown: Detach
) -> None:
    pair, error = as_detach(item, 7)
    assert pair == shown
    assert error is not None
    assert error.name == name
