"""An async client that detaches contacts from Intercom conversations.

It uses the whole rate limit, almost never hits a 429, and says what became of each pair.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Final

from intercom_async._version import __version__ as __version__

if TYPE_CHECKING:
    from intercom_async._exports import *  # noqa: F403

_NAMES: Final = {
    "bulk": "Cause DetachRun DetachSummary PoolResult PoolSummary RunFailedError",
    "client": "IntercomClient detach_contact",
    "detaching": "Detach DetachResult Outcome",
    "errors": """
        APIError AdminNotFoundError AuthenticationError CertificateError ClientStateError
        ConnectionFailedError ContactNotFoundError ContradictoryReplyError
        ConversationNotFoundError GatewayError IntercomError InvalidArgumentError
        InvalidRequestError LastContactError NotFoundError PermissionDeniedError RateLimitWaitError
        RateLimitedError RedirectError ResponseDecodeError ResponseTooLargeError ServerError
        UnknownOutcomeError WorkspaceAccessError WrongInputError
    """,
    "journal": """
        Journal JournalCorruptError JournalError JournalLockedError JournalLostError
        JournalMismatchError JournalWriteError Source
    """,
    "model": "Conversation Identity",
    "observing": "ClientStats OutageStatus RateLimitStatus",
    "pacing.shared_budget": "SharedBudget",
    "pacing.window": "Lane RateLimitPolicy",
    "pairs": "Pair",
    "people": "PairSearch PeopleSummary",
    "pool": "IntercomPool WorkspaceAccess",
    "pool_run": "PoolRun",
    "raw": "RawReply",
    "replies": "ReplyHead",
    "transport.http": "Connector",
    "transport.retrying": "RetryPolicy",
    "transport.wire": "Region",
}
_HOMES: Final = {name: module for module, names in _NAMES.items() for name in names.split()}
"""The module of each public name. The first use of a name imports that module and what it needs,
nothing else. Type checkers read `_exports` instead."""


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_HOMES, "__version__"])
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
