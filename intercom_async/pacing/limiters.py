"""Finds a client's limiter: in one loop, clients with the same token and base URL share one.

With a `SharedBudget`, that limiter shares its quota with those of other processes.
"""

import asyncio
import functools
import hashlib
from collections.abc import Callable, Hashable
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary

import attrs

from intercom_async.pacing.limiter import Limiter
from intercom_async.pacing.shared_budget import SharedBudget
from intercom_async.pacing.window import RateLimitPolicy
from intercom_async.runtime import Runtime
from intercom_async.secret import Secret

_Limiters = WeakValueDictionary[Hashable, Limiter]
_LIMITERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Limiters]] = WeakKeyDictionary()


def limiter_for(
    token: Secret,
    base_url: str,
    policy: RateLimitPolicy,
    runtime: Runtime,
    shared: SharedBudget | None = None,
) -> Callable[[], Limiter]:
    """Return a function that finds or makes the budget's limiter inside the running loop.

    A limiter lives as long as a client uses it. Of the token only a hash is kept, and with
    `RateLimitPolicy.key` not even that.
    """
    owner: Hashable = policy.key
    if owner is None:
        owner = hashlib.sha256(token.reveal().encode()).digest()
    # How long a call may wait concerns that call alone, so it separates no budgets.
    key = (owner, base_url, attrs.evolve(policy, key=None, max_wait=None), shared)
    share = None
    if shared is not None:
        share = functools.partial(shared.window, _name(owner, base_url))

    def find() -> Limiter:
        limiters = _LIMITERS.setdefault(asyncio.get_running_loop(), _Limiters())
        limiter = limiters.get(key)
        if limiter is None:
            limiter = limiters[key] = Limiter(policy, runtime, share=share)
        return limiter

    return find


def _name(owner: Hashable, base_url: str) -> str:
    """Return a name for a budget, the same in every process, that does not disclose the token."""
    seed = owner if isinstance(owner, bytes) else repr(owner).encode()
    return hashlib.sha256(seed + base_url.encode()).hexdigest()[:24]
