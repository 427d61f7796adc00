"""The cattrs converter: which hook serves which type, and what `extra` keeps."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from intercom_async.documents import is_list, is_object
from intercom_async.model import Id, IntercomObject
from intercom_async.structuring import values
from intercom_async.structuring.fast_path import convert_usual, is_model, is_tuple, members
from intercom_async.structuring.values import NOTHING, Partly

if TYPE_CHECKING:
    from cattrs import Converter

_T = TypeVar("_T", bound=IntercomObject)
_Hook = Callable[[Any, Any], Any]

_TURN: Final = 0.001
"""Seconds after which a thread lets the event loop go on. By itself, Python would make the loop
wait for 5 ms."""

_BREATH: Final = 0.0001
"""Seconds that it sleeps then. For a shorter time it would not really let go."""


def structure(document: Mapping[str, Any], kind: type[_T]) -> _T:
    """Make a model object from any JSON object."""
    return converter().structure(document, kind)


@cache
def converter() -> "Converter":
    """Return the converter, made on first use."""
    from cattrs import Converter  # noqa: PLC0415  its import takes long, see `prepare`

    made = Converter()
    made.register_structure_hook(str, values.exactly)
    made.register_structure_hook(bool, values.exactly)
    made.register_structure_hook(int, values.exactly)
    made.register_structure_hook(int | float, values.number)
    made.register_structure_hook(Id, values.id_text)
    made.register_structure_hook(datetime, values.time)
    made.register_structure_hook(Any, values.free)
    made.register_structure_hook_func(lambda hint: hint == Mapping[str, Any], values.free_map)
    made.register_structure_hook_factory(is_tuple, _structure_tuple)
    made.register_structure_hook_factory(is_model, _structure_object)
    return made


def _structure_object(kind: type[IntercomObject], made: "Converter") -> _Hook:
    hooks = {name: (hint, made.get_structure_hook(hint)) for name, hint in members(kind).items()}

    def structure_object(value: Any, _: Any) -> Any:
        if not is_object(value):
            return NOTHING
        usual = convert_usual(value, kind)
        if usual is not None:
            return usual
        fields: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, raw in value.items():
            if name not in hooks:
                extra[name] = raw
            elif raw is not None:
                hint, hook = hooks[name]
                member = hook(raw, hint)
                if type(member) is Partly:
                    extra[name], member = raw, member.value
                fields[name] = member
        return kind(extra=extra, **fields)

    return structure_object


def _structure_tuple(hint: Any, made: "Converter") -> _Hook:
    inner = get_args(hint)[0]
    hook = made.get_structure_hook(inner)

    def structure_tuple(value: Any, _: Any) -> Any:
        if not is_list(value):
            return NOTHING
        entries: list[Any] = []
        began = time.perf_counter()
        for entry in value:
            entries.append(hook(entry, inner))
            if time.perf_counter() - began > _TURN:
                if threading.current_thread() is not threading.main_thread():
                    time.sleep(_BREATH)
                began = time.perf_counter()
        if Partly not in map(type, entries):
            return tuple(entries)
        return Partly(tuple(entry for entry in entries if type(entry) is not Partly))

    return structure_tuple
