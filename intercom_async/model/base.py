"""What all of Intercom's objects share."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import attrs

from intercom_async.replies import ReplyHead


class NumericId(str):
    """An id that came as a JSON number; the same text as any other id, encoded as a number again.

    Intercom sends assignees and teams as numbers, and now and then the ids of parts.
    """

    __slots__ = ()


class _Number(Enum):
    """A number in the place of an id, as msgspec sees it.

    msgspec makes values in C, but asks an enumeration about a number that this does not list. So
    numbers become `NumericId`s here, and texts never leave C.
    """

    NO_ID = -1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return NumericId(value)


if TYPE_CHECKING:
    Id: TypeAlias = str
    """An id given by Intercom. Always text here, whatever it was on the wire."""
else:  # what msgspec can decode directly, see `structuring.fast_path`
    Id = str | _Number


_nothing = cast("Callable[[], dict[str, Any]]", dict)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class IntercomObject:
    """An object as Intercom sent it, with the wire's own names.

    Every field is optional, because no version but 2.11 of the API requires any: None stands
    for a member that was null, absent, or of another type.

    Attributes:
        type: Intercom's name for the kind of object, such as "admin"; few have none.
        extra: members that this model does not have, by their wire name, as they came; and the raw
            value of each member that did not quite fit its field. When a member is here and in
            its field, the value here is exact and the field holds the closest to it.
    """

    extra: Mapping[str, Any] = attrs.field(factory=_nothing)
    type: str | None = None

    def __repr__(self) -> str:
        """Show only the members that are there, which are few."""
        members = ((field.name, getattr(self, field.name)) for field in attrs.fields(type(self)))
        shown = ", ".join(f"{name}={value!r}" for name, value in members if value not in (None, {}))
        return f"{type(self).__name__}({shown})"

    # Written once here: if attrs wrote them for each class, importing the model would take twice
    # as long.

    def __eq__(self, other: object) -> bool:
        """Compare all members with another object of the same class."""
        if type(other) is not type(self):
            return NotImplemented
        names = (field.name for field in attrs.fields(type(self)))
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        """Hash class and id alone: other members may hold mappings, which have no hash."""
        return hash((type(self), getattr(self, "id", None)))


class RepliedObject(IntercomObject):
    """An object that is the answer to a call, or one of a list in it."""

    __slots__ = ("_reply",)  # no member of Intercom's: neither compared, shown nor encoded

    @property
    def reply(self) -> ReplyHead | None:
        """Request id, status and headers of the reply it came with; None for a copy."""
        return getattr(self, "_reply", None)


def mark(replied: RepliedObject, reply: ReplyHead) -> None:
    """Note the reply that a new object came with."""
    object.__setattr__(replied, "_reply", reply)
