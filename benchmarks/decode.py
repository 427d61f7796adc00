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
import orjson
from intercom.conversations.types.conversation import Conversation
from intercom.core.unchecked_base_model import construct_type

from benchmarks.frame import Bound, Figure, Options, Table, measured
from intercom_async.simulator import Workspace, documents
from intercom_async.structuring import decode_conversation
from intercom_async.structuring.replies import read_conversation
from intercom_async.transport.wire import Reply

OURS: Final = "decode_conversation"
BOUND: Final = Bound("ratio", 4.0)
ODD_BOUND: Final = Bound("ratio", 12.0)
HOLD_MS: Final = Bound("value", 5.0)
_TURN: Final = 0.01
"""Seconds of CPU, at least, that the decodings of one document take."""

Decode = Callable[[bytes], object]
_JSON = dict[str, Any]
_TEXT: Final = (
    "<p>Hello, the invoice of last month shows the old address — could you send it again? "
    "Ordered twice, paid once; see the attachment. “Thanks”!</p>\n"
)
_TIME: Final = "2024-06-27T12:55:51Z"


def measure(options: Options) -> list[Table]:
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
    lenient: dict[str, Decode] = {
        "orjson.loads": orjson.loads,
        "msgspec.json.decode": msgspec.json.decode,
        OURS: decode_conversation,
    }
    decoders = lenient | {"python-intercom (official)": _officially}
    gc.collect()
    gc.freeze()  # the collector must not spend time on the rivals' modules
    held = usual | {name: odd[name] for name in odd if "500" in name}
    reader = "a client's reading"
    return [
        _costs(usual, decoders, options, BOUND),
        _costs(odd, lenient, options, ODD_BOUND),
        Table(
            [Figure(f"hold of the loop, {name}", "ms", {reader: HOLD_MS}) for name in held],
            measured({reader: lambda: [*map(_hold, held.values())]}, options.rounds),
        ),
    ]


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


def _officially(body: bytes) -> object:
    return construct_type(type_=Conversation, object_=orjson.loads(body))


def _costs(
    bodies: dict[str, bytes], decoders: dict[str, Decode], options: Options, bound: Bound
) -> Table:
    figures = [
        Figure(
            f"decode, {name} ({len(body) / 1000:.1f} kB)",
            "µs of CPU",
            {} if name == "detach reply" else {OURS: bound},
        )
        for name, body in bodies.items()
    ]

    def turn(decode: Decode) -> list[float]:
        return [_cost(decode, body) for body in bodies.values()]

    contestants = {name: functools.partial(turn, decode) for name, decode in decoders.items()}
    return Table(figures, measured(contestants, options.rounds))


def _cost(decode: Decode, body: bytes) -> float:
    """Return the microseconds of CPU that a decoding takes, of as many as fill a turn."""
    repeats, spent = 1, 0.0
    while spent < _TURN:  # what is too short to count warms up
        repeats *= 2
        began = time.process_time()
        for _ in range(repeats):
            decode(body)
        spent = time.process_time() - began
    return spent / repeats * 1e6


def _hold(body: bytes) -> float:
    """Return the longest turn of the loop, in milliseconds, while a client decodes a reply.

    By the wall clock, because a thread that decodes makes the loop wait for the interpreter's lock.
    """

    async def decode() -> float:
        decoding = asyncio.create_task(read_conversation(Reply(status=200, body=body), "1295"))
        longest, last = 0.0, time.perf_counter()
        while not decoding.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        await decoding
        return longest * 1e3

    return asyncio.run(decode())
