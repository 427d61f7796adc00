"""The counters behind `client.stats()`: plain attributes, because every request pays for them."""

from intercom_async.stats import ClientStats


class Counters:
    """What happened so far; see `ClientStats` for the meaning of each."""

    __slots__ = (
        "calls",
        "given_up",
        "lost",
        "replies",
        "retries",
        "waited",
        "waits",
        "waits_refused",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.replies: dict[int, int] = {}
        self.lost = 0
        self.retries = 0
        self.given_up = 0
        self.waits = 0
        self.waited = 0.0
        self.waits_refused = 0

    def replied(self, status: int) -> None:
        """Count an answer."""
        self.replies[status] = self.replies.get(status, 0) + 1

    def snapshot(self) -> ClientStats:
        """Return the numbers as they are now."""
        return ClientStats(
            calls=self.calls,
            requests=sum(self.replies.values()) + self.lost,
            by_status=dict(sorted(self.replies.items())),
            lost=self.lost,
            retries=self.retries,
            refusals=self.replies.get(429, 0),
            given_up=self.given_up,
            waits=self.waits,
            waited=self.waited,
            waits_refused=self.waits_refused,
        )
