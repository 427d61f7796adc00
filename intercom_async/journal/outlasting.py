"""Waiting on, cancelled or not."""

import asyncio
from typing import Any


async def outlast(future: asyncio.Future[Any]) -> None:
    """Wait for the end of something that a cancelled caller must not leave unfinished."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # nobody will ask for it
        raise cancelled
