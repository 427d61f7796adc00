"""`IntercomClient`, and the coroutine `detach_contact` for a single detach.

Importing everything takes long, and few programs need all of it. So the first client imports the
transport and the model, and the first bulk run or search imports the rest. Annotations name those
classes as members of the package, which imports them on demand.
"""

import copy
import functools
import importlib
import os
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, Literal, Self, Unpack, overload

import aiohttp
import attrs
from msgspec.structs import asdict, replace

import intercom_async
from intercom_async.errors import InvalidArgumentError
from intercom_async.observing import ClientStats, Observer, OutageStatus, RateLimitStatus
from intercom_async.pacing.window import Lane, RateLimitPolicy
from intercom_async.runtime import SYSTEM, Runtime
from intercom_async.secret import Secret
from intercom_async.transport.retrying import RetryPolicy
from intercom_async.validators import check_number

if TYPE_CHECKING:
    import intercom_async.bulk.options
    import intercom_async.detaching
    import intercom_async.model
    import intercom_async.people
    import intercom_async.structuring.replies  # noqa: TC004  `_load` imports it
    from intercom_async.bulk.options import Operation, RunOptions
    from intercom_async.transport.http import Http
    from intercom_async.transport.sending import CallOptions
    from intercom_async.transport.wire import Reply, Request

TOKEN_VARIABLE: Final = "INTERCOM_ACCESS_TOKEN"  # noqa: S105  the name of a variable
DRY_RUN: Final = "dry run"


def _check_retry(retry: object, max_retries: int | None) -> RetryPolicy:
    if not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError("retry", retry, "a RetryPolicy")
    if max_retries is None:
        return retry
    expected = "a whole number of at least 0"
    check_number("max_retries", max_retries, expected, lambda n: isinstance(n, int) and n >= 0)
    return attrs.evolve(retry, attempts=max_retries + 1)


def _load() -> None:
    # Not in a call: 50 milliseconds are too long while the event loop has requests in flight.
    from intercom_async.structuring import prepare

    for name in ("detaching", "structuring.replies"):
        importlib.import_module(f"intercom_async.{name}")
    prepare()


