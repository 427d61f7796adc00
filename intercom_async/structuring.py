"""From bytes to the model and back.

Decoding follows a write that has happened, so it never raises because a member is odd. What a
type promises is what a field holds; whatever does not fit is kept raw in `extra`, so encoding
gives back the document that was decoded. Nothing is guessed: cattrs' own rules would make the
text "None" of a null, True of "false" and 1 of 1.9, so every type the model uses has its own
hook here, and cattrs only dispatches between them.

A hook returns what it understood of a value, wrapped in `_Partly` unless that was all of it.

Usual documents take a shortcut through msgspec that only accepts what needs no thought; see
`_Shortcut`. It is never needed for the result, only for the time.
"""

import functools
import json
import math
import re
import types
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    TypeGuard,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import attrs
import msgspec

from intercom_async.errors import InvalidArgumentError, ResponseDecodeError
from intercom_async.model import (
    ContactPage,
    ContactReference,
    Conversation,
    ConversationPage,
    ConversationPart,
    ConversationParts,
    Id,
    Identity,
    IntercomObject,
    NumericId,
)

if TYPE_CHECKING:
    from cattrs import Converter

_T = TypeVar("_T", bound=IntercomObject)
_Make = TypeVar("_Make", bound=Callable[..., Any])
_Hook = Callable[[Any, Any], Any]

STEP: Final = 64 * 1024
"""Bytes of parts that are decoded at a time: a third of a millisecond, odd ones one or two."""

_REFUSALS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""How msgspec refuses a document."""


def _once(make: _Make) -> _Make:
    """`functools.cache`, whose own type takes no classes as arguments."""
    return cast("_Make", functools.cache(make))


def prepare() -> None:
    """Make what decoding needs, so that no reply has to wait for it.

    It takes 20 milliseconds or so, once: too long for an event loop that has requests in flight,
    and for an import by programs that decode nothing.
    """
    _ = _converter().get_structure_hook(Conversation), _shortcut(Conversation)
    _shortcut(ConversationPart)


def decode_conversation(
    body: bytes | str | Mapping[str, Any], *, default_id: str | None = None
) -> Conversation:
    """Return the conversation that a reply holds.

    Args:
        body: the reply's body, or its JSON object. Values of a mapping are kept, not copied.
        default_id: the `id` of the result if the document has none that was understood. It is
            encoded like any other.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    conversation: Conversation | None = None
    if isinstance(body, bytes | str):
        conversation = _shortcut(Conversation).decode(body)
    if conversation is None:
        conversation = _structure(_json_object(body), Conversation)
    if conversation.id is None:
        # Nobody else has seen it yet; `attrs.evolve` takes longer than all of the rest.
        object.__setattr__(conversation, "id", default_id)
    return conversation


def decode_in_steps(
    body: bytes, *, default_id: str | None = None
) -> Generator[None, None, Conversation]:
    """Decode a long conversation like `decode_conversation`, pausing every `STEP` bytes.

    A generator that returns the conversation; whoever runs it may let others run at each pause.
    The parts are what makes a conversation long, so they are decoded a few at a time. That takes
    a little longer, because the body is scanned for the ends of the parts first.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    try:
        conversation = yield from _by_parts(body, default_id)
    except (*_REFUSALS, KeyError, ResponseDecodeError):
        conversation = None
    if conversation is None:  # what is wrong or unusual has its place in the whole body
        conversation = decode_conversation(body, default_id=default_id)
    return conversation


def _by_parts(body: bytes, default_id: str | None) -> Generator[None, None, Conversation | None]:
    """Decode in steps, if the list of parts is where it is expected and holds objects only."""
    members = _raw_members.decode(body)
    yield
    shell = _raw_members.decode(members.pop("conversation_parts"))
    yield
    entries = _raw_entries.decode(shell.pop("conversation_parts"))
    conversation = decode_conversation(_joined(members), default_id=default_id)
    parts: list[ConversationPart] = []
    size = 0
    for entry in entries:
        part = _entry(entry, ConversationPart)
        if part is None:  # no object, so the list must be kept raw
            return None
        parts.append(part)
        size += len(memoryview(entry))
        if size >= STEP:
            size = 0
            yield
    listed = _structure(decode_json(_joined(shell)), ConversationParts)
    # Nobody else has seen them yet.
    object.__setattr__(listed, "conversation_parts", tuple(parts))
    object.__setattr__(conversation, "conversation_parts", listed)
    return conversation


def _joined(members: Mapping[str, msgspec.Raw]) -> bytes:
    """The JSON object of members that are bytes already."""
    return msgspec.json.encode(members)


def encode_conversation(conversation: Conversation) -> dict[str, Any]:
    """Return the JSON object of a conversation; None stands for absent.

    It equals the object that was decoded, if null and absent count as equal. Free values, such
    as those of `extra` and `custom_attributes`, are shared with the conversation, not copied.

    Raises:
        InvalidArgumentError: a time without a time zone.
    """
    return cast("dict[str, Any]", _converter().unstructure(conversation))


def decode_identity(body: bytes | str | Mapping[str, Any]) -> Identity:
    """Return the admin and workspace that the answer of `GET /me` holds.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    return _structure(_json_object(body), Identity)


