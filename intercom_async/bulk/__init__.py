"""Many detaches: bounded workers over any iterable, one result per pair.

`results` says what a run tells, `source` pulls and numbers the pairs, `run` does the work.
"""
