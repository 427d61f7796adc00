"""Many detaches at once."""

from intercom_async.bulk.results import Cause, DetachResult, DetachSummary, RunFailedError
from intercom_async.bulk.run import DetachRun

__all__ = ["Cause", "DetachResult", "DetachRun", "DetachSummary", "RunFailedError"]
