"""What decoding a conversation costs beside reading its JSON, and how long it holds the loop.

The rivals promise less, and show what the promises cost: the codecs alone give dictionaries.
"""

import asyncio
import functools
import gc
import json
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from benchmarks.frame import Bound, Comparison, Options, is_installed, measured
from intercom_async.simulator import Workspace, documents
from intercom_async.structuring import decode_conversation
from intercom_async.structuring.replies import read_conversation
from intercom_async.transport.wire import Reply

Decode = Callable[[bytes], object]

OURS: Final = "decode_conversation"
CODEC: Final = "msgspec.json.decode"
FLOOR: Final = "orjson.loads"
BOUND: Final = Bound("ratio", 4.0)
ODD_BOUND: Final = Bound("ratio", 12.0)
HOLD_MS: Final = Bound("value", 5.0)
TURN: Final = 20_000
"""Microseconds of CPU, roughly, that a decoder's turn takes."""

_JSON = dict[str, Any]
_TEXT: Final = (
    "<p>Hello, the invoice of last month shows the old address — could you send it again? "
    "Ordered twice, paid once; see the attachment. “Thanks”!</p>\n"
)
_TIME: Final = "2024-06-27T12:55:51Z"


def _conversation(parts: int, every_part: _JSON | None = None, **changes: Any) -> bytes:
    """Return a conversation with so many parts; without any, as a search gives it."""
    workspace = Workspace()
    contacts = [workspace.add_contact(external_id="70"), workspace.add_contact()]
    record = workspace.conversations[workspace.add_conversation(contacts, parts=parts)]
    if not parts:
        return _encode(documents.conversation(record, workspace) | changes)
    document = documents.retrieved(record, workspace)
    for number, part in enumerate(document["conversation_parts"]["conversation_parts"]):
        part.update({"body": _TEXT * (2 + number % 5)}, **(every_part or {}))
    return _encode(document | changes)


def _encode(document: _JSON) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def measure(options: Options) -> list[Comparison]:
    """Measure usual documents with every rival, odd ones with those that survive them."""
    usual = {
        "detach reply": _encode({"customers": [{"type": "user", "id": "667d60d18a68186f43ba"}]}),
        "small": _conversation(0),
        "20 parts": _conversation(20),
        "500 parts": _conversation(500),
    }
    odd = {
        "small, one unknown member": _conversation(0, sentiment={"score": 0.5}),
        "small, times as text": _conversation(0, created_at=_TIME),
        "20 parts, one odd member": _conversation(20, updated_at=1719492951.25),
        "20 parts, an unknown member in each": _conversation(20, {"sentiment": "calm"}),
        "500 parts, an unknown member in each": _conversation(500, {"sentiment": "calm"}),
        "500 parts, an odd member in each": _conversation(500, {"updated_at": _TIME}),
    }
    decoders = _decoders()
    lenient: dict[str, Decode] = {
        name: decoders[name] for name in (FLOOR, CODEC, OURS) if name in decoders
    }
    gc.collect()
    gc.freeze()  # the collector must not spend time on the rivals' modules
    return [
        *(_compare(name, body, decoders, options, BOUND) for name, body in usual.items()),
        *(_compare(name, body, lenient, options, ODD_BOUND) for name, body in odd.items()),
        _holds({**usual, **{name: odd[name] for name in odd if "500" in name}}, options),
    ]


def _decoders() -> dict[str, Decode]:
    decoders: dict[str, Decode] = {CODEC: msgspec.json.decode, OURS: decode_conversation}
    if is_installed("orjson"):
        import orjson

        decoders = {FLOOR: orjson.loads, **decoders}
        if is_installed("intercom"):
            from intercom.conversations.types.conversation import Conversation
            from intercom.core.unchecked_base_model import construct_type

            decoders["python-intercom (official)"] = lambda body: construct_type(
                type_=Conversation, object_=orjson.loads(body)
            )
    return decoders


def _compare(
    name: str, body: bytes, decoders: dict[str, Decode], options: Options, bound: Bound
) -> Comparison:
    turns = {
        contestant: functools.partial(_time, decode, body, _repeats(decode, body, options))
        for contestant, decode in decoders.items()
    }
    return Comparison(
        name=f"decode, {name} ({len(body) / 1000:.1f} kB)",
        unit="µs of CPU",
        baseline=next(iter(decoders)),
        rounds=measured(turns, options.rounds),
        bounds={} if name == "detach reply" else {OURS: bound},
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


def _holds(bodies: dict[str, bytes], options: Options) -> Comparison:
    """Measure the longest time between two turns of the loop while a client decodes a reply."""
    turns = {name: functools.partial(_hold, body) for name, body in bodies.items()}
    return Comparison(
        name="longest hold of the event loop by a decoding",
        unit="ms of CPU",
        baseline="small",
        rounds=measured(turns, options.rounds),
        bounds=dict.fromkeys(bodies, HOLD_MS),
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