def decode_page(body: bytes | str | Mapping[str, Any]) -> ConversationPage:
    """Return a page of conversations; entries that are no objects are left out.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    if isinstance(body, bytes | str):
        try:
            return _page(msgspec.structs.asdict(_page_decoder.decode(body)))
        except (*_REFUSALS, ResponseDecodeError):
            pass  # what is wrong or unusual has its place in the whole body
    return _page(_json_object(body))


def _page(document: Mapping[str, Any]) -> ConversationPage:
    """The page that an object holds; its entries may be bytes."""
    lists = (document.get(name) for name in _PAGE_LISTS)
    listed: Sequence[Any] = next((found for found in lists if is_list(found)), ())
    total = document.get("total_count")
    return ConversationPage(
        conversations=tuple(
            found for entry in listed if (found := _entry(entry, Conversation)) is not None
        ),
        total_count=total if type(total) is int else None,
        starting_after=_next_page(document),
    )


def decode_contacts(body: bytes | str | Mapping[str, Any]) -> ContactPage:
    """Return a page of contacts; entries that are no objects are left out.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    document = _json_object(body)
    listed = document.get("data")
    entries: Sequence[Any] = listed if is_list(listed) else ()
    contacts = (_structure(entry, ContactReference) for entry in entries if is_object(entry))
    return ContactPage(contacts=tuple(contacts), starting_after=_next_page(document))


def _next_page(document: Mapping[str, Any]) -> str | None:
    """The cursor of the following page."""
    pages = document.get("pages")
    following = pages.get("next") if is_object(pages) else None
    cursor = following.get("starting_after") if is_object(following) else None
    return cursor if isinstance(cursor, str) and cursor else None


def decode_json(body: bytes | str) -> Any:
    """Return the JSON value of a body.

    Raises:
        ResponseDecodeError: it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except _REFUSALS:
        pass
    # What other writers of JSON let through: NaN, numbers beyond a float, lone surrogates.
    try:
        return json.loads(body, parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        raise ResponseDecodeError(_reason(error), body=_excerpt(body)) from None


def _parse_int(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # thousands of digits, which Python refuses to convert
        return float(digits)


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _excerpt(body: bytes | str) -> bytes:
    return body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body


def _json_object(body: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    document = decode_json(body) if isinstance(body, bytes | str) else body
    if is_object(document):
        return document
    excerpt = _excerpt(body) if isinstance(body, bytes | str) else b""
    raise ResponseDecodeError(f"a {type(document).__name__}", body=excerpt)


def _structure(document: Mapping[str, Any], kind: type[_T]) -> _T:
    return _converter().structure(document, kind)


_PAGE_LISTS: Final = ("conversations", "data")


class _Page(msgspec.Struct):
    """A page whose entries are bytes."""

    conversations: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    total_count: Any = None
    pages: Any = None


_page_decoder: Final = msgspec.json.Decoder(_Page)
_raw_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_entries: Final = msgspec.json.Decoder(list[msgspec.Raw])


def _entry(entry: Any, kind: type[_T]) -> _T | None:
    """The object of an entry, None if it is none."""
    if isinstance(entry, msgspec.Raw):
        found: _T | None = _shortcut(kind).decode(entry)
        if found is not None:
            return found
        entry = decode_json(bytes(entry))
    return _structure(entry, kind) if is_object(entry) else None


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list | tuple)


# ---------------------------------------------------------------------------------------------
# Values


class _Partly:
    """What was understood of a value that must be kept raw as well."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


