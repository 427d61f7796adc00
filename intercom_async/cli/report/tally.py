"""Records in numbers."""

import attrs


@attrs.define
class Tally:
    """A count of records and of what they cost.

    Attributes:
        records: how many; a pair that was tried again has several.
        settled: those of them that settled their pair.
        requests: sent for them, checks included, those refused with 429 not.
        retries: of the requests, how many repeated or checked an earlier one.
        refusals: further requests that were refused with 429.
    """

    records: int = 0
    settled: int = 0
    requests: int = 0
    retries: int = 0
    refusals: int = 0

    def add(self, other: "Tally") -> None:
        """Count what the other one counted as well."""
        self.records += other.records
        self.settled += other.settled
        self.requests += other.requests
        self.retries += other.retries
        self.refusals += other.refusals
