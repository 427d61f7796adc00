"""Many detaches at once.

`base_run` has what runs of clients and pools share. `run` decides when a client's run stops and
which pairs get a second try; `reader` reads its input, `queue` orders the pairs, `sender` sends.
"""

from intercom_async.bulk.run import DetachRun
from intercom_async.bulk.summary import (
    Cause,
    DetachSummary,
    PoolResult,
    PoolSummary,
    RunFailedError,
)

__all__ = ["Cause", "DetachRun", "DetachSummary", "PoolResult", "PoolSummary", "RunFailedError"]
