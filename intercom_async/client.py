"""The client applications hold, and the facade coroutine `detach_contact`."""

import copy
import functools
import os
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import attrs

from intercom_async._version import __version__
from intercom_async.bulk.options import Operation, RunOptions
from intercom_async.bulk.part import Part
from intercom_async.bulk.run import DetachRun
from intercom_async.detaching import (
    ATTACH,
    DETACH,
    Change,
    Detach,
    off_loop,
    read_conversation,
    settle,
)
from intercom_async.dry_run import DryRun
from intercom_async.errors import ConnectionFailedError, InvalidArgumentError, ServerError
from intercom_async.events import Observer
from intercom_async.ids import check_id
from intercom_async.journal import Journal
from intercom_async.model import ContactReference, Conversation, Identity
from intercom_async.pairs import Pair
from intercom_async.people import By, Calls, PairSearch
from intercom_async.secret import Secret
from intercom_async.stats import ClientStats
from intercom_async.status import OutageStatus, RateLimitStatus
from intercom_async.structuring import decode_contacts, decode_identity, decode_page, prepare
from intercom_async.transport import wire
from intercom_async.transport.answers import error_of
from intercom_async.transport.budgets import limiter_for
from intercom_async.transport.http import Http
from intercom_async.transport.runtime import SYSTEM, Runtime
from intercom_async.transport.sharing import SharedBudget
from intercom_async.transport.transport import CallOptions, Transport
from intercom_async.transport.verdict import RetryPolicy
from intercom_async.transport.window import Lane, RateLimitPolicy

if TYPE_CHECKING:
    import aiohttp

TOKEN_VARIABLE: Final = "INTERCOM_ACCESS_TOKEN"  # noqa: S105  the name of a variable
DRY_RUN: Final = "dry run"
_OPERATIONS: Final[Mapping[str, Callable[[], Operation]]] = {
    DETACH.name: lambda: functools.partial(settle, change=DETACH),
    ATTACH.name: lambda: functools.partial(settle, change=ATTACH),
    DRY_RUN: DryRun,
}
PAGE_SIZE: Final = 150
"""Conversations asked for per search page: Intercom's maximum."""

SMALLEST_PAGE: Final = 10
"""The same, of a search whose larger pages make a gateway give up."""

_Found = TypeVar("_Found", Conversation, ContactReference)


