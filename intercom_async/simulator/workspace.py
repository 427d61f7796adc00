"""The state behind the API: admins, contacts and conversations. No network, no clock."""

import collections
import itertools
import random
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

from intercom_async.errors import InvalidArgumentError

_FIRST_ADMIN_ID: Final = 5017690
_FIRST_CONVERSATION_ID: Final = 1295
CREATED_AT: Final = 1_700_000_000
"""Unix seconds; the creation time of whatever no request created."""


NOT_FOUND: Final = (404, "not_found", "Resource Not Found")
_USER_NOT_FOUND: Final = (404, "not_found", "User Not Found")


@attrs.define
class RefusedError(Exception):
    """A request that the API refuses; nothing was changed.

    Status, code and message are documented, word for word, unless a comment says otherwise.
    `link` is the Link header beside them, or None.
    """

    status: int
    code: str
    message: str
    link: str | None = None


@attrs.define
class Admin:
    """A teammate."""

    id: str
    name: str
    email: str


@attrs.define
class Contact:
    """A user or lead."""

    id: str
    role: str = "user"
    email: str | None = None
    external_id: str | None = None
    conversation_ids: tuple[str, ...] = ()


@attrs.define
class Conversation:
    """A conversation: its contacts in order of joining, how many parts, and Unix seconds."""

    id: str
    contact_ids: list[str]
    parts: int = 0
    created_at: int = CREATED_AT
    updated_at: int = CREATED_AT


