"""The options of a run."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypedDict

import attrs

from intercom_async.bulk.summary import DetachSummary
from intercom_async.detaching import DetachResult
from intercom_async.errors import InvalidArgumentError
from intercom_async.ids import check_id
from intercom_async.transport.http import CONNECTIONS
from intercom_async.validators import number, optional

_SECONDS: Final = number("a positive number of seconds", lambda value: value > 0)


COUNT: Final = number(
    "a whole number of at least 1", lambda value: isinstance(value, int) and value >= 1
)
_CONCURRENCY: Final = number(
    f"a whole number from 1 to {CONNECTIONS}, or None",
    lambda value: isinstance(value, int) and 1 <= value <= CONNECTIONS,
)


def _callable_or_none(_: object, attribute: Any, value: object) -> None:
    if value is not None and not callable(value):
        raise InvalidArgumentError(attribute.name, value, "a function of a DetachSummary, or None")


def _admin_id(value: str | int | None) -> str | None:
    return None if value is None else check_id("admin_id", value)


Operation = Callable[..., Awaitable[DetachResult]]
"""What is done with each pair: `settle` with a change, or a `DryRun`."""


class BulkOptions(TypedDict, total=False):
    """The options of any bulk run; see `IntercomClient.detach_contacts`.

    In a pool they hold for each workspace alone, and `admin_id` is for pairs that name no admin, in
    workspaces whose `WorkspaceAccess` names none.
    """

    admin_id: str | int | None
    concurrency: int | None
    stop_after_missing: int | None
    outage_patience: float


@attrs.frozen(kw_only=True)
class RunOptions:
    """`BulkOptions`, checked, and more: what the run does, where, and who sees its progress.

    Attributes:
        operation: "detach", "attach" or "dry run".
    """

    operation: str
    base_url: str
    admin_id: str | None = attrs.field(default=None, converter=_admin_id)
    concurrency: int | None = attrs.field(default=None, validator=optional(_CONCURRENCY))
    stop_after_missing: int | None = attrs.field(default=100, validator=optional(COUNT))
    outage_patience: float = attrs.field(default=900.0, validator=_SECONDS)
    progress: Callable[[DetachSummary], object] | None = attrs.field(
        default=None, validator=_callable_or_none
    )
