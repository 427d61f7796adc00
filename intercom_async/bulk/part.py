"""What a run over many workspaces gives to the run of each one."""

from collections.abc import Awaitable, Callable

import attrs

from intercom_async.bulk.access import Renew
from intercom_async.bulk.results import Tally
from intercom_async.journal import Session


@attrs.define(eq=False, kw_only=True)
class Part:
    """One workspace's part of a run; its pairs are read by others and lie in the journal.

    Attributes:
        session: the journal; the pool closes it.
        durable: whether what the journal keeps survives the process.
        over: whether the run may end when nothing is left: no more will come, or others wait.
        note: refreshes the numbers in the journal.
        left: pairs that were read and not taken up.
        moved: called when `left` or `over` may have changed.
        opened: whether the workspace was found to be the right one.
    """

    session: Session
    workspace: str
    durable: bool
    over: Callable[[], bool]
    renew: Renew
    note: Callable[[], Awaitable[None]]
    tally: Tally = attrs.field(factory=Tally)
    left: int = 0
    moved: Callable[[], None] = lambda: None
    opened: bool = False