class IntercomClient:
    """One workspace's connection to Intercom's REST API, for as long as the application runs.

    Open it when the application starts and share it between tasks; it belongs to the event loop
    that first uses it. Use it as an async context manager, or call `aclose` at the end. Nothing
    touches the network before the first call. The first client of a process takes some 50
    milliseconds to make, because it imports what all calls need.

    `detach_contact` lists the errors that every call may raise; other methods list only further
    ones. Before it sends anything, a call raises `InvalidArgumentError` for an argument that it
    cannot use.

    Args:
        token: access token; by default the environment variable INTERCOM_ACCESS_TOKEN.
        base_url: used in place of `region`; must be https unless its host is loopback.
        version: value of the `Intercom-Version` header: "Preview", "Unstable" or a dated
            version such as "2.14".
        admin_id: the admin in whose name contacts are detached and attached, unless a call names
            another; by default the token's own admin, looked up once.
        timeout: seconds for one attempt, from connecting to the end of the reply.
        retry: how often and how long a failed call is tried again.
        max_retries: attempts after the first one, in place of `retry.attempts`; 0 for none.
        default_headers: sent with every request besides the library's own.
        user_agent_suffix: added to the User-Agent header, such as "acme-sync/2.1".
        proxy: an HTTP proxy, perhaps with name and password: "http://user:word@proxy:3128". By
            default that of `session`, or of HTTPS_PROXY and NO_PROXY. Requests pass it in a tunnel,
            so it never sees the token. SSL_CERT_FILE can name the authorities to trust.
        session: the application's own `aiohttp.ClientSession`, with its proxy, TLS context and
            connector; used and never closed. Its client middlewares do not run, and no cookie
            of its jar is sent. Calls raise `ClientStateError` if it has credentials of its own,
            or would send the token through a foreign proxy in plain text. Give it a
            `Connector`: another connector may take stale bytes on a connection for an answer.
            shared_budget: shares a quota more closely than Intercom's headers allow; see
            `intercom_async.integrations.redis`.
        observer: called with every event of `intercom_async.observing`; must be quick.
        runtime: clock, sleep and randomness, for tests.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        region: "intercom_async.Region" = "us",
        base_url: str | None = None,
        version: str = "Preview",
        admin_id: str | int | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        user_agent_suffix: str | None = None,
        proxy: str | None = None,
        rate_limit: RateLimitPolicy = RateLimitPolicy(),  # noqa: B008  frozen
        session: aiohttp.ClientSession | None = None,
        shared_budget: "intercom_async.SharedBudget | None" = None,
        observer: Observer | None = None,
        runtime: Runtime = SYSTEM,
    ) -> None:
        secret = Secret(os.environ.get(TOKEN_VARIABLE) if token is None else token)
        del token  # see `Secret`
        from intercom_async.ids import check_id
        from intercom_async.pacing.limiters import limiter_for
        from intercom_async.transport import wire
        from intercom_async.transport.headers import request_headers
        from intercom_async.transport.http import Http
        from intercom_async.transport.network import check_proxy
        from intercom_async.transport.sending import CallOptions, Transport

        wire.check_token(secret)
        url = wire.check_base_url(region, base_url)
        headers = request_headers(
            version=version, user_agent_suffix=user_agent_suffix, default_headers=default_headers
        )
        retry = _check_retry(retry, max_retries)
        if not isinstance(rate_limit, RateLimitPolicy):
            raise InvalidArgumentError("rate_limit", rate_limit, "a RateLimitPolicy")
        if observer is not None and not callable(observer):
            raise InvalidArgumentError("observer", observer, "a callable taking one event")
        self._admin_id = None if admin_id is None else check_id("admin_id", admin_id)
        self._own_admin_id: str | None = None
        self._base_url = url
        self._version = version
        http = Http(
            base_url=url,
            token=secret,
            headers=headers,
            session=session,
            proxy=None if proxy is None else check_proxy("proxy", proxy),
            runtime=runtime,
        )
        self._transport = Transport(
            http=http,
            limiter=limiter_for(secret, url, rate_limit, runtime, shared_budget),
            retry_budget=retry.budget,
            observer=observer,
            runtime=runtime,
        )
        _load()
        self._runtime = runtime
        self._lane: Lane | None = None
        self._interactive = CallOptions(
            lane=Lane.INTERACTIVE, timeout=timeout, retry=retry, max_wait=rate_limit.max_wait
        )

    def __repr__(self) -> str:
        state = "closed" if self._transport.http.closed else "open"
        return f"<IntercomClient {self._base_url} version {self._version} ({state})>"

    async def __aenter__(self) -> Self:
        self._transport.http.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; a second call does nothing.

        Calls that wait for the quota or for a retry fail at once with `ClientStateError`. So do
        requests in flight, unless the session is the application's, which stays open. A write
        that may have been applied by then raises `UnknownOutcomeError`.
        """
        self._transport.close()
        await self._transport.http.aclose()

    def stats(self) -> ClientStats:
        """Return the counters of this client and its views."""
        return self._transport.stats()

    @property
    def base_url(self) -> str:
        """Where requests go, without a trailing slash."""
        return self._base_url

    @property
    def admin_id(self) -> str | None:
        """The admin in whose name the client acts; None for the token's own."""
        return self._admin_id

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The present quota, None before the first reply."""
        return self._transport.rate_limit

    @property
    def outage(self) -> OutageStatus | None:
        """The present outage, None while Intercom answers.

        Bulk calls wait for its end. Other calls fail at once, unless it is time for one of them
        to check whether Intercom is back.
        """
        return self._transport.outage

    def with_options(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        lane: Lane | None = None,
        max_wait: float | None = None,
    ) -> Self:
        """Return a view of this client whose calls have other options.

        Connections, quota and retry budget are shared; closing either closes both. Options that
        you do not give stay as they are. `lane` holds for every call of the view, runs included.
        A call waits for the quota `max_wait` seconds at most. The others are the client's options.
        """
        if retry is not None or max_retries is not None:
            retry = _check_retry(retry or self._interactive.retry, max_retries)
        options = self._options(timeout, lane, max_wait=max_wait, retry=retry)
        view = copy.copy(self)
        view._interactive = options  # noqa: SLF001  a copy of this very class
        view._lane = self._lane if lane is None else options.lane  # noqa: SLF001
        return view

    def _options(
        self, timeout: float | None, lane: Lane | None = None, **others: object
    ) -> "CallOptions":
        options = self._interactive
        named: dict[str, Any] = {"timeout": timeout, "lane": lane, **others}
        changes = {name: value for name, value in named.items() if value is not None}
        if not changes:
            return options
        if lane is not None:
            changes["patient"] = lane == Lane.BULK
        # Made anew, not by `replace`, which checks nothing in older versions of msgspec.
        return type(options)(**(asdict(options) | changes))

    @overload
    async def detach_contact(
        self,
        conversation_id: str,
        contact_id: str,
        *,
        admin_id: str | int | None = None,
        missing_ok: Literal[False] = False,
        timeout: float | None = None,
    ) -> "intercom_async.Conversation": ...
    @overload
    async def detach_contact(
        self,
        conversation_id: str,
        contact_id: str,
        *,
        admin_id: str | int | None = None,
        missing_ok: bool,
        timeout: float | None = None,
    ) -> "intercom_async.Conversation | None": ...
    async def detach_contact(
        self,
        conversation_id: str,
        contact_id: str,
        *,
        admin_id: str | int | None = None,
        missing_ok: bool = False,
        timeout: float | None = None,
    ) -> "intercom_async.Conversation | None":
        """Remove a contact from a group conversation.

        Ids are Intercom's own (for the contact, not an external id or e-mail address). The
        detach happens in the name of `admin_id`, else of the client's admin, else of the token's
        own. `timeout` is the seconds for one attempt; here as in all calls, the default is the
        client's.

        Returns:
            The conversation as Intercom returned it; `participants` are the contacts left. (Some
            workspaces' replies still list the removed contact: the client checks the first three,
            then believes them.) With `missing_ok`, None if the contact is not part of the
            conversation, or if there is no such conversation.

        Raises:
            InvalidArgumentError: an id that cannot be sent; nothing was sent.
            ContactNotFoundError: the contact is not part of the conversation.
            ConversationNotFoundError: there is no such conversation.
            LastContactError: the last contact cannot be removed.
            RateLimitWaitError: the quota asks for a longer wait than allowed.
            UnknownOutcomeError: it may have happened, and no check could find out.
            ConnectionFailedError: Intercom could not be reached, or a check showed that nothing
                had happened.
            AdminNotFoundError: Intercom does not know the admin.
            ContradictoryReplyError: the reply reports a success, but a check showed otherwise;
                or, in a call that reads, the reply is about another conversation.
            ResponseDecodeError: the reply is no JSON object, and (as far as a check could see)
                nothing was done.
            APIError: any other error that Intercom answered with.
        """
        detaching = intercom_async.detaching  # `_load` has imported it
        pair = detaching.Detach(conversation_id, contact_id)
        settled = await self._settle(pair, detaching.DETACH, admin_id, timeout)
        if missing_ok and settled.outcome in detaching.GONE:
            return None
        return await self._changed(settled)

    async def attach_contact(
        self,
        conversation_id: str,
        contact_id: str,
        *,
        admin_id: str | int | None = None,
        timeout: float | None = None,
    ) -> "intercom_async.Conversation":
        """Add a contact to a conversation: the undo of `detach_contact`, with its errors."""
        detaching = intercom_async.detaching
        pair = detaching.Detach(conversation_id, contact_id)
        return await self._changed(await self._settle(pair, detaching.ATTACH, admin_id, timeout))

    async def _settle(
        self,
        pair: "intercom_async.Detach",
        change: "intercom_async.detaching.Change",
        admin_id: str | int | None,
        timeout: float | None,
    ) -> "intercom_async.DetachResult":
        options = self._options(timeout)
        if admin_id is None:
            admin_id = self._admin_id or self._own_admin_id
        if admin_id is None:
            self._own_admin_id = admin_id = (await self.whoami(timeout=timeout)).id
        if admin_id is None:
            raise InvalidArgumentError(
                "admin_id", None, "given: Intercom does not say which admin the token belongs to"
            )
        settle = intercom_async.detaching.settle
        return await settle(self._transport, pair, admin_id, options, change=change)

    @staticmethod
    async def _changed(settled: "intercom_async.DetachResult") -> "intercom_async.Conversation":
        if settled.error is not None:
            raise settled.error
        assert settled.answer is not None  # noqa: S101  no error means a reply
        read = intercom_async.structuring.replies.read_conversation
        return await read(settled.answer, settled.detach.conversation_id)

    async def get_conversation(
        self,
        conversation_id: str,
        *,
        timeout: float | None = None,
    ) -> "intercom_async.Conversation":
        """Return a conversation with its newest parts.

        Raises:
            ConversationNotFoundError: there is no such conversation.
        """
        from intercom_async.structuring.replies import read_conversation
        from intercom_async.transport import wire

        asked = wire.get_conversation(conversation_id)
        reply = await self._call(asked, self._options(timeout))
        return await read_conversation(reply, conversation_id)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, object] | None = None,
        idempotent: bool | None = None,
        lane: Lane | None = None,
        timeout: float | None = None,
    ) -> "intercom_async.RawReply":
        """Call any endpoint of Intercom, with the quota, retries and errors of the other methods.

        ::

            reply = await client.request("POST", "/tags", json={"name": "VIP"})
            reply.status, reply.request_id, reply.json()["id"]

        `path` is below the base URL, with each id in it encoded as one segment; a path that
        could lead elsewhere is refused. `params` become the query: a list repeats its name, None
        is left out. Only a success (2xx) returns; any other reply raises.

        After a lost answer or a 5xx, the call may have been applied. It is sent again only where
        that does no harm: GET, PUT and DELETE (the second answer may then be a 404), and POST
        and PATCH if you pass `idempotent=True`, as for a search. Otherwise the one attempt
        raises `UnknownOutcomeError` or `ServerError`. A call that certainly was not applied
        (429, no connection) is always repeated.
        """
        from intercom_async import raw

        asked = raw.request(method, path, json, params, idempotent=idempotent)
        return raw.raw_of(await self._call(asked, self._options(timeout, lane)))

    def find_conversations(
        self, contact_id: str, *, timeout: float | None = None
    ) -> "AsyncIterator[intercom_async.Conversation]":
        """Iterate over the conversations that a contact takes part in, each one once.

        Pages shift when the contact is detached meanwhile. If the pages have fewer conversations
        than they announce, the search starts over until it brings nothing new.

        Raises:
            ContradictoryReplyError: the search seems to have no end.
        """
        from intercom_async.search import Search

        return Search(self._call, self._options(timeout)).conversations(contact_id)

    def find_contacts(
        self,
        *,
        email: str | None = None,
        external_id: str | None = None,
        contact_ids: Sequence[str] = (),
        timeout: float | None = None,
    ) -> "AsyncIterator[intercom_async.model.ContactReference]":
        """Iterate over the contacts with an e-mail address, your own id, or some of Intercom's ids.

        Give exactly one of the three, and at most 15 `contact_ids`; it leaves out ids that do not
        exist. Several contacts may have the same address. Intercom searches an index: it may lack
        new contacts for some minutes, and it never has merged ones.

        Raises:
            ContradictoryReplyError: the search seems to have no end.
        """
        asked = {"email": email, "external_id": external_id, "id": [*contact_ids]}
        given = [(field, value) for field, value in asked.items() if value not in (None, [])]
        if len(given) != 1:
            raise InvalidArgumentError(
                "email, external_id or contact_ids", None, "given, exactly one of them"
            )
        ((field, value),) = given
        values = value if isinstance(value, list) else [value]
        from intercom_async.search import Search

        return Search(self._call, self._options(timeout)).contacts(field, *values)

    def find_pairs(
        self,
        people: Iterable[str | int] | AsyncIterable[str | int] | None = None,
        *,
        by: "intercom_async.people.By" = "email",
        one_per_address: bool = False,
    ) -> "intercom_async.PairSearch":
        """Iterate over the pairs of people: one for each group conversation that they take part in.

        Give the search to `detach_contacts`: then the run's journal keeps the people, too, and a
        killed run goes on in the middle of a person. If several contacts have an address, the
        search takes them all; it follows a contact that was merged into another.
        `PairSearch.summary` says what became of the people.

        Args:
            people: ids or addresses, pulled lazily; None for those that the journal has left.
            by: what they are: "email", "contact" for Intercom's ids, or "external-id".
            one_per_address: whether to leave out people whose address several contacts have.
        """
        from intercom_async.people import PairSearch
        from intercom_async.search import Search

        options = replace(self._for_bulk()._interactive, patient=False)  # noqa: SLF001  a copy of this very class
        search = Search(self._call, options)
        return PairSearch(people, by=by, one_per_address=one_per_address, search=search)

    async def whoami(self, *, timeout: float | None = None) -> "intercom_async.Identity":
        """Return the admin and the workspace the token belongs to."""
        from intercom_async.structuring import decode_identity
        from intercom_async.structuring.replies import read
        from intercom_async.transport import wire

        reply = await self._call(wire.me(), self._options(timeout))
        return await read(reply, decode_identity)

    def detach_contacts(
        self,
        pairs: "Iterable[intercom_async.Pair] | AsyncIterable[intercom_async.Pair] | None" = None,
        *,
        admin_id: str | int | None = None,
        concurrency: int | None = None,
        journal: "str | os.PathLike[str] | intercom_async.Journal | None" = None,
        dry_run: bool = False,
        stop_after_missing: int | None = 100,
        outage_patience: float = 900.0,
        progress: "Callable[[intercom_async.DetachSummary], object] | None" = None,
    ) -> "intercom_async.DetachRun":
        """Detach many contacts, using all of the quota; see `DetachRun`.

        Args:
            pairs: an iterable or async iterable of pairs (see `Pair`), pulled lazily; None for
                the pairs that the journal has left to do.
            admin_id: for pairs that name no admin of their own; None for the client's.
            concurrency: requests in flight at most; None to compute it from rate and latency.
            journal: a file that keeps what became of each pair. If it exists, its run goes on:
                pairs that are settled are skipped, pairs in doubt are checked, and pairs that
                the input does not name are done as well. None for a private temporary one.
            dry_run: change nothing; look at each pair (one GET) and give the outcome that a
                detach would have. No journal is kept.
            stop_after_missing: after this many answers, stop if none detached a contact and at
                least 95 % named a conversation that does not exist; None to go on even then.
            outage_patience: seconds that Intercom may be away before the run stops.
            progress: called with the run's numbers every two seconds, and once more at the end.
                If it raises, the run stops and raises that.

        The run itself raises `JournalError` if the journal cannot be used or written, belongs
        to another workspace or operation, or is in use by another run.
        """
        from intercom_async.bulk.options import RunOptions

        if dry_run and journal is not None:
            raise InvalidArgumentError("journal", journal, "None in a dry run")
        options = RunOptions(
            operation=DRY_RUN if dry_run else "detach",
            base_url=self._base_url,
            admin_id=admin_id,
            concurrency=concurrency,
            stop_after_missing=stop_after_missing,
            outage_patience=outage_patience,
            progress=progress,
        )
        return bulk_run(self, options, pairs, as_journal(journal, pairs))

    def attach_contacts(
        self,
        pairs: "Iterable[intercom_async.Pair] | AsyncIterable[intercom_async.Pair] | None" = None,
        *,
        journal: "str | os.PathLike[str] | intercom_async.Journal | None" = None,
        progress: "Callable[[intercom_async.DetachSummary], object] | None" = None,
        **options: "Unpack[intercom_async.bulk.options.BulkOptions]",
    ) -> "intercom_async.DetachRun":
        """Add many contacts to conversations: the undo of `detach_contacts`.

        It takes the same arguments, except `dry_run`. The outcome of a success is
        `Outcome.ATTACHED`.
        """
        from intercom_async.bulk.options import RunOptions

        asked = RunOptions(
            operation="attach", base_url=self._base_url, progress=progress, **options
        )
        return bulk_run(self, asked, pairs, as_journal(journal, pairs))

    def _for_bulk(self) -> Self:
        # A run is paced by its waits for the quota, so they have no bound.
        lane = Lane.BULK if self._lane is None else self._lane
        view = copy.copy(self)
        view._interactive = replace(  # noqa: SLF001  a copy of this very class
            self._interactive, lane=lane, max_wait=None, patient=True
        )
        return view

    async def _call(self, request: "Request", options: "CallOptions") -> "Reply":
        reply = await self._transport.send(request, options)
        if not reply.succeeded:
            from intercom_async.transport.doubt import error_of

            raise error_of(reply)
        return reply


def bulk_run(
    client: IntercomClient,
    options: "RunOptions",
    pairs: "Iterable[intercom_async.Pair] | AsyncIterable[intercom_async.Pair] | None",
    journal: "intercom_async.Journal",
) -> "intercom_async.DetachRun":
    """Make the run that `options` describe, for `detach_contacts` and the command line."""
    from intercom_async.bulk.run import DetachRun

    run = DetachRun(pairs, journal=journal, runtime=client._runtime)  # noqa: SLF001  of this very module
    connect(run, client, attrs.evolve(options, admin_id=options.admin_id or client.admin_id))
    return run


def connect(run: "intercom_async.DetachRun", client: IntercomClient, options: "RunOptions") -> None:
    """Tell a run what to do, and through which client."""
    from intercom_async.detaching import ATTACH, DETACH, settle
    from intercom_async.dry_run import DryRun

    operation: Operation = DryRun()
    if options.operation != DRY_RUN:
        change = ATTACH if options.operation == ATTACH.name else DETACH
        operation = functools.partial(settle, change=change)
    view = client._for_bulk()  # noqa: SLF001  of this very module
    run.connect(
        options,
        operation=operation,
        transport=client._transport,  # noqa: SLF001
        call=view._interactive,  # noqa: SLF001
        whoami=view.whoami,
    )


def connection_of(client: IntercomClient) -> "Http":
    """Return a client's connection: its session and its token."""
    return client._transport.http  # noqa: SLF001