def _check_seconds(name: str, value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 < value < float("inf"):  # type: ignore[operator]  # good says it is one
        raise InvalidArgumentError(name, value, "a positive number of seconds")
    return float(value)  # type: ignore[arg-type]  # same


class IntercomClient:
    """One workspace's connection to Intercom's REST API, for as long as the application runs.

    Open it once and share it between tasks; it is bound to the event loop it is first used in.
    Nothing touches the network before the first call. Use it as an async context manager, or
    call `aclose` at the end.

    Args:
        token: access token; without it, the environment variable INTERCOM_ACCESS_TOKEN.
        region: where the workspace is hosted: "us", "eu" or "au".
        base_url: goes before `region`; must be https unless its host is loopback.
        version: value of the `Intercom-Version` header: "Preview", "Unstable" or a dated
            version such as "2.14".
        admin_id: in whose name detaches and attaches happen unless a call says otherwise;
            without it the token's own admin, asked for once.
        timeout: seconds for one attempt, from connecting to the end of the reply.
        retry: how often and how long a failed call is tried again.
        rate_limit: how the quota is used and shared, and how long a call may wait for it.
        session: an `aiohttp.ClientSession` of the application's (its proxy, TLS context,
            connector); used and never closed. Its own client middlewares do not run, and no
            cookie of its jar is sent. Calls raise `ClientStateError` if it has credentials of
            its own, or would send the token through a foreign proxy in plain text. Give it a
            `Connector`, so that nothing stale is taken for an answer.
        shared_budget: a quota shared with other processes beyond what the headers tell; see
            `intercom_async.integrations.redis`.
        observer: called with every event of `intercom_async.events`; must be quick.
        runtime: clock, sleep and randomness, for tests.

    Raises:
        InvalidArgumentError: a value that cannot be used, named; never showing the token.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        region: str = "us",
        base_url: str | None = None,
        version: str = "Preview",
        admin_id: str | int | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
        rate_limit: RateLimitPolicy = RateLimitPolicy(),  # noqa: B008  frozen
        session: "aiohttp.ClientSession | None" = None,
        shared_budget: SharedBudget | None = None,
        observer: Observer | None = None,
        runtime: Runtime = SYSTEM,
    ) -> None:
        secret = Secret(os.environ.get(TOKEN_VARIABLE) if token is None else token)
        del token  # see `Secret`
        wire.check_token(secret)
        url = wire.check_base_url(region, base_url)
        checked_version = wire.check_version(version)
        seconds = _check_seconds("timeout", timeout)
        if not isinstance(retry, RetryPolicy):
            raise InvalidArgumentError("retry", retry, "a RetryPolicy")
        if not isinstance(rate_limit, RateLimitPolicy):
            raise InvalidArgumentError("rate_limit", rate_limit, "a RateLimitPolicy")
        if observer is not None and not callable(observer):
            raise InvalidArgumentError("observer", observer, "a callable taking one event")
        self._admin_id = None if admin_id is None else check_id("admin_id", admin_id)
        self._own_admin_id: str | None = None
        self._base_url = url
        self._version = checked_version
        self._http = Http(
            base_url=url,
            token=secret,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Intercom-Version": checked_version,
                "User-Agent": f"intercom_async/{__version__}",
            },
            session=session,
            runtime=runtime,
        )
        self._transport = Transport(
            http=self._http,
            limiter=limiter_for(secret, url, rate_limit, runtime, shared_budget),
            retry_budget=retry.budget,
            observer=observer,
            runtime=runtime,
        )
        prepare()
        self._runtime = runtime
        self._lane: Lane | None = None
        self._interactive = CallOptions(
            lane=Lane.INTERACTIVE, timeout=seconds, retry=retry, max_wait=rate_limit.max_wait
        )

    def __repr__(self) -> str:
        state = "closed" if self._http.closed else "open"
        return f"<IntercomClient {self._base_url} version {self._version} ({state})>"

    async def __aenter__(self) -> Self:
        self._http.ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; harmless when done twice.

        Calls that wait, for the quota or before a retry, fail at once with `ClientStateError`,
        as do requests in flight when the connections are the client's own. A write that may
        have been applied by then raises `UnknownOutcomeError`. An injected session stays open.
        """
        self._transport.close()
        await self._http.aclose()

    def stats(self) -> ClientStats:
        """What this client and its views did so far, in numbers."""
        return self._transport.stats()

    @property
    def base_url(self) -> str:
        """Where requests go, without a trailing slash."""
        return self._base_url

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The quota as known now, None before the first reply."""
        return self._transport.rate_limit

    @property
    def outage(self) -> OutageStatus | None:
        """The outage that lasts now, None while there is none.

        Bulk calls wait for its end. Others fail at once, unless it is time for one of them to
        look whether Intercom is back.
        """
        return self._transport.outage

    def with_options(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        lane: Lane | None = None,
        max_wait: float | None = None,
    ) -> Self:
        """Return a view of this client whose calls have other options.

        Connections, quota and retry budget are shared; closing either closes both. What is not
        given stays as it is.

        Args:
            timeout: seconds for one attempt.
            retry: how often and how long; its `budget` has no effect here.
            lane: `Lane.INTERACTIVE` or `Lane.BULK`, for every call of the view.
            max_wait: seconds a call may wait for the quota.
        """
        options = self._interactive
        if timeout is not None:
            options = attrs.evolve(options, timeout=_check_seconds("timeout", timeout))
        if retry is not None:
            options = attrs.evolve(options, retry=retry)
        if max_wait is not None:
            if max_wait != 0:
                _check_seconds("max_wait", max_wait)
            options = attrs.evolve(options, max_wait=max_wait)
        lane = self._lane if lane is None else Lane(lane)
        if lane is not None:
            options = attrs.evolve(options, lane=lane, patient=lane is Lane.BULK)
        view = copy.copy(self)
        view._interactive, view._lane = options, lane  # noqa: SLF001  a copy of this very class
        return view

    async def detach_contact(
        self, conversation_id: str, contact_id: str, *, admin_id: str | int | None = None
    ) -> Conversation:
        """Remove a contact from a group conversation.

        Args:
            conversation_id: Intercom's id of the conversation.
            contact_id: Intercom's id of the contact (not an external id or e-mail address).
            admin_id: the admin in whose name it happens; None for the client's.

        Returns:
            The conversation as Intercom answered it; `participants` are the contacts left. (Some
            replies list the removed contact too; after three checks they are believed.)

        Raises:
            InvalidArgumentError: an id that cannot be sent; nothing was sent.
            ContactNotFoundError: the contact is not part of the conversation.
            ConversationNotFoundError: there is no such conversation.
            LastContactError: the last contact cannot be removed.
            RateLimitWaitError: the quota asks for more patience than allowed.
            UnknownOutcomeError: it may have happened, and nobody could find out.
            ConnectionFailedError: Intercom could not be reached, or a check found that it had not
                happened.
            AdminNotFoundError: Intercom does not know the admin.
            ContradictoryReplyError: a success that a check found untrue, or, of a call that
                reads, a reply about another conversation.
            ResponseDecodeError: the reply is no JSON object, and (as far as a check could see)
                nothing was done.
            APIError: any other error that was answered.
        """
        return await self._change(conversation_id, contact_id, admin_id, DETACH)

    async def attach_contact(
        self, conversation_id: str, contact_id: str, *, admin_id: str | int | None = None
    ) -> Conversation:
        """Add a contact to a conversation: the undo of `detach_contact`.

        Args:
            conversation_id: Intercom's id of the conversation.
            contact_id: Intercom's id of the contact.
            admin_id: the admin in whose name it happens; None for the client's.

        Raises:
            IntercomError: as for `detach_contact`.
        """
        return await self._change(conversation_id, contact_id, admin_id, ATTACH)

    async def _change(
        self, conversation_id: str, contact_id: str, admin_id: str | int | None, change: Change
    ) -> Conversation:
        pair = Detach(conversation_id, contact_id, await self._admin(admin_id))
        settled = await settle(
            self._transport, pair, pair.admin_id, self._interactive, change=change
        )
        if settled.error is not None:
            raise settled.error
        assert settled.reply is not None  # noqa: S101  no error means a reply
        return await read_conversation(settled.reply, pair.conversation_id)

    async def _admin(self, admin_id: str | int | None) -> str:
        """Return the admin of a call: its own, the client's, or the token's own."""
        if admin_id is not None:
            return check_id("admin_id", admin_id)
        if self._admin_id is not None:
            return self._admin_id
        if self._own_admin_id is None:
            own = (await self.whoami()).id
            if own is None:
                raise InvalidArgumentError(
                    "admin_id", None, "given: Intercom does not say which admin the token has"
                )
            self._own_admin_id = own
        return self._own_admin_id

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """Return a conversation with its newest parts.

        Raises:
            ConversationNotFoundError: there is no such conversation.
            IntercomError: as for `detach_contact`.
        """
        reply = await self._call(wire.get_conversation(conversation_id))
        return await read_conversation(reply, conversation_id)

    async def find_conversations(self, contact_id: str) -> AsyncIterator[Conversation]:
        """Iterate over the conversations a contact takes part in, each one once.

        Pages shift when conversations leave the result while it is read, for example because
        the contact is being detached from them. When fewer were seen than announced, the
        search starts over until it brings nothing new.

        Raises:
            IntercomError: as for `detach_contact`.
        """
        request = functools.partial(wire.search_conversations, contact_id)
        seen: set[str] = set()
        while True:
            before = len(seen)
            announced = 0
            async for conversations, total in self._pages(request, _conversations):
                announced = max(announced, total or 0)
                for conversation in conversations:
                    if conversation.id is not None and conversation.id not in seen:
                        seen.add(conversation.id)
                        yield conversation
            if len(seen) >= announced or len(seen) == before:
                return

    async def find_contacts(
        self,
        *,
        email: str | None = None,
        external_id: str | None = None,
        contact_ids: Sequence[str] = (),
    ) -> AsyncIterator[ContactReference]:
        """Iterate over the contacts with an e-mail address, an external id or some ids.

        Several contacts may have the same address. New ones may be found only minutes later,
        merged ones never (Intercom's search works on an index).

        Args:
            email: the address; give this or one of the others.
            external_id: the id your own system gave the contact.
            contact_ids: Intercom's ids of at most 15 contacts; those that exist are found.

        Raises:
            InvalidArgumentError: not exactly one of the three is given.
            IntercomError: as for `detach_contact`.
        """
        asked = {"email": [email], "external_id": [external_id], "id": contact_ids}
        given = [
            (field, values) for field, values in asked.items() if [*values] not in ([], [None])
        ]
        if len(given) != 1:
            raise InvalidArgumentError(
                "email, external_id or contact_ids", None, "given, exactly one of them"
            )
        field, values = given[0]
        request = functools.partial(wire.search_contacts, field, *values)
        seen: set[str] = set()
        async for contacts, _ in self._pages(request, _contacts):
            for contact in contacts:
                if contact.id is not None and contact.id not in seen:
                    seen.add(contact.id)
                    yield contact

    def find_pairs(
        self,
        people: Iterable[str | int] | AsyncIterable[str | int] | None = None,
        *,
        by: By = "email",
        every: bool = False,
        one_per_address: bool = False,
    ) -> PairSearch:
        """Iterate over the pairs of people: all group conversations that they take part in.

        Given to `detach_contacts`, it keeps the people in the run's journal, too, and a run that
        was killed goes on in the middle of a person. All contacts with an address are taken; a
        contact that was merged into another is followed. What became of the people is in
        `PairSearch.summary`.

        Args:
            people: ids or addresses, pulled lazily; None for those that a journal has left.
            by: what they are: "email", "contact" for Intercom's ids, or "external-id".
            every: conversations, too, in which a contact is the only one.
            one_per_address: leave people out whom several contacts are.

        Raises:
            InvalidArgumentError: an argument that cannot be used.
            IntercomError: nothing more can be searched; raised by the iteration.
        """
        return PairSearch(
            people, by=by, every=every, one_per_address=one_per_address, calls=self._calls
        )

    def _calls(self, patient: bool) -> Calls:  # noqa: FBT001  of `find_pairs` alone
        view = self._for_bulk(patient=patient)
        return Calls(
            contacts=functools.partial(view._pages, decode=_contacts),  # noqa: SLF001  a copy of this very class
            conversations=functools.partial(view._pages, decode=_conversations),  # noqa: SLF001
            send=functools.partial(self._transport.send, options=view._interactive),  # noqa: SLF001
        )

    async def _pages(
        self,
        request: Callable[..., wire.Request],
        decode: Callable[[bytes], tuple[tuple[_Found, ...], int | None, str | None]],
    ) -> AsyncIterator[tuple[tuple[_Found, ...], int | None]]:
        """Iterate over what a search's pages hold, and how much there is in all.

        A page that a gateway gives up on (502, 504) is asked for in halves. The search ends when
        cursors repeat or a page brings nothing new.
        """
        retry = self._interactive.retry
        brief = attrs.evolve(
            self._interactive, retry=attrs.evolve(retry, attempts=min(2, retry.attempts))
        )
        size = PAGE_SIZE
        cursor: str | None = None
        cursors: set[str | None] = {None}
        ids: set[str | None] = {None}
        while True:
            asked = request(per_page=size, starting_after=cursor)
            try:
                reply = await self._call(asked, None if size == SMALLEST_PAGE else brief)
            except (ServerError, ConnectionFailedError) as error:
                if size == SMALLEST_PAGE:
                    raise
                if isinstance(error, ServerError) and error.status in {502, 504}:
                    size = max(SMALLEST_PAGE, size // 2)
                    continue
                reply = await self._call(asked)  # a smaller page would not help
            found, total, cursor = await off_loop(reply, functools.partial(decode, reply.body))
            yield found, total
            new = {entry.id for entry in found} - ids
            if cursor in cursors or not new:
                return
            cursors.add(cursor)
            ids |= new

    async def whoami(self) -> Identity:
        """Return the admin and the workspace the token belongs to.

        Raises:
            IntercomError: as for `detach_contact`.
        """
        reply = await self._call(wire.me())
        return await off_loop(reply, functools.partial(decode_identity, reply.body))

    def detach_contacts(
        self,
        pairs: Iterable[Pair] | AsyncIterable[Pair] | None = None,
        *,
        admin_id: str | int | None = None,
        concurrency: int | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        dry_run: bool = False,
        stop_after_missing: int | None = 100,
        outage_patience: float = 900.0,
    ) -> DetachRun:
        """Detach many contacts, using all of the quota; see `DetachRun`.

        Args:
            pairs: see `Pair` for what is one; pulled lazily. None works off what the journal
                has and is not settled.
            admin_id: for pairs that name no admin of their own; None for the client's.
            concurrency: requests in flight at most; None to compute it from rate and latency.
            journal: a file that keeps what became of each pair. If it exists, its run goes on:
                pairs that are settled are skipped, what is in doubt is settled, and what the
                input does not name is done as well. None for a private temporary one.
            dry_run: change nothing; look at each pair (one GET) and give the outcome that a
                detach would have. No journal is kept.
            stop_after_missing: stop when so many answers came, nothing was detached, and at
                least 95 % of the conversations do not exist; None never to.
            outage_patience: seconds that Intercom may be away before the run stops.

        Raises:
            InvalidArgumentError: an argument that cannot be used.

        The run itself raises `JournalError` if the journal cannot be used or written, belongs
        to another workspace or operation, or is in use by another run.
        """
        if dry_run and journal is not None:
            raise InvalidArgumentError("journal", journal, "None in a dry run: nothing is done")
        options = RunOptions(
            operation=DRY_RUN if dry_run else DETACH.name,
            base_url=self._base_url,
            admin_id=admin_id,
            concurrency=concurrency,
            stop_after_missing=stop_after_missing,
            outage_patience=outage_patience,
        )
        return self.run(options, pairs, as_journal(journal))

    def attach_contacts(
        self,
        pairs: Iterable[Pair] | AsyncIterable[Pair] | None = None,
        *,
        admin_id: str | int | None = None,
        concurrency: int | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        stop_after_missing: int | None = 100,
        outage_patience: float = 900.0,
    ) -> DetachRun:
        """Add many contacts to conversations: the undo of `detach_contacts`.

        Arguments, results and journal are the same; a pair that is done is `Outcome.ATTACHED`.

        Raises:
            InvalidArgumentError: an argument that cannot be used.
        """
        options = RunOptions(
            operation=ATTACH.name,
            base_url=self._base_url,
            admin_id=admin_id,
            concurrency=concurrency,
            stop_after_missing=stop_after_missing,
            outage_patience=outage_patience,
        )
        return self.run(options, pairs, as_journal(journal))

    def run(
        self,
        options: RunOptions,
        pairs: Iterable[Pair] | AsyncIterable[Pair] | None,
        journal: Journal | Part,
    ) -> DetachRun:
        """Make the run that some options ask for; `detach_contacts` is for people."""
        transport, whoami, call = self.for_runs()
        return DetachRun(
            pairs,
            journal=journal,
            options=attrs.evolve(options, admin_id=options.admin_id or self._admin_id),
            operation=_OPERATIONS[options.operation](),
            whoami=whoami,
            transport=transport,
            call=call,
            runtime=self._runtime,
        )

    def for_runs(self) -> tuple[Transport, Callable[[], Awaitable[Identity]], CallOptions]:
        """Return what a run works with."""
        view = self._for_bulk()
        return self._transport, view.whoami, view._interactive  # noqa: SLF001

    def _for_bulk(self, *, patient: bool = True) -> Self:
        """Return a view that waits as long as the quota takes: that is pacing."""
        lane = Lane.BULK if self._lane is None else self._lane
        view = copy.copy(self)
        view._interactive = attrs.evolve(  # noqa: SLF001  a copy of this very class
            self._interactive, lane=lane, max_wait=None, patient=patient
        )
        return view

    async def _call(self, request: wire.Request, options: CallOptions | None = None) -> wire.Reply:
        reply = await self._transport.send(request, options or self._interactive)
        if not reply.succeeded:
            raise error_of(reply)
        return reply


def as_journal(journal: str | os.PathLike[str] | Journal | None) -> Journal:
    """Return the journal that an argument names.

    Raises:
        InvalidArgumentError: it names none.
    """
    if isinstance(journal, Journal):
        return journal
    if journal is None or isinstance(journal, str | os.PathLike):
        return Journal(journal)
    raise InvalidArgumentError("journal", journal, "a path, a Journal or None")


def _conversations(body: bytes) -> tuple[tuple[Conversation, ...], int | None, str | None]:
    page = decode_page(body)
    return page.conversations, page.total_count, page.starting_after


def _contacts(body: bytes) -> tuple[tuple[ContactReference, ...], int | None, str | None]:
    page = decode_contacts(body)
    return page.contacts, None, page.starting_after


async def detach_contact(
    conversation_id: str,
    contact_id: str,
    *,
    admin_id: str | int | None = None,
    client: IntercomClient | None = None,
) -> Conversation:
    """Remove a contact from a group conversation; see `IntercomClient.detach_contact`.

    Without `client`, one is opened from the environment (INTERCOM_ACCESS_TOKEN) for this call
    and closed after it. Programs that make more than one call should hold a client.
    """
    if client is not None:
        return await client.detach_contact(conversation_id, contact_id, admin_id=admin_id)
    async with IntercomClient() as own:
        return await own.detach_contact(conversation_id, contact_id, admin_id=admin_id)
