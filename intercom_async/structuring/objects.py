"""Decodes conversations, identities and pages of searches; encodes conversations."""

from datetime import datetime
from typing import Any, Generic, TypeVar, cast

import attrs

from intercom_async.documents import is_list, is_object, json_object
from intercom_async.model import (
    ContactReference,
    Conversation,
    Identity,
    IntercomObject,
    NumericId,
)
from intercom_async.structuring.converter import structure
from intercom_async.structuring.fast_path import decode_usual
from intercom_async.structuring.values import seconds

_T = TypeVar("_T", Conversation, ContactReference)


@attrs.frozen
class Page(Generic[_T]):
    """One page of a search.

    Attributes:
        total_count: results on all pages; None if the page does not say.
        starting_after: names the next page, None when there is none.
    """

    entries: tuple[_T, ...]
    total_count: int | None
    starting_after: str | None


def prepare() -> None:
    """Make what decoding needs, so that no reply has to wait for it."""
    decode_usual(b"{}", Conversation)
    structure({}, Conversation)


def decode_conversation(
    body: bytes | str | dict[str, Any], *, default_id: str | None = None
) -> Conversation:
    """Return the conversation that a reply holds.

    Args:
        body: the reply's body, or its JSON object. Free values of an object are kept, not copied.
        default_id: the `id` of the result if the document has no usable one.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    if isinstance(body, bytes | str):
        usual = decode_usual(body, Conversation, default_id=default_id)
        if usual is not None:
            return usual
    conversation = structure(json_object(body), Conversation)
    if conversation.id is None and default_id is not None:
        return attrs.evolve(conversation, id=default_id)
    return conversation


def decode_page(body: bytes | str, kind: type[_T]) -> Page[_T]:
    """Return a page of conversations or contacts, without entries that are no objects."""
    document = json_object(body)
    listed = document.get("conversations") if kind is Conversation else None
    if not is_list(listed):
        listed = data if is_list(data := document.get("data")) else ()
    total, pages = document.get("total_count"), document.get("pages")
    following = pages.get("next") if is_object(pages) else None
    cursor = following.get("starting_after") if is_object(following) else None
    return Page(
        entries=tuple(structure(one, kind) for one in listed if is_object(one)),
        total_count=total if type(total) is int else None,
        starting_after=cursor if isinstance(cursor, str) and cursor else None,
    )


def decode_identity(body: bytes | str) -> Identity:
    """Return the admin and workspace that the answer of `GET /me` holds."""
    return structure(json_object(body), Identity)


def encode_conversation(conversation: Conversation) -> dict[str, Any]:
    """Return the JSON object of a conversation; None stands for absent.

    It equals the object that was decoded, if null and absent count as equal. Free values, such
    as those of `extra` and `custom_attributes`, are shared with the conversation, not copied.

    Raises:
        InvalidArgumentError: a time without a time zone.
    """
    return cast("dict[str, Any]", _encode(conversation))


def _encode(value: Any) -> Any:
    if isinstance(value, IntercomObject):
        named = ((field.name, getattr(value, field.name)) for field in attrs.fields(type(value)))
        known = {name: _encode(one) for name, one in named if name != "extra" and one is not None}
        return {**known, **value.extra}
    if isinstance(value, tuple):
        return [_encode(entry) for entry in cast("tuple[object, ...]", value)]
    if isinstance(value, datetime):
        return seconds(value)
    return int(value) if isinstance(value, NumericId) else value
