"""Looks for a secret in everything an exception shows, and in everything an object leads to."""

import asyncio
import gc
import inspect
import pickle
import sys
import traceback
import types
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

import intercom_async

PACKAGE = Path(intercom_async.__file__).parent
TESTS = Path(__file__).parent.parent

_BEHIND: tuple[type, ...] = (
    type,
    types.ModuleType,
    types.CodeType,
    asyncio.AbstractEventLoop,
    asyncio.Task,
    asyncio.BaseTransport,
)
"""What leads to the whole process, and so to the test that knows the secret."""


def frames_of(raised: BaseException) -> Iterator[types.FrameType]:
    """The frames of an exception's traceback that are not the tests' own."""
    for frame, _ in traceback.walk_tb(raised.__traceback__):
        if not _is_a_test_s(frame.f_code):
            yield frame


def _is_a_test_s(code: types.CodeType) -> bool:
    return Path(code.co_filename).is_relative_to(TESTS)


def chain_of(raised: BaseException) -> Iterator[BaseException]:
    """An exception, its causes, its contexts, and the members of groups."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [raised]
    while queue:
        each = queue.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        queue += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            queue += each.exceptions
        yield each


def texts_of(raised: BaseException) -> Iterator[str]:
    """Everything that an exception can show; error trackers show local variables, too."""
    for each in chain_of(raised):
        yield repr(each)
        yield str(each)
        yield repr(each.args)
        yield repr(vars(each))
        yield "".join(traceback.format_exception(each))
        for frame in frames_of(each):
            for name, value in frame.f_locals.items():
                yield f"{name} in {frame.f_code.co_qualname}: {_shown(value)}"
    yield repr(pickle.dumps(raised))


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  an object that is only half made, as trackers do
        return f"<no repr: {error}>"


def holders_of(secret: str, *roots: Any, known: tuple[type, ...] = ()) -> list[str]:
    """Return the ways that lead from some objects to texts that hold a secret.

    Objects of the `known` classes are meant to hold it; nothing behind them is looked at.
    """
    behind = (*_BEHIND, *known)
    seen = {id(root): root for root in roots}  # kept, so that ids stay unique
    queue = deque[tuple[Any, tuple[str, ...]]]((root, ()) for root in roots)
    found: list[str] = []
    while queue:
        each, way = queue.popleft()
        if isinstance(each, bytes | bytearray):
            each = each.decode("latin-1")
        kind = type(each).__name__
        if isinstance(each, types.FrameType):
            kind = each.f_code.co_qualname
        way = (kind, *way)
        if isinstance(each, str):
            found += [" <- ".join(way)] if secret in each else []
        elif not isinstance(each, behind):
            for referent in _referents(each):
                if id(referent) not in seen:
                    seen[id(referent)] = referent
                    queue.append((referent, way))
    return found


def _referents(each: Any) -> Iterator[Any]:
    if isinstance(each, types.FunctionType):  # not its module's globals
        yield from each.__closure__ or ()
        yield from each.__defaults__ or ()
        yield each.__kwdefaults__
        yield each.__dict__
    elif isinstance(each, types.TracebackType):
        yield each.tb_frame
        yield each.tb_next
    elif isinstance(each, types.FrameType):
        if not _is_a_test_s(each.f_code):
            yield from each.f_locals.values()
    elif inspect.iscoroutine(each):
        yield each.cr_frame
    elif inspect.isgenerator(each):
        yield each.gi_frame
    elif inspect.isasyncgen(each):
        yield each.ag_frame
    elif isinstance(each, aiohttp.ClientSession):
        # Its default headers may be a C type's that the collector does not look into.
        yield dict(each.headers)
        yield from gc.get_referents(each)
    elif isinstance(each, msgspec.Struct):  # hidden from the garbage collector, some of them
        yield from (getattr(each, name) for name in each.__struct_fields__)
    elif isinstance(each, dict) and each.get("__name__") in sys.modules and "__spec__" in each:
        return  # a module's globals
    else:
        yield from gc.get_referents(each)
