"""The clients that are measured, each written as its documentation shows it.

All make the same request: `DELETE /conversations/{id}/customers/{id}` with the same headers and
body. Each rival is imported where it is opened, so that it adds nothing to another's process.
"""

import asyncio
import contextlib
import functools
import itertools
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import aiohttp
import tenacity

ADMIN: Final = "5017690"
CONTACT: Final = "667d60d18a68186f43bafddd"
TOKEN: Final = "token"  # noqa: S105  any token will do
HEADERS: Final = {
    "Authorization": f"Bearer {TOKEN}",
    "Accept": "application/json",
    "Intercom-Version": "Preview",
}

Detach = Callable[[str], Awaitable[object]]
"""Detach the one contact from a conversation."""

Burst = Callable[[int, int], Awaitable[object]]
"""Make that many calls, at most so many in flight."""

Opened = AbstractAsyncContextManager[Burst]

_conversations = map(str, itertools.count(10_000_000))


def _workers(detach: Detach) -> Burst:
    """Return a burst of single calls: as many workers as may be in flight."""

    async def burst(calls: int, in_flight: int) -> None:
        ids = itertools.islice(_conversations, calls)

        async def work() -> None:
            for conversation_id in ids:
                await detach(conversation_id)

        await asyncio.gather(*(work() for _ in range(in_flight)))

    return burst


@contextlib.asynccontextmanager
async def _aiohttp(
    url: str, session: Any = None, change: Callable[[Detach], Detach] = lambda call: call
) -> AsyncGenerator[Burst]:
    """Call as aiohttp's documentation shows it."""

    async def detach(conversation_id: str) -> bytes:
        where = f"{url}/conversations/{conversation_id}/customers/{CONTACT}"
        async with session.delete(where, json={"admin_id": ADMIN}, headers=HEADERS) as response:
            body: bytes = await response.read()
            return body

    session = session or aiohttp.ClientSession(raise_for_status=True)
    async with session:
        yield _workers(change(detach))


def _with_aiohttp_retry(url: str) -> Opened:
    import aiohttp_retry

    options = aiohttp_retry.ExponentialRetry(attempts=5)
    return _aiohttp(url, aiohttp_retry.RetryClient(retry_options=options))


def _with_tenacity(url: str) -> Opened:
    """Call as most scripts do: they skip a pair that failed five times."""
    retry = tenacity.retry(
        stop=tenacity.stop_after_attempt(5),
        wait=tenacity.wait_random_exponential(max=20),
        retry=tenacity.retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
        retry_error_callback=lambda _: None,
    )
    return _aiohttp(url, change=retry)


@contextlib.asynccontextmanager
async def _httpx(url: str) -> AsyncGenerator[Burst]:
    import httpx

    limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
    async with httpx.AsyncClient(
        base_url=url, headers=HEADERS, limits=limits, timeout=60
    ) as client:

        async def detach(conversation_id: str) -> bytes:
            # `client.delete` takes no body.
            where = f"/conversations/{conversation_id}/customers/{CONTACT}"
            return (await client.request("DELETE", where, json={"admin_id": ADMIN})).content

        yield _workers(detach)


@contextlib.asynccontextmanager
async def _official(url: str) -> AsyncGenerator[Burst]:
    import intercom

    client = intercom.AsyncIntercom(token=TOKEN, base_url=url)
    call = client.conversations.detach_contact_as_admin
    yield _workers(lambda conversation_id: call(conversation_id, CONTACT, admin_id=ADMIN))


@contextlib.asynccontextmanager
async def _ours(url: str) -> AsyncGenerator[Burst]:
    from intercom_async import IntercomClient

    async with IntercomClient(TOKEN, base_url=url, admin_id=ADMIN) as client:
        yield _workers(lambda conversation_id: client.detach_contact(conversation_id, CONTACT))


@contextlib.asynccontextmanager
async def _our_bulk(url: str, *, journal: bool = False) -> AsyncGenerator[Burst]:
    from intercom_async import IntercomClient

    async with IntercomClient(TOKEN, base_url=url) as client:

        async def burst(calls: int, in_flight: int) -> None:
            ids = itertools.islice(_conversations, calls)
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                summary = await client.detach_contacts(
                    ((conversation_id, CONTACT) for conversation_id in ids),
                    admin_id=ADMIN,
                    concurrency=in_flight,
                    journal=Path(folder, "run.db") if journal else None,
                )
            assert summary.settled == calls

        yield burst


BARE: Final = "bare aiohttp"
OURS: Final = "intercom_async"
OUR_BULK: Final = "detach_contacts"
JOURNAL: Final = "detach_contacts with a journal"
TENACITY: Final = "aiohttp + tenacity"

RIVALS: Final[dict[str, Callable[[str], Opened]]] = {
    BARE: _aiohttp,
    OURS: _ours,
    OUR_BULK: _our_bulk,
    JOURNAL: functools.partial(_our_bulk, journal=True),
    "aiohttp-retry": _with_aiohttp_retry,
    TENACITY: _with_tenacity,
    "httpx": _httpx,
    "python-intercom (official)": _official,
}
