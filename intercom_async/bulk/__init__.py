"""Many detaches at once."""

from intercom_async.bulk.run import DetachRun
from intercom_async.bulk.summary import (
    Cause,
    DetachSummary,
    PoolResult,
    PoolSummary,
    RunFailedError,
)

__all__ = ["Cause", "DetachRun", "DetachSummary", "PoolResult", "PoolSummary", "RunFailedError"]
