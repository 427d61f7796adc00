"""Makes requests reliable: get a permit, attempt, learn from the answer, decide, wait.

The first attempt runs outside tenacity, so that a call that succeeds at once pays nothing for
the machinery of retries. Only a failed first attempt enters tenacity, which takes that failure
for its own first attempt and goes on from there. `decide` alone says whether there is another.

While Intercom is away (see `outage`), patient calls wait for the outage's end, without a permit;
failures meanwhile do not count against their attempts or their time. Other calls fail at once,
unless it is time for one to check whether Intercom is back.

Closing the client ends all long waits at once: for the quota, for the end of an outage, and before
a retry.
"""

import asyncio
import itertools
import math
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from intercom_async.errors import (
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    ContactNotFoundError,
    IntercomError,
    InvalidArgumentError,
    RateLimitWaitError,
    UnknownOutcomeError,
    readable,
)
from intercom_async.observing import (
    CallBegan,
    CallEnded,
    CallGivenUp,
    ClientStats,
    Event,
    Observer,
    OutageBegan,
    OutageEnded,
    OutageStatus,
    QuotaWaited,
    RateLimitStatus,
    Reporter,
    RequestLost,
    RequestRefused,
    RequestRetried,
    RequestSent,
    WaitRefused,
)
from intercom_async.pacing.limiter import Limiter
from intercom_async.pacing.window import Lane, Permit
from intercom_async.runtime import Runtime
from intercom_async.transport.doubt import Habit
from intercom_async.transport.http import AttemptFailedError, Http, show_nothing_of
from intercom_async.transport.outage import LONGEST_PAUSE, Outage
from intercom_async.transport.retrying import (
    Failure,
    Retry,
    RetryBudget,
    RetryPolicy,
    Stop,
    decide,
    too_long,
)
from intercom_async.transport.wire import Reply, Request, error_body, error_for, me, request_id_of
from intercom_async.validators import check_number

_T = TypeVar("_T")
_Failing = TypeVar("_Failing", UnknownOutcomeError, ConnectionFailedError, CertificateError)

_NUMBERS: Final = itertools.count(1)
"""Numbers of calls, for events; of the whole process, because clients may share an observer."""

_NOT_REPEATED: Final = "it may have been applied and is not repeated; see IntercomClient.request"

_PAUSE_WHILE_ANSWERING: Final = 5.0
"""The longest pause between two looks, in seconds, while Intercom itself answers with 500: the
pairs that are left may be the reason."""

_LOOK_HOLDS: Final = 10.0
"""Seconds that one look at the token serves all calls: refusals come in bursts."""