class Workspace:
    """Everything the simulated workspace holds; tests fill and inspect it.

    Attributes:
        admins, contacts, conversations: by id, in order of creation.
        merged: by the id of a contact that is gone, the one that it was merged into.
        deleted: ids of conversations that are gone.
        detached: for each (conversation id, contact id) how often a detach was applied.
    """

    def __init__(self, seed: int = 0) -> None:
        self.admins: dict[str, Admin] = {}
        self.contacts: dict[str, Contact] = {}
        self.conversations: dict[str, Conversation] = {}
        self.merged: dict[str, str] = {}
        self.deleted: list[str] = []
        self.detached: collections.Counter[tuple[str, str]] = collections.Counter()
        self._random = random.Random(seed)  # noqa: S311  ids for tests guard no secret
        self._admin_numbers = itertools.count(_FIRST_ADMIN_ID)
        self._conversation_numbers = itertools.count(_FIRST_CONVERSATION_ID)
        self._found_by: collections.defaultdict[tuple[str, str], list[Contact]]
        self._found_by = collections.defaultdict(list)

    # Filling

    def add_admin(self, *, name: str = "Joe Example", admin_id: str | None = None) -> str:
        """Add a teammate and return the admin id."""
        admin_id = admin_id or _free(self._admin_numbers, self.admins)
        self.admins[admin_id] = Admin(admin_id, name, f"admin-{admin_id}@example.com")
        return admin_id

    def add_contact(
        self,
        *,
        email: str | None = None,
        external_id: str | None = None,
        role: str = "user",
        contact_id: str | None = None,
    ) -> str:
        """Add a "user" or "lead" and return its id, a random one unless given."""
        contact_id = contact_id or self._hex_id()
        contact = Contact(contact_id, role, email, external_id)
        self.contacts[contact_id] = contact
        for key in _keys(contact):
            self._found_by[key].append(contact)
        return contact_id

    def add_conversation(
        self, contact_ids: Sequence[str], *, conversation_id: str | None = None, parts: int = 0
    ) -> str:
        """Add a conversation between contacts and return its id, the next number unless given."""
        if not contact_ids:
            raise InvalidArgumentError("contact_ids", contact_ids, "one contact at least")
        if conversation_id in self.conversations:
            raise InvalidArgumentError("conversation_id", conversation_id, "an id not used yet")
        conversation_id = conversation_id or _free(self._conversation_numbers, self.conversations)
        for contact_id in contact_ids:
            self.contacts[contact_id].conversation_ids += (conversation_id,)
        self.conversations[conversation_id] = Conversation(
            conversation_id, list(contact_ids), parts
        )
        return conversation_id

    def populate(
        self, *, conversations: int, contacts_per_conversation: int = 2, kept: int = 1
    ) -> list[tuple[str, str]]:
        """Add many conversations, each with contacts of its own, and return pairs to detach.

        The first `kept` contacts of each conversation are in no pair. With one, every pair can be
        detached, in any order; with none, each conversation refuses its last contact.
        """
        pairs: list[tuple[str, str]] = []
        for _ in range(conversations):
            contact_ids = [self.add_contact() for _ in range(contacts_per_conversation)]
            conversation_id = self.add_conversation(contact_ids)
            pairs.extend((conversation_id, contact_id) for contact_id in contact_ids[kept:])
        return pairs

    # Looking

    def participants(self, conversation_id: str) -> list[str]:
        """Ids of the contacts that take part; KeyError when there is no such conversation."""
        return list(self.conversations[conversation_id].contact_ids)

    def attached(self, conversation_id: str, contact_id: str) -> bool:
        """Whether the conversation exists and the contact takes part in it."""
        conversation = self.conversations.get(conversation_id)
        return conversation is not None and contact_id in conversation.contact_ids

    def conversation(self, conversation_id: str) -> Conversation:
        """Return a conversation, or refuse as the API does."""
        try:
            return self.conversations[conversation_id]
        except KeyError:
            raise RefusedError(*NOT_FOUND) from None

    def contact(self, contact_id: str) -> Contact:
        """Return a contact, or refuse as the API does."""
        if contact_id in self.merged:
            link = f'</contacts/{self.merged[contact_id]}>; rel="canonical"'
            raise RefusedError(410, "contact_merged", "Contact has been merged", link)
        if contact_id not in self.contacts:
            raise RefusedError(*_USER_NOT_FOUND)
        return self.contacts[contact_id]

    def contacts_with(self, field: str, value: str) -> list[Contact]:
        """Return all contacts with this "email", "external_id" or "id", oldest first."""
        if field == "id":
            return [self.contacts[value]] if value in self.contacts else []
        return list(self._found_by.get((field, value), ()))

    # Changing, as the API does

    def detach(self, conversation_id: str, contact_id: str, *, now: float = CREATED_AT) -> None:
        """Take a contact out of a conversation, or refuse as the API does."""
        conversation = self.conversation(conversation_id)
        if contact_id not in conversation.contact_ids:
            raise RefusedError(*_USER_NOT_FOUND)
        if len(conversation.contact_ids) == 1:
            message = "Removing the last customer is not allowed"
            raise RefusedError(422, "parameter_invalid", message)
        conversation.contact_ids.remove(contact_id)
        conversation.updated_at = int(now)
        self._leave(contact_id, conversation_id)
        self.detached[conversation_id, contact_id] += 1

    def attach(self, conversation_id: str, contact_id: str, *, now: float = CREATED_AT) -> None:
        """Let a contact take part in a conversation; nothing changes when it already does."""
        conversation = self.conversation(conversation_id)
        contact = self.contacts.get(contact_id)
        if contact is None:
            raise RefusedError(*NOT_FOUND)
        if contact_id in conversation.contact_ids:
            return
        conversation.contact_ids.append(contact_id)
        conversation.updated_at = int(now)
        contact.conversation_ids += (conversation_id,)

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete a whole conversation, or refuse as the API does."""
        for contact_id in self.conversation(conversation_id).contact_ids:
            self._leave(contact_id, conversation_id)
        del self.conversations[conversation_id]
        self.deleted.append(conversation_id)

    def merge(self, contact_id: str, into: str) -> None:
        """Merge a contact into another, which takes part in its conversations from now on."""
        gone, kept = self.contacts.pop(contact_id), self.contacts[into]
        for conversation_id in gone.conversation_ids:
            ids = self.conversations[conversation_id].contact_ids
            if into in ids:
                ids.remove(contact_id)
            else:
                ids[ids.index(contact_id)] = into
                kept.conversation_ids += (conversation_id,)
        for key in _keys(gone):
            self._found_by[key].remove(gone)
        self.merged[contact_id] = into

    def _leave(self, contact_id: str, conversation_id: str) -> None:
        contact = self.contacts[contact_id]
        contact.conversation_ids = tuple(
            other for other in contact.conversation_ids if other != conversation_id
        )

    def _hex_id(self) -> str:
        return f"{self._random.getrandbits(96):024x}"


def _keys(contact: Contact) -> list[tuple[str, str]]:
    named = (("email", contact.email), ("external_id", contact.external_id))
    return [(field, value) for field, value in named if value is not None]


def _free(numbers: Iterator[int], taken: Collection[str]) -> str:
    """Return the next number that was not given to something by hand."""
    return next(number for number in map(str, numbers) if number not in taken)
