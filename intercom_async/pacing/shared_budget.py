"""A quota that processes share more closely than the headers allow."""

from collections.abc import Callable
from typing import Protocol

from intercom_async.pacing.window import QuotaWindow, RateLimitPolicy


class SharedBudget(Protocol):
    """Makes the quotas of one process; `RedisBudget` is one."""

    def window(
        self,
        name: str,
        policy: RateLimitPolicy,
        random: Callable[[], float],
        wake: Callable[[], None],
    ) -> QuotaWindow:
        """Return a limiter's quota, inside the running loop; it may only be stricter than headers.

        Args:
            name: of the budget, the same in every process; holds no secret.
            wake: call it when a request may leave earlier than the last `wait` said.
        """
        ...
