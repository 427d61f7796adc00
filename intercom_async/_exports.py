"""The public names, imported together when the first of them is used; see the package."""

from intercom_async._version import __version__
from intercom_async.bulk import (
    Cause,
    DetachRun,
    DetachSummary,
    PoolResult,
    PoolSummary,
    RunFailedError,
)
from intercom_async.client import IntercomClient, detach_contact
from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import (
    AdminNotFoundError,
    APIError,
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    ContactNotFoundError,
    ContradictoryReplyError,
    ConversationNotFoundError,
    GatewayError,
    IntercomError,
    InvalidArgumentError,
    InvalidRequestError,
    LastContactError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RateLimitWaitError,
    RedirectError,
    ResponseDecodeError,
    ResponseTooLargeError,
    ServerError,
    UnknownOutcomeError,
    WorkspaceAccessError,
    WrongInputError,
)
from intercom_async.journal import (
    Journal,
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalLostError,
    JournalMismatchError,
    JournalWriteError,
    Source,
)
from intercom_async.model import Conversation, Identity
from intercom_async.observing import ClientStats, OutageStatus, RateLimitStatus
from intercom_async.pacing.window import Lane, RateLimitPolicy
from intercom_async.pairs import Pair
from intercom_async.people import PairSearch, PeopleSummary
from intercom_async.pool import IntercomPool, WorkspaceAccess
from intercom_async.pool_run import PoolRun
from intercom_async.raw import RawReply
from intercom_async.replies import ReplyHead
from intercom_async.transport.http import Connector
from intercom_async.transport.retrying import RetryPolicy
from intercom_async.transport.wire import Region

__all__ = [
    "APIError",
    "AdminNotFoundError",
    "AuthenticationError",
    "Cause",
    "CertificateError",
    "ClientStateError",
    "ClientStats",
    "ConnectionFailedError",
    "Connector",
    "ContactNotFoundError",
    "ContradictoryReplyError",
    "Conversation",
    "ConversationNotFoundError",
    "Detach",
    "DetachResult",
    "DetachRun",
    "DetachSummary",
    "GatewayError",
    "Identity",
    "IntercomClient",
    "IntercomError",
    "IntercomPool",
    "InvalidArgumentError",
    "InvalidRequestError",
    "Journal",
    "JournalCorruptError",
    "JournalError",
    "JournalLockedError",
    "JournalLostError",
    "JournalMismatchError",
    "JournalWriteError",
    "Lane",
    "LastContactError",
    "NotFoundError",
    "OutageStatus",
    "Outcome",
    "Pair",
    "PairSearch",
    "PeopleSummary",
    "PermissionDeniedError",
    "PoolResult",
    "PoolRun",
    "PoolSummary",
    "RateLimitPolicy",
    "RateLimitStatus",
    "RateLimitWaitError",
    "RateLimitedError",
    "RawReply",
    "RedirectError",
    "Region",
    "ReplyHead",
    "ResponseDecodeError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "RunFailedError",
    "ServerError",
    "Source",
    "UnknownOutcomeError",
    "WorkspaceAccess",
    "WorkspaceAccessError",
    "WrongInputError",
    "__version__",
    "detach_contact",
]
