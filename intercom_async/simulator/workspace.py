"""The state behind the API: admins, contacts and conversations. No network, no clock."""

import collections
import itertools
import random
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

from intercom_async.errors import InvalidArgumentError

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


@attrs.define
class Conversation:
    """A conversation: its contacts in order of joining, and how many parts it has."""

    id: str
    contact_ids: list[str]
    parts: int = 0


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
        # The first ones are the ids in the README's examples.
        self._admin_numbers = itertools.count(5017690)
        self._conversation_numbers = itertools.count(1295)

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
        """Add a "user" or "lead" and return its id, 24 random hexadecimal digits unless given."""
        contact_id = contact_id or f"{self._random.getrandbits(96):024x}"
        self.contacts[contact_id] = Contact(contact_id, role, email, external_id)
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
        conversation = Conversation(conversation_id, list(contact_ids), parts)
        self.conversations[conversation_id] = conversation
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

    def conversations_of(self, contact_ids: Collection[str]) -> list[Conversation]:
        """Return the conversations in which one of the contacts takes part, oldest first."""
        wanted = set(contact_ids)
        return [
            conversation
            for conversation in self.conversations.values()
            if not wanted.isdisjoint(conversation.contact_ids)
        ]

    def contacts_with(self, field: str, values: Collection[str]) -> list[Contact]:
        """Return the contacts with one of these as "email", "external_id" or "id", oldest first."""
        return [one for one in self.contacts.values() if getattr(one, field) in values]

    def conversation(self, conversation_id: str) -> Conversation:
        """Return a conversation, or refuse as the API does."""
        if conversation_id not in self.conversations:
            raise RefusedError(*NOT_FOUND)
        return self.conversations[conversation_id]

    def contact(self, contact_id: str) -> Contact:
        """Return a contact, or refuse as the API does."""
        if contact_id in self.merged:
            link = f'</contacts/{self.merged[contact_id]}>; rel="canonical"'
            raise RefusedError(410, "contact_merged", "Contact has been merged", link)
        if contact_id not in self.contacts:
            raise RefusedError(*_USER_NOT_FOUND)
        return self.contacts[contact_id]

    # Changing, as the API does

    def detach(self, conversation_id: str, contact_id: str) -> None:
        """Take a contact out of a conversation, or refuse as the API does."""
        contact_ids = self.conversation(conversation_id).contact_ids
        if contact_id not in contact_ids:
            raise RefusedError(*_USER_NOT_FOUND)
        if len(contact_ids) == 1:
            message = "Removing the last customer is not allowed"
            raise RefusedError(422, "parameter_invalid", message)
        contact_ids.remove(contact_id)
        self.detached[conversation_id, contact_id] += 1

    def attach(self, conversation_id: str, contact_id: str) -> None:
        """Let a contact take part in a conversation; nothing changes when it already does."""
        contact_ids = self.conversation(conversation_id).contact_ids
        if contact_id not in self.contacts:
            raise RefusedError(*NOT_FOUND)
        if contact_id not in contact_ids:
            contact_ids.append(contact_id)

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete a whole conversation, or refuse as the API does."""
        self.conversation(conversation_id)
        del self.conversations[conversation_id]
        self.deleted.append(conversation_id)

    def merge(self, contact_id: str, into: str) -> None:
        """Merge a contact into another, which takes part in its conversations from now on."""
        for conversation in self.conversations_of([contact_id]):
            ids = [into if one == contact_id else one for one in conversation.contact_ids]
            conversation.contact_ids = list(dict.fromkeys(ids))
        del self.contacts[contact_id]
        self.merged[contact_id] = into


def _free(numbers: Iterator[int], taken: Collection[str]) -> str:
    """Return the next number that was not given to something by hand."""
    return next(number for number in map(str, numbers) if number not in taken)