_NOTHING: Final = _Partly(None)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_SECONDS: Final = 32_503_680_000
"""The year 3000, where `fromtimestamp` ends on some systems."""
_FIRST_SECOND: Final = -62_135_596_800
"""The year 1."""
_MILLISECONDS_FROM: Final = 10**11
"""As seconds this is the year 5138, as milliseconds 1973: from here on it must be the latter."""
_MILLISECONDS_TO: Final = 10**14
_NUMERIC_TIME: Final = re.compile(r"\d{9,10}(\.\d{1,6})?|\d{12,13}", re.ASCII)
_ISO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII)
_ID_RANGE: Final = range(-(2**63), 2**64)


def _text(value: Any, _: Any) -> Any:
    return value if isinstance(value, str) else _NOTHING


def _id(value: Any, _: Any) -> Any:
    if isinstance(value, str):
        return value
    return NumericId(value) if type(value) is int and value in _ID_RANGE else _NOTHING


def _flag(value: Any, _: Any) -> Any:
    return value if type(value) is bool else _NOTHING


def _whole(value: Any, _: Any) -> Any:
    return value if type(value) is int else _NOTHING


def _number(value: Any, _: Any) -> Any:
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    return _NOTHING


def _choice(value: Any, kind: type[StrEnum]) -> Any:
    if not isinstance(value, str):
        return _NOTHING
    try:
        return kind(value)
    except ValueError:  # a value that is not documented yet
        return value


def _free(value: Any, _: Any) -> Any:
    return value


def _free_map(value: Any, _: Any) -> Any:
    return value if is_object(value) else _NOTHING


def _time(value: Any, _: Any) -> Any:
    """Understand Unix seconds; and other ways to write a moment, which are kept raw too."""
    if type(value) is int and 0 <= value < _PLAIN_SECONDS:
        return datetime.fromtimestamp(value, UTC)
    moment = _moment(value)
    # A moment has whole microseconds, so not every fraction survives.
    return moment if moment and _seconds(moment, None) == value else _Partly(moment)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        if _NUMERIC_TIME.fullmatch(value):
            return _moment(float(value))
        return _iso_moment(value) if _ISO_TIME.fullmatch(value) else None
    if type(value) not in {int, float}:
        return None
    if _FIRST_SECOND <= value < _MILLISECONDS_FROM:  # never true of a NaN
        return _EPOCH + timedelta(seconds=value)
    if _MILLISECONDS_FROM <= value < _MILLISECONDS_TO:
        return _EPOCH + timedelta(milliseconds=value)
    return None


def _iso_moment(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        # Without a zone nobody can say which moment it is.
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _seconds(moment: datetime, _: Any) -> int | float:
    if moment.tzinfo is None:
        raise InvalidArgumentError("conversation", moment, "free of times without a time zone")
    whole, rest = divmod(moment - _EPOCH, timedelta(seconds=1))
    return whole + rest.microseconds / 1_000_000 if rest else whole


# ---------------------------------------------------------------------------------------------
# Types


def _members(kind: type[IntercomObject]) -> dict[str, Any]:
    """The fields that are members on the wire, with their types."""
    fields = {field.name: field.type for field in attrs.fields(kind)}
    del fields["extra"]
    return fields


def _bare(hint: Any) -> Any:
    """The type without `| None`, and of a text with known values, named first, the enumeration."""
    return get_args(hint)[0] if get_origin(hint) in {Union, types.UnionType} else hint


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, IntercomObject)


def _is_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple


def _is_map(hint: Any) -> bool:
    return get_origin(hint) is Mapping


def _is_id(hint: Any) -> bool:
    return bool(hint == Id)


_LEAVES: Final[Mapping[Any, _Hook]] = {
    str: _text,
    bool: _flag,
    int: _whole,
    float: _number,
    datetime: _time,
    StrEnum: _choice,
    Any: _free,
}


# Both, or Python looks for the one that is left each time that an attribute is set.
_UNFROZEN: Final = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}


