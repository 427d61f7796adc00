"""What a run over many workspaces gives to the run of each one."""

from collections.abc import Awaitable, Callable

import attrs

from intercom_async.bulk.results import Tally
from intercom_async.journal import Session
from intercom_async.model import Identity
from intercom_async.transport.sending import Transport

WhoAmI = Callable[[], Awaitable[Identity]]


@attrs.define(eq=False, kw_only=True)
class Part:
    """One workspace's part of a run; its pairs are read by others and lie in the journal.

    Attributes:
        session: the journal, which others close.
        workspace: key of the workspace.
        durable: whether the journal is a file.
        tally: counts what is told.
        over: whether the run may end when nothing is left: no more will come, or others wait.
        renew: looks the token up once more; None if it is still the same.
        note: refreshes the numbers in the journal.
        left: pairs that were read and not taken up.
        moved: called when `left` or `over` may have changed.
        opened: whether the workspace was found to be the right one.
    """

    session: Session
    workspace: str
    durable: bool
    over: Callable[[], bool]
    renew: Callable[[], Awaitable[tuple[Transport, WhoAmI] | None]]
    note: Callable[[], Awaitable[None]]
    tally: Tally = attrs.field(factory=Tally)
    left: int = 0
    moved: Callable[[], None] = lambda: None
    opened: bool = False
