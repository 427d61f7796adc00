"""The decoders of a conversation: this library's and others.

The rivals promise less, and show what the promises cost: `pydantic` and `msgspec` models refuse a
document with one odd member, and the codecs alone give dictionaries.
"""

import datetime as dt
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import attrs
import msgspec

from intercom_async.model import Conversation, Id, IntercomObject
from intercom_async.structuring import decode_conversation
from intercom_async.structuring.fast_path import is_model, is_tuple, members

Decode = Callable[[bytes], object]
_Convert = Callable[[type[IntercomObject]], Any]

FLOOR: Final = "orjson.loads"
CODEC: Final = "msgspec.json.decode"
OURS: Final = "decode_conversation"


def _floor() -> Decode:
    import orjson

    return orjson.loads


def _plain(hint: Any, convert: _Convert) -> Any:
    """Return a field's type with other classes in the places of the model's."""
    if is_model(hint):
        return convert(hint)
    if is_tuple(hint):
        return types.GenericAlias(list, (_plain(get_args(hint)[0], convert),))
    plain: dict[Any, Any] = {Id: str | int, int | float: float, Mapping[str, Any]: dict[str, Any]}
    return plain.get(hint, hint)


def _fields(kind: type[IntercomObject], convert: _Convert) -> list[tuple[str, Any]]:
    """Return a class's members. Ids come as numbers now and then; strict models must say so."""
    return [(name, _plain(hint, convert) | None) for name, hint in members(kind).items()]


def _msgspec_structs() -> Decode:
    made: dict[type[IntercomObject], Any] = {}

    def convert(kind: type[IntercomObject]) -> Any:
        if kind not in made:
            members = [
                (name, int | None if hint == dt.datetime | None else hint, None)
                for name, hint in _fields(kind, convert)
            ]
            made[kind] = msgspec.defstruct(kind.__name__, members)
        return made[kind]

    return msgspec.json.Decoder(convert(Conversation)).decode


def _pydantic_models() -> Decode:
    import pydantic

    made: dict[type[IntercomObject], Any] = {}

    def convert(kind: type[IntercomObject]) -> Any:
        if kind not in made:
            members: dict[str, Any] = {name: (hint, None) for name, hint in _fields(kind, convert)}
            made[kind] = pydantic.create_model(
                kind.__name__, __config__=pydantic.ConfigDict(extra="allow"), **members
            )
        return made[kind]

    model = convert(Conversation)
    decode: Decode = model.model_validate_json
    return decode


def _official() -> Decode:
    import orjson
    from intercom.conversations.types.conversation import Conversation as Theirs
    from intercom.core.unchecked_base_model import construct_type

    return lambda body: construct_type(type_=Theirs, object_=orjson.loads(body))


@attrs.frozen
class DecodeRival:
    """A decoder to be measured."""

    make: Callable[[], Decode]
    needs: tuple[str, ...] = ()


DECODE_RIVALS: Final = {
    FLOOR: DecodeRival(_floor, ("orjson",)),
    CODEC: DecodeRival(lambda: msgspec.json.decode),
    OURS: DecodeRival(lambda: decode_conversation),
    "msgspec structs": DecodeRival(_msgspec_structs),
    "pydantic models": DecodeRival(_pydantic_models, ("pydantic",)),
    "python-intercom (official)": DecodeRival(_official, ("orjson", "intercom")),
}