@_once
def _twin(kind: type[IntercomObject]) -> type[Any]:
    """Return a class with the same slots that is not frozen.

    Setting the slots of a frozen class costs three times as much as of one that is not. So an
    instance of the twin is filled, then its class is changed.
    """
    slots: Any = vars(kind)["__slots__"]
    return type(kind.__name__, kind.__bases__, {"__slots__": slots, **_UNFROZEN})


def _structure_object(kind: type[IntercomObject], converter: "Converter") -> _Hook:
    """Write the hook of a class: a loop over the members takes three times as long."""
    members = {name: _bare(hint) for name, hint in _members(kind).items()}
    names: dict[str, Any] = {
        "new": object.__new__,
        "Twin": _twin(kind),
        "kind": kind,
        "known": frozenset(members),
        "is_object": is_object,
        "Partly": _Partly,
        "NOTHING": _NOTHING,
    }
    lines = [
        "def structure(value, _):",
        "    if type(value) is not dict and not is_object(value):",
        "        return NOTHING",
        "    it = new(Twin)",
        "    it.extra = extra = {}",
        "    get = value.get",
    ]
    for name, hint in members.items():
        names |= {f"hint_{name}": hint, f"hook_{name}": converter.get_structure_hook(hint)}
        plain = "str" if _is_id(hint) else _PLAIN.get(hint)
        odd = f"x is not None and type(x) is not {plain}" if plain else "x is not None"
        lines += [
            f"    x = get({name!r})",
            f"    if {odd}:",
            f"        raw, x = x, hook_{name}(x, hint_{name})",
            "        if type(x) is Partly:",
            f"            extra[{name!r}], x = raw, x.value",
            f"    it.{name} = x",
        ]
    lines += [
        "    if not known.issuperset(value):",
        "        extra.update({name: value[name] for name in value if name not in known})",
        "    it.__class__ = kind",
        "    return it",
    ]
    exec("\n".join(lines), names)  # noqa: S102  made of the model's own names only
    structure: _Hook = names["structure"]
    return structure


_PLAIN: Final[Mapping[Any, str]] = {str: "str", bool: "bool", int: "int"}
"""Types that need no hook when a value is of just that type."""


def _structure_tuple(hint: Any, converter: "Converter") -> _Hook:
    inner = get_args(hint)[0]
    hook = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> Any:
        if not is_list(value):
            return _NOTHING
        found = [hook(entry, inner) for entry in value]
        if _Partly not in map(type, found):
            return tuple(found)
        return _Partly(tuple(entry for entry in found if type(entry) is not _Partly))

    return structure


def _unstructure_object(
    kind: type[IntercomObject], converter: "Converter"
) -> Callable[[IntercomObject], dict[str, Any]]:
    encoders = [(name, _encoder(_bare(hint), converter)) for name, hint in _members(kind).items()]

    def unstructure(value: IntercomObject) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for name, encode in encoders:
            member = getattr(value, name)
            if member is not None:
                document[name] = member if encode is None else encode(member)
        document.update(value.extra)
        return document

    return unstructure


def _encoder(hint: Any, converter: "Converter") -> Callable[[Any], Any] | None:
    """How to encode a value of a type; None for types that JSON has itself."""
    if _is_id(hint):
        return lambda value: int(value) if isinstance(value, NumericId) else value
    if _is_enum(hint):
        return lambda value: value.value if isinstance(value, StrEnum) else value
    if hint is datetime:
        return lambda value: _seconds(value, None)
    if _is_model(hint):
        return converter.get_unstructure_hook(hint)
    if _is_tuple(hint):
        return _list_encoder(_encoder(get_args(hint)[0], converter))
    return None


