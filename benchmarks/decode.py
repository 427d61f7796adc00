"""What decoding a conversation costs beside reading its JSON, and how long it holds the loop."""

import asyncio
import functools
import gc
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.decode_documents import DETACH_REPLY, ODD, USUAL
from benchmarks.decode_rivals import CODEC, DECODE_RIVALS, FLOOR, OURS, Decode
from benchmarks.figures import Bound, Comparison, Options, installed, measured
from intercom_async.structuring.replies import read_conversation
from intercom_async.transport.wire import Reply

BOUND: Final = 4.0
ODD_BOUND: Final = 12.0
TURN: Final = 20_000
"""Microseconds of CPU, roughly, that a decoder's turn takes."""

HOLD_MS: Final = 5.0


def measure(options: Options) -> list[Comparison]:
    """Measure usual documents with every rival, odd ones with those that survive them."""
    present, notes = installed({name: rival.needs for name, rival in DECODE_RIVALS.items()})
    decoders = {name: DECODE_RIVALS[name].make() for name in present}
    lenient: dict[str, Decode] = {
        name: decoders[name] for name in (FLOOR, CODEC, OURS) if name in decoders
    }
    gc.collect()
    gc.freeze()  # the collector must not spend time on the rivals' modules
    return [
        *(
            _compare(name, USUAL[name], decoders, options, bound=BOUND, notes=notes)
            for name in USUAL
        ),
        _compare("detach reply", DETACH_REPLY, lenient, options),
        *(
            _compare(name, ODD[name], lenient, options, bound=ODD_BOUND)
            for name in list(ODD)[:: 2 if options.quick else 1]
        ),
        _holds(options),
    ]


def _compare(
    name: str,
    body: bytes,
    decoders: dict[str, Decode],
    options: Options,
    *,
    bound: float | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    turns = {
        contestant: functools.partial(_time, decode, body, _repeats(decode, body, options))
        for contestant, decode in decoders.items()
    }
    return Comparison(
        name=f"decode, {name} ({len(body) / 1000:.1f} kB)",
        unit="µs of CPU",
        baseline=FLOOR if FLOOR in decoders else CODEC,
        rounds=measured(turns, options.rounds),
        bounds={} if bound is None else {OURS: Bound("ratio", bound)},
        notes=notes,
    )


def _repeats(decode: Decode, body: bytes, options: Options) -> int:
    """Return how many decodings fill a turn; the first ones warm up and do not count."""
    _time(decode, body, 2)
    turn = TURN / 4 if options.quick else TURN
    return max(1, int(turn / _time(decode, body, 3)))


def _time(decode: Decode, body: bytes, repeats: int) -> float:
    """Return the microseconds of CPU that one of `repeats` decodings takes."""
    began = time.process_time()
    for _ in range(repeats):
        decode(body)
    return (time.process_time() - began) / repeats * 1e6


def _holds(options: Options) -> Comparison:
    """Measure the longest time between two turns of the loop while a client decodes a reply."""
    bodies = USUAL | {name: body for name, body in ODD.items() if name.startswith("500")}
    return Comparison(
        name="longest hold of the event loop by a decoding",
        unit="ms of CPU",
        baseline="small",
        rounds=measured(
            {name: functools.partial(_hold, body) for name, body in bodies.items()}, options.rounds
        ),
        bounds={name: Bound("value", HOLD_MS) for name in bodies},
    )


def _hold(body: bytes) -> float:
    """Return the longest turn of the loop's thread, in milliseconds of its CPU.

    The wall clock would measure the turns of other programs, too.
    """

    async def decode() -> float:
        decoding = asyncio.create_task(read_conversation(Reply(status=200, body=body), "1295"))
        longest, last = 0.0, time.thread_time()
        while not decoding.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
        await decoding
        return longest * 1e3

    return asyncio.run(decode())
