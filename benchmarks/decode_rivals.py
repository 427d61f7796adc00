"""What turns a conversation's bytes into objects: this library and others.

The rivals promise less. `pydantic` and `msgspec` models written by hand refuse a document with one
odd member; the codecs alone give dictionaries. They show
what the promises cost. Each is made once, before anything is measured.
"""

import datetime as dt
import importlib.util
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, get_args, get_origin

import attrs
import msgspec

from intercom_async.model import Conversation, IntercomObject
from intercom_async.structuring import decode_conversation

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
    if isinstance(hint, type) and issubclass(hint, IntercomObject):
        return convert(hint)
    if get_origin(hint) is tuple:
        return types.GenericAlias(list, (_plain(get_args(hint)[0], convert),))
    if get_origin(hint) is Mapping:
        return dict[str, Any]
    if get_args(hint) and type(None) in get_args(hint):
        # Of a text with known values, the text: strict models would refuse the next one.
        *_, last = (choice for choice in get_args(hint) if choice is not type(None))
        plain: Any = _plain(last, convert)
        optional: Any = plain | None
        return optional
    is_id = get_origin(hint) is not None
    kept: Any = str | int if is_id else cast("Any", hint)
    return kept


def _fields(kind: type[IntercomObject], convert: _Convert) -> list[tuple[str, Any]]:
    """Return a class's members. Ids come as numbers now and then; strict models must say so."""
    return [
        (field.name, _plain(field.type, convert))
        for field in attrs.fields(kind)
        if field.name != "extra"
    ]


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

    @property
    def missing(self) -> str | None:
        """The module that is not there."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)


DECODE_RIVALS: Final = {
    FLOOR: DecodeRival(_floor, ("orjson",)),
    CODEC: DecodeRival(lambda: msgspec.json.decode),
    OURS: DecodeRival(lambda: decode_conversation),
    "msgspec structs": DecodeRival(_msgspec_structs),
    "pydantic models": DecodeRival(_pydantic_models, ("pydantic",)),
    "python-intercom (official)": DecodeRival(_official, ("orjson", "intercom")),
}
