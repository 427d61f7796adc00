"""Many detaches: bounded workers over any iterable, one result per pair.

`results` says what a run tells, `source` pulls and numbers the pairs, `run` does the work,
`lifecycle` begins and ends it, `telling` hands results to the consumer.
"""

from intercom_async.bulk.results import DetachResult, DetachSummary
from intercom_async.bulk.run import DetachRun

__all__ = ["DetachResult", "DetachRun", "DetachSummary"]
