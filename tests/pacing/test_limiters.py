"""Who shares a limiter, and how long it lives."""

import asyncio
import gc
import weakref

from intercom_async.pacing.limiter import Limiter
from intercom_async.pacing.limiters import limiter_for
from intercom_async.pacing.window import RateLimitPolicy
from intercom_async.runtime import SYSTEM
from intercom_async.secret import Secret


def _find(token: str, url: str = "https://api.intercom.io", **policy: object) -> Limiter:
    return limiter_for(Secret(token), url, RateLimitPolicy(**policy), SYSTEM)()  # type: ignore[arg-type]


async def test_the_same_token_shares_one_limiter_and_another_does_not() -> None:
    one = _find("token")
    assert _find("token") is one
    assert _find("token", max_wait=1.0) is one
    assert _find("other") is not one
    assert _find("token", "https://api.eu.intercom.io") is not one
    assert _find("token", reserve=0.1) is not one


async def test_a_key_shares_or_separates_budgets() -> None:
    one = _find("token", key="workspace 7")
    assert _find("renewed token", key="workspace 7") is one
    assert _find("token", key="workspace 8") is not one


async def test_a_limiter_nobody_uses_is_forgotten() -> None:
    forgotten, kept = weakref.ref(_find("token")), _find("other")
    gc.collect()
    assert forgotten() is None
    assert kept is _find("other")


def test_each_loop_has_its_own_limiter() -> None:
    async def find() -> Limiter:
        return _find("token")

    assert asyncio.run(find()) is not asyncio.run(find())