def _list_encoder(encode: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    return list if encode is None else lambda value: [encode(entry) for entry in value]


@_once
def _converter() -> "Converter":
    from cattrs import Converter  # noqa: PLC0415  see `prepare`

    converter = Converter()
    for leaf, hook in _LEAVES.items():
        converter.register_structure_hook(leaf, hook)
    converter.register_structure_hook_func(_is_id, _id)
    converter.register_structure_hook_func(_is_map, _free_map)
    converter.register_structure_hook_factory(_is_tuple, _structure_tuple)
    converter.register_structure_hook_factory(_is_model, _structure_object)
    converter.register_unstructure_hook_factory(_is_model, _unstructure_object)
    return converter


# ---------------------------------------------------------------------------------------------
# The shortcut


_STRICT: Final[Mapping[Any, Any]] = {
    datetime: Annotated[int, msgspec.Meta(ge=0, lt=_PLAIN_SECONDS)],
    float: int | float,
    Mapping[str, Any]: dict[str, Any],
}


class _Shortcut:
    """Decodes usual documents of one kind, several times as fast as the hooks above.

    msgspec reads a document into structs that mirror the model and refuse whatever the hooks
    would have to think about: unknown members, odd types, times that are no plain seconds. What
    it accepts needs only copying, by functions written for that; a document it refuses is left
    to the hooks. Both give equal results.
    """

    def __init__(self, kind: type[IntercomObject]) -> None:
        self._decoder = msgspec.json.Decoder(_mirror(kind))
        self._copy = _copier(kind)

    def decode(self, body: bytes | str | msgspec.Raw) -> Any:
        """Return the object, or None for a document that is not usual."""
        try:
            mirror = self._decoder.decode(body)
        except _REFUSALS:
            return None
        return self._copy(mirror)


@_once
def _mirror(kind: type[IntercomObject]) -> type[msgspec.Struct]:
    """The struct that mirrors a class."""
    return msgspec.defstruct(
        kind.__name__,
        [(name, _strict(_bare(hint)) | None, None) for name, hint in _members(kind).items()],
        forbid_unknown_fields=True,
        gc=False,
    )


def _strict(hint: Any) -> Any:
    """The type that accepts what needs no thought."""
    if _is_model(hint):
        return _mirror(hint)
    if _is_tuple(hint):
        return list[_strict(get_args(hint)[0])]  # type: ignore[misc]
    if _is_id(hint):
        return str | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    if _is_enum(hint):
        return str
    return _STRICT.get(hint, hint)


@_once
def _copier(kind: type[IntercomObject]) -> Callable[[Any], Any]:
    """Write the function that turns a mirror into the object.

    Times of one object are often equal, so each is compared with the one before it.
    """
    names: dict[str, Any] = {
        "new": object.__new__,
        "Twin": _twin(kind),
        "kind": kind,
        "NumericId": NumericId,
        "at": datetime.fromtimestamp,
        "UTC": UTC,
    }
    members = {name: _bare(hint) for name, hint in _members(kind).items()}
    lines = ["def copy(mirror):", "    it = new(Twin)", "    it.extra = {}"]
    if datetime in members.values():
        lines.append("    seconds = moment = None")
    for name, hint in members.items():
        copied = _copied(hint, names)
        lines.append(f"    x = mirror.{name}")
        if hint is datetime:
            lines += [
                "    if x != seconds:",
                f"        seconds, moment = x, None if x is None else {copied}",
                f"    it.{name} = moment",
            ]
            continue
        value = "x" if copied is None else f"None if x is None else {copied}"
        lines.append(f"    it.{name} = {value}")
    lines += ["    it.__class__ = kind", "    return it"]
    exec("\n".join(lines), names)  # noqa: S102  made of the model's own names only
    copy: Callable[[Any], Any] = names["copy"]
    return copy


def _copied(hint: Any, names: dict[str, Any]) -> str | None:
    """An expression for the copy of `x`; None if it can stay what it is.

    The functions that it calls are added to `names`.
    """
    if _is_model(hint):
        names[f"copy_{hint.__name__}"] = _copier(hint)
        return f"copy_{hint.__name__}(x)"
    if _is_tuple(hint):
        inner = _copied(get_args(hint)[0], names)
        return "tuple(x)" if inner is None else f"tuple([{inner} for x in x])"
    if _is_enum(hint):
        names[f"known_{hint.__name__}"] = {member.value: member for member in hint}
        return f"known_{hint.__name__}.get(x, x)"
    if _is_id(hint):
        return "x if type(x) is str else NumericId(x)"
    return "at(x, UTC)" if hint is datetime else None


@_once
def _shortcut(kind: type[IntercomObject]) -> _Shortcut:
    """Return the shortcut of a kind, made on first use."""
    return _Shortcut(kind)
