"""What a run accepts as a pair: a `Detach`, a sequence of ids, a mapping or a database row."""

import re
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeGuard

from intercom_async.detaching import Detach
from intercom_async.errors import InvalidArgumentError, readable
from intercom_async.ids import LONGEST_ID, check_id

COLUMNS: Final = ("conversation_id", "contact_id", "admin_id")
REQUIRED: Final = COLUMNS[:2]

_REFUSED: Final = re.compile("[\0\ud800-\udfff]")
"""What no database takes in a text."""


class _NamedRow(Protocol):
    """A row that has its columns' names, like those of `sqlite3` and asyncpg."""

    def keys(self) -> Iterable[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __len__(self) -> int: ...


Pair: TypeAlias = Detach | Sequence[str | int | None] | Mapping[str, Any] | _NamedRow
"""What a run accepts as a pair: a `Detach`; two or three ids, the admin's last; or a mapping or row
that has them by the names `conversation_id`, `contact_id` and `admin_id`."""


def check_input(name: str, given: object, expected: str) -> None:
    """Raise unless `given` is an iterable; a text does not count: its characters are no pairs."""
    usable = isinstance(given, Iterable | AsyncIterable | None)
    text = isinstance(given, str | bytes)
    if text or not usable:
        raise InvalidArgumentError(name, given, expected)


def as_detach(item: object, place: int) -> tuple[Detach, InvalidArgumentError | None]:
    """Return an item as a pair, and what is wrong with one of its ids, if anything.

    With a wrong id, the pair is good for reports only: its ids are made readable. `place` is the
    item's number in the input, counted from 1.

    Raises:
        InvalidArgumentError: the item is no pair at all.
    """
    values = _ids_of(item)
    if values is None:
        raise InvalidArgumentError(
            f"pairs, item {place},",
            item,
            "a Detach, two or three ids, or a mapping or row with conversation_id and contact_id",
        )
    conversation_id, contact_id, admin_id = values
    try:
        pair = Detach(
            check_id("conversation_id", conversation_id),
            check_id("contact_id", contact_id),
            None if admin_id is None else check_id("admin_id", admin_id),
        )
    except InvalidArgumentError as error:
        admin = None if admin_id is None else _shown(admin_id)
        return Detach(_shown(conversation_id), _shown(contact_id), admin), error
    return pair, None


RoutedPair: TypeAlias = tuple[str, Detach, InvalidArgumentError | None]
"""A pair of a workspace, and what is wrong with one of its ids."""


def as_routed(item: object, place: int) -> RoutedPair:
    """Return the workspace and the pair of an item, as `as_detach` does for a pair alone."""
    workspace, rest = _parted(item)
    if not _names_workspace(workspace) or _ids_of(rest) is None:
        raise InvalidArgumentError(
            f"pairs, item {place},",
            item,
            "(workspace, Detach), (workspace, conversation_id, contact_id[, admin_id]), or a "
            "mapping or row with these names",
        )
    return (workspace, *as_detach(rest, place))


def check_workspaces(pairs: object) -> None:
    """Raise unless every key of a mapping can stand for a workspace in every journal."""
    for key in pairs if _is_mapping(pairs) else ():
        if not _names_workspace(key):
            raise InvalidArgumentError("pairs", key, "a mapping of workspaces' names")


def _names_workspace(key: object) -> bool:
    return isinstance(key, str) and key != "" and not _REFUSED.search(key)


def _parted(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Detach):
        return None, item
    names, cells = _columns_of(item)
    named = dict(zip(names, cells, strict=False))
    if "workspace" in named:
        return named.pop("workspace"), named
    if not cells or isinstance(item, Mapping):
        return None, ()
    first, *rest = cells
    return first, rest[0] if len(rest) == 1 and isinstance(rest[0], Detach) else rest


def _ids_of(item: Any) -> Sequence[Any] | None:
    if isinstance(item, Detach):
        return item.conversation_id, item.contact_id, item.admin_id
    cells = item
    if type(item) is not tuple and type(item) is not list:
        names, cells = _columns_of(item)
        named = dict(zip(names, cells, strict=False))
        if any(name in named for name in REQUIRED):
            return [named.get(name) for name in COLUMNS]
        if isinstance(item, Mapping):
            return None
    if len(cells) == 2:
        return [*cells, None]
    return cells if len(cells) == 3 else None


def _columns_of(item: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the names, if there are any, and the values of something that may be a row."""
    if _is_mapping(item):
        return list(item.keys()), list(item.values())
    if callable(getattr(item, "keys", None)):
        return list(item.keys()), list(item)
    if _is_sequence(item):
        return getattr(item, "_fields", ()), item
    return (), ()


def _is_mapping(item: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(item, Mapping)


def _is_sequence(item: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(item, Sequence) and not isinstance(item, str | bytes | bytearray)


def _shown(value: object) -> str:
    if value is None:
        return ""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # a whole number of more than 4,300 digits
        text = "a number"
    return readable(text, LONGEST_ID)