_LONGEST: Final = sys.float_info.max


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ from call to call.

    Attributes:
        timeout: seconds for one attempt.
        max_wait: seconds a call of the interactive lane may wait for the quota; None for no bound.
        bounded: whether a bulk request counts against the computed bound on concurrency.
        patient: whether it waits for the end of an outage, as long as that takes. The retry
            budget does not bind it: it never sends faster than the quota and outages allow.
    """

    lane: Lane
    timeout: float
    retry: RetryPolicy
    max_wait: float | None
    bounded: bool = True
    patient: bool = False

    def __post_init__(self) -> None:
        if self.lane not in tuple(Lane):
            raise InvalidArgumentError("lane", self.lane, "Lane.INTERACTIVE or Lane.BULK")
        check_number("timeout", self.timeout, "a positive number", lambda n: 0 < n <= _LONGEST)
        if self.max_wait is not None:
            check_number("max_wait", self.max_wait, "0 or more", lambda n: 0 <= n <= _LONGEST)


class Transport:
    """Sends the requests of one client.

    Attributes:
        counts: by the names that they have in `ClientStats`.
        replies: by HTTP status.
        waited: seconds spent waiting for the quota.
    """

    def __init__(
        self,
        *,
        http: Http,
        limiter: Callable[[], Limiter],
        retry_budget: float,
        observer: Observer | None,
        runtime: Runtime,
    ) -> None:
        self.http = http
        self.runtime = runtime
        self.budget = RetryBudget(retry_budget)
        self.reporter = Reporter(observer)
        self.absence = Outage(runtime)
        self.counts: Counter[str] = Counter()
        self.replies: Counter[int] = Counter()
        self.waited = 0.0
        self._find_limiter = limiter
        self._limiter: Limiter | None = None
        self._closed = False
        self._waits: set[asyncio.Timeout] = set()
        self._looking = asyncio.Lock()
        self._looked_at = -math.inf
        self._good = True

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The present quota, None before the first reply."""
        return None if self._limiter is None else self._limiter.status()

    @property
    def limit(self) -> int | None:
        """Requests the server allows per window, None while that is unknown."""
        return None if self._limiter is None else self._limiter.limit

    @property
    def limiter(self) -> Limiter:
        """The budget's limiter; needs a running loop."""
        self.http.ready()
        if self._limiter is None:
            self._limiter = self._find_limiter()
        return self._limiter

    @property
    def outage(self) -> OutageStatus | None:
        """The present outage, None while Intercom answers."""
        return self.absence.status()

    @property
    def habit(self) -> Habit:
        """What checks have shown about this workspace's replies; see `Habit`."""
        return self.http.habit

    def stats(self) -> ClientStats:
        """Return the counters."""
        return ClientStats(
            **self.counts,
            requests=self.replies.total() + self.counts["lost"],
            by_status=dict(sorted(self.replies.items())),
            refusals=self.replies[429],
            waited=self.waited,
        )

    async def token_is_good(self, options: CallOptions) -> bool:
        """Whether `GET /me` succeeds, now or a moment ago."""
        async with self._looking:
            if self.runtime.monotonic() - self._looked_at >= _LOOK_HOLDS:
                try:
                    self._good = (await self.send(me(), options)).succeeded
                except IntercomError:
                    self._good = False
                self._looked_at = self.runtime.monotonic()
            return self._good

    async def send(
        self,
        request: Request,
        options: CallOptions,
        *,
        on_send: Callable[[], Awaitable[None] | None] | None = None,
    ) -> Reply:
        """Return the final reply, whatever its status.

        Args:
            on_send: called when an attempt has its permit; the attempt waits for what it returns,
                if anything. Cancelled before that, a call certainly sent nothing. The call raises
                what it raises.

        Raises:
            RateLimitWaitError: the quota asks for a longer wait than `options.max_wait`.
            ConnectionFailedError: no attempt reached the server, or none was made because
                Intercom is away.
            UnknownOutcomeError: no attempt was answered, at least one may have been applied.
            ClientStateError: the client is closed or belongs to another loop.
        """
        limiter, observed = self.limiter, self.reporter.observed
        began = self.runtime.monotonic()
        call = _Call(self, limiter, request, options, on_send, began, observed)
        self.counts["calls"] += 1
        return await (call.run_observed() if observed else call.run())

    def close(self) -> None:
        """Make every call that waits fail now, and every later one."""
        self._closed = True
        while self._waits:  # each once: a timeout that is ending must not be moved again
            self._waits.pop().reschedule(0.0)  # long past on the loop's clock

    async def unless_closed(self, waiting: Awaitable[_T]) -> _T:
        """Wait for something; raise `ClientStateError` if the client is closed before it ends."""
        scope = asyncio.timeout(0.0 if self._closed else None)
        if not self._closed:
            self._waits.add(scope)
        try:
            async with scope:
                return await waiting
        except TimeoutError:
            raise ClientStateError("the client was closed while the call waited") from None
        finally:
            self._waits.discard(scope)

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the client is closed; see `unless_closed`."""
        await self.unless_closed(self.runtime.sleep(seconds))


class _Failed(msgspec.Struct, frozen=True, eq=False):
    """An attempt without a final answer."""

    failure: Failure
    reason: str
    decision: Retry | Stop
    reply: Reply | None
    cause: BaseException | None

    @property
    def is_final(self) -> bool:
        return isinstance(self.decision, Stop)

    @property
    def request_id(self) -> str | None:
        return None if self.reply is None else request_id_of(self.reply)


class _Call(msgspec.Struct, eq=False):
    """One call, from its first permit to its last answer.

    Attributes:
        refund: what its retries took from the retry budget.
        excused: attempts that failed because Intercom was away.
        away: seconds that outages took: waiting for their end, and attempts that failed in them.
    """

    transport: Transport
    limiter: Limiter
    request: Request
    options: CallOptions
    on_send: Callable[[], Awaitable[None] | None] | None
    began: float
    observed: bool
    number: int = msgspec.field(default_factory=_NUMBERS.__next__)
    waited: float = 0.0
    attempts: int = 0
    refusals: int = 0
    in_doubt: bool = False
    refused: Reply | None = None
    refund: float = 0.0
    excused: int = 0
    away: float = 0.0

    # --- the whole call --------------------------------------------------------------------------

    async def run_observed(self) -> Reply:
        """Run, and report the call's first and last event."""
        http = self.transport.http
        lane = self.options.lane.value
        self._report(CallBegan, base_url=http.base_url, lane=lane, instrumented=http.instrumented)
        reply: Reply | None = None
        error: str | None = None
        try:
            reply = await self.run()
            return reply  # noqa: TRY300  the last event follows in any case
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            self._report(
                CallEnded,
                status=None if reply is None else reply.status,
                error=error,
                attempts=self.attempts,
                refusals=self.refusals,
                waited=self.waited,
                elapsed=self._since(self.began),
                request_id=None if reply is None else request_id_of(reply),
                already_gone=reply is not None and self._already_gone(reply),
            )

    async def run(self) -> Reply:
        """Return the final reply; see `Transport.send` for what is raised."""
        attempted = await self._attempt()
        reply = await self._try_again(attempted) if isinstance(attempted, _Failed) else attempted
        if reply.succeeded:
            self.transport.budget.earn(self.refund)
            if self.attempts == 1 and not self.refusals:
                return reply
        return msgspec.structs.replace(
            reply,
            attempts=self.attempts,
            refusals=self.refusals,
            in_doubt=self.in_doubt,
            rate_limit=None if reply.succeeded else self.limiter.status(),
        )

    async def _try_again(self, first: _Failed) -> Reply:
        import tenacity  # noqa: PLC0415  most programs never need it

        done = [first]

        async def attempt() -> Reply | _Failed:
            return done.pop() if done else await self._attempt()

        # One object for each call: a shared one mixes up the counts of concurrent calls.
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(
                lambda result: isinstance(result, _Failed) and not result.is_final
            ),
            wait=lambda state: _result_of(state).decision.wait,
            before_sleep=lambda state: self._retries(_result_of(state), state.upcoming_sleep),
            sleep=self.transport.sleep,
        )
        try:
            result: Reply | _Failed = await retrying(attempt)
        except ClientStateError as error:
            # The client was closed during the call: what was sent before stays in doubt.
            if not self.in_doubt:
                raise
            raise self._unknown(error) from error
        if isinstance(result, Reply):
            return result
        assert isinstance(result.decision, Stop)  # noqa: S101  or there would be another attempt
        advice = result.decision.reason
        self._report_given_up(f"{result.reason}; {advice}", result.request_id)
        if result.reply is not None:
            return msgspec.structs.replace(result.reply, advice=advice)
        unanswered: IntercomError
        text = f"{result.reason}; {advice} (attempts: {self.attempts})"
        if self.in_doubt:
            unanswered = self._error(
                UnknownOutcomeError, f"{text}; the request may have been applied"
            )
        elif result.failure is Failure.CERTIFICATE:
            unanswered = self._error(CertificateError, f"{text}; nothing was sent")
        else:
            unanswered = self._error(ConnectionFailedError, f"{text}; nothing was changed")
        raise unanswered from result.cause

    # --- one attempt -----------------------------------------------------------------------------

    async def _attempt(self) -> Reply | _Failed:
        """Send once and return the answer; after a 429, wait for the quota and send again."""
        transport = self.transport
        while True:
            permit = None if transport.absence.is_open else self._free_permit()
            if permit is None:
                permit = await self._wait_for_permit()
            if self.on_send is not None and (announced := self.on_send()) is not None:
                await self._until_announced(announced, permit)
            try:
                reply = await transport.http.attempt(self.request, seconds=self.options.timeout)
            except AttemptFailedError as error:
                return self._without_reply(permit, error)
            except BaseException as error:  # noqa: BLE001  raised again
                self._interrupted(permit, error)
                raise show_nothing_of(error) from None
            transport.replies[reply.status] += 1
            if reply.status != 429:
                return self._answered(permit, reply)
            refusal = self._refused(permit, reply)
            if refusal is not None:
                return refusal

    def _free_permit(self) -> Permit | None:
        options = self.options
        return self.limiter.try_acquire(
            options.lane, bounded=options.bounded, slots=self.transport.http.slots
        )

    def _unsent(self, permit: Permit) -> None:
        self.limiter.release(permit, headers=None, status=None, sent=False)
        self.transport.absence.end_look(self.number)

    async def _until_announced(self, announced: Awaitable[None], permit: Permit) -> None:
        try:
            await announced
        except BaseException:
            self._unsent(permit)
            raise

    def _interrupted(self, permit: Permit, error: BaseException) -> None:
        """Learn that an attempt was cancelled, or could not begin; Intercom may have counted it."""
        sent = not isinstance(error, ClientStateError)
        self.limiter.release(permit, headers=None, status=None, sent=sent)
        if sent:
            self._lost(permit, "cancelled", self.attempts + 1)
        self.transport.absence.end_look(self.number)

    def _without_reply(self, permit: Permit, error: AttemptFailedError) -> _Failed:
        reached = error.failure not in {Failure.NOT_SENT, Failure.CERTIFICATE}
        self.limiter.release(permit, headers=None, status=None, sent=reached, tried=True)
        self.attempts += 1
        self._lost(permit, error.failure.name.lower(), self.attempts)
        return self._failed(permit, error.failure, error.detail, cause=error.__cause__)

    def _answered(self, permit: Permit, reply: Reply) -> Reply | _Failed:
        """Learn from a reply; one in doubt counts as failed if another attempt may do better."""
        self.limiter.release(permit, headers=reply.headers, status=reply.status)
        self.attempts += 1
        if self.observed:
            self._report(
                RequestSent,
                status=reply.status,
                elapsed=self._since(permit.sent),
                attempt=self.attempts,
                request_id=request_id_of(reply),
                rate_limit=self.limiter.status(),
                already_gone=self._already_gone(reply),
            )
        doubt = reply.doubt
        if doubt is not None:
            if doubt.again:
                return self._failed(permit, doubt.failure, doubt.reason, reply)
            self.in_doubt = self.in_doubt or self.request.writes
        if self.transport.absence.failures:
            self._recovered()
        return reply

    def _refused(self, permit: Permit, reply: Reply) -> Reply | None:
        """Learn from a 429; return it unless the call waits for the quota and sends again."""
        if reply.doubt is not None and self.request.writes:
            self.in_doubt = True  # a gateway refused it, perhaps after Intercom applied it
        self.refused = reply
        code = error_body(reply).code
        self.limiter.release(permit, headers=reply.headers, status=429, code=code)
        self.refusals += 1
        if self.transport.absence.failures:
            self._recovered()
        self._report(
            RequestRefused,
            code=None if code is None else readable(code),
            elapsed=self._since(permit.sent),
            request_id=request_id_of(reply),
            rate_limit=self.limiter.status(),
        )
        asked, policy = reply.retry_after, self.options.retry
        if self.in_doubt and not self.request.repeatable:
            advice = _NOT_REPEATED
        elif asked is None or asked <= policy.retry_after_max:
            return None
        else:
            advice = too_long(asked, policy)
        self._report_given_up(advice, request_id_of(reply))
        return msgspec.structs.replace(reply, advice=advice)

    # --- failures and outages --------------------------------------------------------------------

    def _failed(
        self,
        permit: Permit,
        failure: Failure,
        detail: str,
        reply: Reply | None = None,
        cause: BaseException | None = None,
    ) -> _Failed:
        """Count a failed attempt towards an outage, and decide whether there is another."""
        absence, number = self.transport.absence, self.number
        reason = f"{failure.value}: {detail}"
        asked = None if reply is None else reply.retry_after
        # This very request may be the reason, because Intercom itself answered it.
        own = reply is not None and reply.status == 500
        if failure is Failure.CERTIFICATE:
            absence.end_look(number)
        else:
            begun = absence.failed(call=number, sent=permit.sent, reason=reason)
            if begun is not None:
                event = OutageBegan(call=number, since=begun.since, reason=begun.reason)
                self.transport.reporter.report(event)
            if absence.suspected:
                self.away += self._since(permit.sent)
            longest = _PAUSE_WHILE_ANSWERING if own else LONGEST_PAUSE
            absence.end_look(number, asked=asked, longest=longest)
        return _Failed(failure, reason, self._decide(failure, asked, own=own), reply, cause)

    def _decide(self, failure: Failure, asked: float | None, *, own: bool) -> Retry | Stop:
        transport, patient = self.transport, self.options.patient
        self.in_doubt = self.in_doubt or (failure.ambiguous and self.request.writes)
        if failure.ambiguous and not self.request.repeatable:
            return Stop(_NOT_REPEATED)
        outage = transport.outage
        if outage is not None and not patient:
            return Stop(str(outage))
        excused = patient and transport.absence.suspected
        if excused and not own:
            self.excused += 1
        decision = decide(
            self.options.retry,
            failure=failure,
            attempts=self.attempts - self.excused,
            elapsed=0.0 if excused else self._since(self.began) - self.waited - self.away,
            retry_after=None if excused else asked,
            budget_allows=patient or transport.budget.allows,
            random=transport.runtime.random(),
        )
        if outage is not None and isinstance(decision, Retry):
            return Retry(0.0)  # it waits for its turn
        return decision

    def _retries(self, failed: _Failed, wait: float) -> None:
        """Count and report an attempt that failed and is followed by another."""
        if not self.options.patient:
            self.refund += self.transport.budget.spend(failed.failure)
        self.transport.counts["retries"] += 1
        self._report(
            RequestRetried,
            reason=failed.reason,
            attempt=self.attempts,
            wait=wait,
            ambiguous=failed.failure.ambiguous,
            request_id=failed.request_id,
        )

    def _recovered(self) -> None:
        transport = self.transport
        failures, ended = transport.absence.failures, transport.absence.succeeded()
        if ended is None:
            return
        transport.budget.refill()
        self.limiter.recovered()
        transport.reporter.report(
            OutageEnded(call=self.number, seconds=ended.since, failures=failures)
        )

    # --- waiting ---------------------------------------------------------------------------------

    async def _wait_for_permit(self) -> Permit:
        """Wait for the end of an outage, or for the turn to look; then for the quota."""
        absence = self.transport.absence
        while True:
            if absence.is_open:
                await self._wait_for_turn()
            try:
                permit = self._free_permit() or await self._wait_for_quota()
            except BaseException:
                absence.end_look(self.number)
                raise
            if absence.looker == self.number or not absence.is_open:
                return permit
            self._unsent(permit)

    async def _wait_for_turn(self) -> None:
        """Wait until the outage is over or this call may look; fail unless the call is patient."""
        transport, absence = self.transport, self.transport.absence
        if self.options.patient:
            began = transport.runtime.monotonic()
            try:
                await transport.unless_closed(absence.wait_for_turn(self.number))
            finally:
                self.away += self._since(began)
        elif not absence.try_look(self.number):
            # Let other tasks run, even if the caller tries again at once.
            await transport.runtime.sleep(0.0)
            outage = absence.status()
            reason = f"{outage or 'Intercom was away'}; nothing was sent"
            error = self._error(ConnectionFailedError, reason)
            error.outage = outage
            raise self._unknown(error) if self.in_doubt else error

    async def _wait_for_quota(self) -> Permit:
        transport, lane, max_wait = self.transport, self.options.lane, self.options.max_wait
        began = transport.runtime.monotonic()
        transport.counts["waits"] += 1
        try:
            permit = await transport.unless_closed(
                self.limiter.acquire(
                    lane,
                    max_wait=None if max_wait is None else max(0.0, max_wait - self.waited),
                    bounded=self.options.bounded,
                    slots=transport.http.slots,
                )
            )
        except RateLimitWaitError as error:
            transport.counts["waits_refused"] += 1
            facts: dict[str, Any] = {
                "wait": error.wait,
                "max_wait": error.max_wait,
                "rate_limit": error.rate_limit,
            }
            self._report(WaitRefused, **facts)
            if self.in_doubt:
                raise self._unknown(error) from error
            if self.refused is None:
                raise
            raise RateLimitWaitError(
                **facts, refusal=error_for(self.refused), refusals=self.refusals
            ) from None
        finally:
            waited = self._since(began)
            self.waited += waited
            transport.waited += waited
        if self.observed:
            event = QuotaWaited(call=self.number, lane=lane.value, seconds=waited)
            transport.reporter.report(event)
        return permit

    # --- reports and errors ----------------------------------------------------------------------

    def _since(self, moment: float) -> float:
        return self.transport.runtime.monotonic() - moment

    def _report(self, kind: Callable[..., Event], **facts: object) -> None:
        request = self.request
        event = kind(call=self.number, method=request.method, path=request.path, **facts)
        self.transport.reporter.report(event)

    def _lost(self, permit: Permit, failure: str, attempt: int) -> None:
        self.transport.counts["lost"] += 1
        if self.observed:
            elapsed = self._since(permit.sent)
            self._report(RequestLost, failure=failure, elapsed=elapsed, attempt=attempt)

    def _report_given_up(self, reason: str, request_id: str | None) -> None:
        self.transport.counts["given_up"] += 1
        self._report(
            CallGivenUp,
            reason=reason,
            attempts=self.attempts,
            elapsed=self._since(self.began),
            request_id=request_id,
        )

    def _already_gone(self, reply: Reply) -> bool:
        """Whether a reply says that the contact to remove is not in the conversation."""
        if reply.status != 404 or self.request.method != "DELETE":
            return False
        return isinstance(error_for(reply), ContactNotFoundError)

    def _unknown(self, error: IntercomError) -> UnknownOutcomeError:
        """Return the error of a call that was already in doubt and cannot go on."""
        return self._error(UnknownOutcomeError, f"the request may have been applied, and {error}")

    def _error(self, kind: type[_Failing], text: str) -> _Failing:
        error = kind(text)
        error.attempts, error.refusals = self.attempts, self.refusals
        return error


def _result_of(state: Any) -> Any:
    return state.outcome.result()
