"""Error trackers keep local variables of every frame; none of them shows or leads to the token."""

import asyncio
import functools
import gc
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

import aiohttp
import pytest

from intercom_async import (
    IntercomClient,
    IntercomPool,
    RateLimitPolicy,
    RetryPolicy,
    WorkspaceAccess,
    detach_contact,
)
from intercom_async.cli.options import Connection
from intercom_async.client import TOKEN_VARIABLE
from intercom_async.secret import Secret
from intercom_async.transport.http import Http
from tests.support.raw_server import RawServer, always, reply
from tests.support.secret_search import chain_of, frames_of, holders_of, texts_of

TOKEN = "dG9rOm1hcmtlZC1zZWNyZXQ="
"""In the form of Intercom's own."""


def not_shown(raised: BaseException) -> None:
    assert not [text for text in texts_of(raised) if TOKEN in text]


def nothing_shown(raised: BaseException) -> None:
    """Neither shown nor to be reached, except through the one object that sends it."""
    not_shown(raised)
    frames = [frame for each in chain_of(raised) for frame in frames_of(each)]
    assert holders_of(TOKEN, *chain_of(raised), *frames, known=(Http, Secret)) == []


OPTIONS: dict[str, Any] = {
    "region": "moon",
    "base_url": "https://127.0.0.1:99999",
    "version": "3",
    "timeout": -1,
    "retry": 5,
    "rate_limit": 5,
    "observer": 5,
}
TOKENS: tuple[Any, ...] = (f"Bearer {TOKEN}\n", f'"{TOKEN} "', "ü" + TOKEN, TOKEN.encode(), [TOKEN])
UNUSABLE: dict[str, Callable[[], object]] = {
    **{
        option: functools.partial(IntercomClient, TOKEN, **{option: value})
        for option, value in OPTIONS.items()
    },
    **{f"token {token!r:.12}": functools.partial(IntercomClient, token) for token in TOKENS},
    "token of the environment": lambda: IntercomClient(timeout=0),
    "call of the facade": lambda: asyncio.run(detach_contact("1", "..", admin_id="3")),
    "token of a file": lambda: Connection(region="moon", token_file=Path("token")).open_client(),
}
POOLS: dict[str, Callable[[], object]] = {  # they lead to the application's own directory
    "pool of no directory": lambda: IntercomPool([("acme", TOKEN)]),  # type: ignore[arg-type]
    "pool's timeout": lambda: IntercomPool(MappingProxyType({"acme": TOKEN}), timeout=-1),
    "pool's key": lambda: IntercomPool({"acme": TOKEN}, rate_limit=RateLimitPolicy(key="one")),
}


@pytest.mark.parametrize("name", [*UNUSABLE, *POOLS])
def test_what_cannot_be_made_shows_no_token(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.chdir(tmp_path)
    Path("token").write_text(TOKEN)
    with pytest.raises(ValueError) as caught:
        (UNUSABLE | POOLS)[name]()
    check = not_shown if name in POOLS else nothing_shown
    check(caught.value)


ACCESSES: dict[str, Any] = {
    "bytes": TOKEN.encode(),
    "a dictionary": {"token": TOKEN},
    "a token with a space": TOKEN + " ",
    "a wrong region": WorkspaceAccess(TOKEN, region="moon"),  # type: ignore[arg-type]
    "no text": WorkspaceAccess(TOKEN.encode()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("workspace", [*ACCESSES, "acme"])
async def test_an_access_that_cannot_be_used_is_not_shown(workspace: str) -> None:
    known = MappingProxyType(ACCESSES | {"umbrella": TOKEN})
    async with IntercomPool(known) as pool:
        with pytest.raises(Exception, match=f"{workspace}|token|region") as caught:
            async with pool.client(workspace):
                pass
    not_shown(caught.value)


async def silence(_: int, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def unfinished(_: int, writer: asyncio.StreamWriter) -> None:
    lines = f"X-Request-Id: {TOKEN}\r\nContent-Length: 90"
    writer.write(f"HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{{".encode())
    await asyncio.sleep(3600)


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("script", [silence, unfinished])
@pytest.mark.parametrize("own_session", [True, False])
async def test_a_call_that_is_cut_off_leads_to_no_token(own_session: bool, script: Any) -> None:
    async with (
        RawServer(script) as server,
        aiohttp.ClientSession() as session,
        IntercomClient(
            TOKEN, base_url=server.url, session=None if own_session else session
        ) as client,
    ):
        with pytest.raises(TimeoutError) as timed_out:
            async with asyncio.timeout(0.5):
                await client.get_conversation("1")
        nothing_shown(timed_out.value)
        call = asyncio.create_task(client.whoami())
        await asyncio.sleep(0.5)
        call.cancel("a reason")
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await call
        nothing_shown(cancelled.value)
        assert "a reason" in [each.args[0] for each in chain_of(cancelled.value) if each.args]


ROOMS = re.compile(r"aiohttp/|intercom_async/transport/|asyncio/selector_events")


def interrupted(line: int, raised: type[BaseException]) -> list[Any]:
    """Detach, and raise before a line as a signal's handler does; return what anybody gets to see.

    The line is the n-th that this library's, aiohttp's and asyncio's transports run.
    """
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                raise raised
        return trace if ROOMS.search(frame.f_code.co_filename) else None

    async def work() -> None:
        once = RetryPolicy(attempts=1)
        async with (
            RawServer(always(reply())) as server,
            IntercomClient(TOKEN, base_url=server.url, retry=once) as client,
        ):
            sys.settrace(trace)
            await client.detach_contact("1", "2", admin_id="3")
            sys.settrace(before)

    before = sys.gettrace()  # of whoever counts lines
    seen: list[Any] = []
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_exception_handler(lambda _, context: seen.append(context.get("exception")))
        task = loop.create_task(work())
        try:
            loop.run_until_complete(asyncio.wait([task], timeout=0.5))
            seen.append(task.exception() if task.done() else None)
        except raised as error:
            seen.append(error)
        finally:
            sys.settrace(before)
            while unfinished := asyncio.all_tasks(loop):
                for each in unfinished:
                    each.cancel()
                seen += loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
            loop.run_until_complete(asyncio.sleep(0))
    return seen


def forget(_: object) -> None:
    """Keep nothing of what nobody could raise."""


def repr_of_anything(value: object) -> str:
    try:
        return repr(value)
    except AttributeError:
        return f"<an unfinished {type(value).__name__}>"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what is cut off just anywhere
@pytest.mark.parametrize(("first", "raised"), [(1, KeyboardInterrupt), (11, SystemExit)])
def test_an_interruption_shows_no_token_wherever_it_comes(
    first: int, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's own hook keeps what was cut off, for the next test to be blamed for.
    monkeypatch.setattr(sys, "unraisablehook", forget)
    # Python 3.11 fails to show an object whose `__init__` was cut off.
    monkeypatch.setattr(traceback, "repr", repr_of_anything, raising=False)
    seen = 0
    for line in range(first, 700, 21):
        for error in filter(None, interrupted(line, raised)):
            seen += isinstance(error, raised)
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            # The server shares the loop: it alone reads the token.
            ours = [each for each in shown.format() if "_read_ready__data_received" not in each]
            assert not [each for each in ours if TOKEN in each], line
    assert seen > 16
    while gc.collect():  # what was cut off is complained of here, not in the next test
        pass
