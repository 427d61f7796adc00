"""Decodes pages of conversations and of contacts, and the owner of the token."""

from collections.abc import Mapping
from typing import Any, TypeVar

from intercom_async.documents import is_list, is_object, json_object
from intercom_async.model import (
    ContactPage,
    ContactReference,
    Conversation,
    ConversationPage,
    Identity,
    IntercomObject,
)
from intercom_async.structuring.converter import structure

_T = TypeVar("_T", bound=IntercomObject)


def decode_page(body: bytes | str) -> ConversationPage:
    """Return a page of conversations; entries that are no objects are left out.

    Raises:
        ResponseDecodeError: the body is no JSON object.
    """
    document = json_object(body)
    name = "conversations" if is_list(document.get("conversations")) else "data"
    total = document.get("total_count")
    return ConversationPage(
        conversations=_listed(document, name, Conversation),
        total_count=total if type(total) is int else None,
        starting_after=_next_page(document),
    )


def decode_contacts(body: bytes | str) -> ContactPage:
    """Return a page of contacts, like `decode_page`."""
    document = json_object(body)
    return ContactPage(
        contacts=_listed(document, "data", ContactReference), starting_after=_next_page(document)
    )


def decode_identity(body: bytes | str) -> Identity:
    """Return the admin and workspace that the answer of `GET /me` holds."""
    return structure(json_object(body), Identity)


def _listed(document: Mapping[str, Any], name: str, kind: type[_T]) -> tuple[_T, ...]:
    entries = document.get(name)
    if not is_list(entries):
        return ()
    return tuple(structure(entry, kind) for entry in entries if is_object(entry))


def _next_page(document: Mapping[str, Any]) -> str | None:
    pages = document.get("pages")
    following = pages.get("next") if is_object(pages) else None
    cursor = following.get("starting_after") if is_object(following) else None
    return cursor if isinstance(cursor, str) and cursor else None