def reconnect(client: IntercomClient, other: IntercomClient) -> None:
    """Let the requests of a client go through another client's connection."""
    client._transport.http = other._transport.http  # noqa: SLF001


def as_journal(
    journal: "str | os.PathLike[str] | intercom_async.Journal | None", pairs: object
) -> "intercom_async.Journal":
    """Return the journal that an argument names; without `pairs`, it is the run's source, too."""
    from intercom_async.journal import Journal, Source

    if isinstance(journal, Journal):
        return journal
    if journal is None or isinstance(journal, str | os.PathLike):
        return Journal(journal, source=Source(kind="journal") if pairs is None else None)
    raise InvalidArgumentError("journal", journal, "a path, a Journal or None")


async def detach_contact(
    conversation_id: str,
    contact_id: str,
    *,
    admin_id: str | int | None = None,
    timeout: float | None = None,
    client: IntercomClient | None = None,
) -> "intercom_async.Conversation":
    """Remove a contact from a group conversation; see `IntercomClient.detach_contact`.

    Without `client`, one is opened from the environment (INTERCOM_ACCESS_TOKEN) for this call
    and closed after it. Programs that make more than one call should hold a client.
    """
    async with IntercomClient() if client is None else nullcontext(client) as used:
        return await used.detach_contact(
            conversation_id, contact_id, admin_id=admin_id, timeout=timeout
        )
