"""One request made reliable: get a permit, attempt, learn from the answer, decide, wait.

The first attempt runs outside tenacity, so that a call that succeeds at once pays nothing for
the machinery of retries. Only a failed first attempt enters tenacity, which takes that failure
for its own first attempt and goes on from there. `decide` alone says whether to.

While Intercom is away (see `outage`) patient calls wait for its end, without a permit; nothing
that fails counts against their attempts or their time. The others send nothing unless it is time
to look whether it is back, and end with what they know.

Closing the client ends at once what can take long: waits for the quota, for the end of an outage
and before a retry.
"""

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import attrs
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
from intercom_async.transport.answers import Habit
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
from intercom_async.transport.wire import (
    Reply,
    Request,
    error_body,
    error_for,
    me,
    request_id_of,
)
from intercom_async.validators import POSITIVE, ZERO_OR_MORE, optional

_T = TypeVar("_T")

_LOOK_HOLDS: Final = 10.0
"""Seconds for which one look at the token serves all: refusals come in bursts."""

_NUMBERS: Final = itertools.count(1)
"""Numbers of calls, for events; of the whole process, because clients may share an observer."""

_NOT_REPEATED: Final = "it may have been applied and is not repeated; see IntercomClient.request"

_PAUSE_WHILE_ANSWERING: Final = 5.0
"""The longest pause between two looks, in seconds, while Intercom itself answers, with 500: the
pairs that are left may be the reason."""


def _check_lane(_: object, __: object, value: Lane) -> None:
    if value not in tuple(Lane):
        raise InvalidArgumentError("lane", value, "Lane.INTERACTIVE or Lane.BULK")


@attrs.frozen(kw_only=True)
class CallOptions:
    """What may differ from call to call.

    Attributes:
        timeout: seconds for one attempt.
        max_wait: seconds a call of the interactive lane may wait for the quota; None for no bound.
        bounded: whether a bulk request counts against the computed bound on concurrency.
        patient: whether it waits for the end of an outage, as long as that takes. The retry
            budget does not bind it: it never sends faster than the quota and outages allow.
    """

    lane: Lane = attrs.field(validator=_check_lane)
    timeout: float = attrs.field(validator=POSITIVE)
    retry: RetryPolicy
    max_wait: float | None = attrs.field(validator=optional(ZERO_OR_MORE))
    bounded: bool = True
    patient: bool = False


class _Call(msgspec.Struct, eq=False):
    """The life of one call so far.

    Attributes:
        excused: attempts that failed because Intercom was away.
        away: seconds that outages took: waiting for their end, and attempts that failed in them.
        looking: whether its request looks whether Intercom is back.
        observed: whether anybody wants each of its events.
    """

    request: Request
    options: CallOptions
    on_send: Callable[[], Awaitable[None]] | None
    limiter: Limiter
    began: float
    number: int = msgspec.field(default_factory=_NUMBERS.__next__)
    waited: float = 0.0
    attempts: int = 0
    refusals: int = 0
    in_doubt: bool = False
    refused: Reply | None = None
    refund: float = 0.0
    excused: int = 0
    away: float = 0.0
    looking: bool = False
    observed: bool = False


@attrs.frozen(eq=False)
class _Failed:
    """An attempt without a final answer; `cause` is the system's error, if there was one."""

    failure: Failure
    detail: str
    reply: Reply | None = None
    cause: BaseException | None = None

    @property
    def reason(self) -> str:
        return f"{self.failure.value}: {self.detail}"

    @property
    def own(self) -> bool:
        """Whether it may be the fault of this very request: Intercom itself answered it."""
        return self.reply is not None and self.reply.status == 500

    @property
    def request_id(self) -> str | None:
        return None if self.reply is None else request_id_of(self.reply)

    @property
    def retry_after(self) -> float | None:
        headers = None if self.reply is None else self.reply.headers
        return None if headers is None else headers.retry_after


class Transport:
    """Sends requests for one client."""

    def __init__(
        self,
        *,
        http: Http,
        limiter: Callable[[], Limiter],
        retry_budget: float,
        observer: Observer | None,
        runtime: Runtime,
    ) -> None:
        self._http = http
        self._find_limiter = limiter
        self._limiter: Limiter | None = None
        self._budget = RetryBudget(retry_budget)
        self._reporter = Reporter(observer)
        self._runtime = runtime
        self._counts: Counter[str] = Counter()
        self._waited = 0.0
        self._replies: Counter[int] = Counter()
        self._outage = Outage(runtime)
        self._waits: set[asyncio.Timeout] = set()
        self._looking = asyncio.Lock()
        self._looked_at = -math.inf
        self._good = True
        self._closed = False

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The quota now, None before the first reply."""
        return None if self._limiter is None else self._limiter.status()

    @property
    def outage(self) -> OutageStatus | None:
        """The outage that lasts now, None while there is none."""
        return self._outage.status()

    async def outage_lasting(self, seconds: float) -> OutageStatus:
        """Wait until one outage has lasted so long, and return it.

        Raises:
            ClientStateError: the client was closed.
        """
        while True:
            outage = self.outage
            if outage is None:
                await self._unless_closed(self._outage.began.wait())
            elif outage.since >= seconds:
                return outage
            else:
                await self.sleep(seconds - outage.since)

    def stats(self) -> ClientStats:
        """Count what happened so far."""
        return ClientStats(
            **self._counts,
            requests=self._replies.total() + self._counts["lost"],
            by_status=dict(sorted(self._replies.items())),
            refusals=self._replies[429],
            waited=self._waited,
        )

    def close(self) -> None:
        """Make every call that waits fail now, and every later one."""
        self._closed = True
        while self._waits:  # each once: a timeout that is ending must not be moved again
            self._waits.pop().reschedule(0.0)  # long past on the loop's clock

    @property
    def habit(self) -> Habit:
        """What checks of this client's writes have shown; see `Habit`."""
        return self._http.habit

    async def token_is_good(self, options: CallOptions) -> bool:
        """Whether `GET /me` is answered well, looked at now or a moment ago."""
        async with self._looking:
            if self._runtime.monotonic() - self._looked_at >= _LOOK_HOLDS:
                try:
                    self._good = (await self.send(me(), options)).succeeded
                except IntercomError:
                    self._good = False
                self._looked_at = self._runtime.monotonic()
            return self._good

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the client is closed meanwhile.

        Raises:
            ClientStateError: it was.
        """
        await self._unless_closed(self._runtime.sleep(seconds))

    @property
    def limit(self) -> int | None:
        """Requests the server allows per window, None while that is unknown."""
        return None if self._limiter is None else self._limiter.limit

    @property
    def limiter(self) -> Limiter:
        """The budget's limiter; needs a running loop."""
        self._http.ready()
        if self._limiter is None:
            self._limiter = self._find_limiter()
        return self._limiter

    async def send(
        self,
        request: Request,
        options: CallOptions,
        *,
        on_send: Callable[[], Awaitable[None]] | None = None,
    ) -> Reply:
        """Return the final reply, whatever its status.

        Args:
            on_send: awaited before each attempt, when that has its permit; a request that is
                cancelled before it returned once certainly was not sent. What it raises is raised.

        Raises:
            RateLimitWaitError: the quota asks for more patience than `options.max_wait`.
            ConnectionFailedError: no attempt reached the server, or none was made because
                Intercom is away.
            UnknownOutcomeError: no attempt was answered, at least one may have been applied.
            ClientStateError: the client is closed or belongs to another loop.
        """
        call = _Call(request, options, on_send, self.limiter, self._runtime.monotonic())
        self._counts["calls"] += 1
        call.observed = self._reporter.observed
        if call.observed:
            return await self._send_observed(call)
        return await self._send(call)

    async def _send_observed(self, call: _Call) -> Reply:
        """Send, and report the call's first and last event."""
        self._report(
            CallBegan,
            call,
            base_url=self._http.base_url,
            lane=call.options.lane.value,
            instrumented=self._http.instrumented,
        )
        reply: Reply | None = None
        error: str | None = None
        try:
            reply = await self._send(call)
            return reply  # noqa: TRY300  the last event follows in any case
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            self._report(
                CallEnded,
                call,
                status=None if reply is None else reply.status,
                error=error,
                attempts=call.attempts,
                refusals=call.refusals,
                waited=call.waited,
                elapsed=self._runtime.monotonic() - call.began,
                request_id=None if reply is None else request_id_of(reply),
                already_gone=reply is not None and _already_gone(call.request, reply),
            )

    async def _send(self, call: _Call) -> Reply:
        attempted = await self._attempt(call)
        reply = (
            await self._try_again(call, attempted) if isinstance(attempted, _Failed) else attempted
        )
        if reply.succeeded:
            self._budget.earn(call.refund)
            if call.attempts == 1 and not call.refusals:
                return reply
        return msgspec.structs.replace(
            reply,
            attempts=call.attempts,
            refusals=call.refusals,
            in_doubt=call.in_doubt,
            rate_limit=None if reply.succeeded else call.limiter.status(),
        )

    async def _attempt(self, call: _Call) -> Reply | _Failed:
        """Send once and return the answer; 429 waits for the quota and sends again."""
        while True:
            permit = None
            if not self._outage.is_open:
                permit = call.limiter.try_acquire(
                    call.options.lane, bounded=call.options.bounded, slots=self._http.slots
                )
            if permit is None:
                permit = await self._wait_for_permit(call)
            if call.on_send is not None:
                await self._announce(call, call.on_send, permit)
            answer: Reply | BaseException
            try:
                answer = await self._http.attempt(call.request, seconds=call.options.timeout)
            except BaseException as error:  # noqa: BLE001  raised below
                answer = show_nothing_of(error)
            if isinstance(answer, AttemptFailedError):
                return self._without_reply(call, permit, answer)
            if isinstance(answer, BaseException):
                self._interrupted(call, permit, answer)
                try:
                    raise answer  # outside the handler: nothing of the HTTP client hangs on it
                finally:
                    del answer  # or traceback and frame would keep each other alive
            self._replies[answer.status] += 1
            if answer.status != 429:
                return self._answered(call, permit, answer)
            refusal = self._refused(call, permit, answer)
            if refusal is not None:
                return refusal

    def _interrupted(self, call: _Call, permit: Permit, error: BaseException) -> None:
        """An attempt was cancelled, and the server may have counted it; or it could not be made."""
        sent = not isinstance(error, ClientStateError)
        call.limiter.release(permit, headers=None, status=None, sent=sent)
        if sent:
            self._lost(call, permit, "cancelled", call.attempts + 1)
        self._end_look(call)

    def _lost(self, call: _Call, permit: Permit, failure: str, attempt: int) -> None:
        self._counts["lost"] += 1
        if call.observed:
            elapsed = self._runtime.monotonic() - permit.sent
            self._report(RequestLost, call, failure=failure, elapsed=elapsed, attempt=attempt)

    async def _announce(
        self,
        call: _Call,
        on_send: Callable[[], Awaitable[None]],
        permit: Permit,
    ) -> None:
        """Tell the caller that a request is about to leave."""
        try:
            await on_send()
        except BaseException:
            call.limiter.release(permit, headers=None, status=None, sent=False)
            self._end_look(call)
            raise

    async def _wait_for_permit(self, call: _Call) -> Permit:
        """Wait for the end of an outage, or for the turn to look; then for the quota."""
        lane, bounded = call.options.lane, call.options.bounded
        while True:
            if self._outage.is_open:
                await self._wait_for_turn(call)
            try:
                permit = call.limiter.try_acquire(lane, bounded=bounded, slots=self._http.slots)
                if permit is None:
                    permit = await self._wait_for_quota(call)
            except BaseException:
                self._end_look(call)
                raise
            if call.looking or not self._outage.is_open:
                return permit
            call.limiter.release(permit, headers=None, status=None, sent=False)

    async def _wait_for_turn(self, call: _Call) -> None:
        """Wait until the outage is over or this call may look.

        Raises:
            ConnectionFailedError: the call is not patient, and it is not time to look.
        """
        if call.options.patient:
            began = self._runtime.monotonic()
            try:
                call.looking = await self._unless_closed(self._outage.wait_for_turn())
            finally:
                call.away += self._runtime.monotonic() - began
            return
        call.looking = self._outage.try_look()
        if not call.looking:
            # A caller that tries again at once must not hold the loop.
            await self._runtime.sleep(0.0)
            status = self.outage
            error = ConnectionFailedError(f"{status or 'Intercom was away'}; nothing was sent")
            error.attempts, error.refusals, error.outage = call.attempts, call.refusals, status
            raise _unknown(call, error) if call.in_doubt else error

    def _end_look(
        self, call: _Call, *, asked: float | None = None, longest: float = LONGEST_PAUSE
    ) -> None:
        """End the call's look, if it had one; the next call may look."""
        if call.looking:
            call.looking = False
            self._outage.looked_in_vain(asked=asked, longest=longest)

    def _failed(self, call: _Call, permit: Permit, failed: _Failed) -> _Failed:
        """Count a failed attempt towards an outage."""
        if failed.failure is Failure.CERTIFICATE:
            self._end_look(call)
            return failed
        outage = self._outage
        begun = outage.failed(call=call.number, sent=permit.sent, reason=failed.reason)
        if begun is not None:
            self._reporter.report(
                OutageBegan(call=call.number, since=begun.since, reason=begun.reason)
            )
        if outage.suspected:
            call.away += self._runtime.monotonic() - permit.sent
        longest = _PAUSE_WHILE_ANSWERING if failed.own else LONGEST_PAUSE
        self._end_look(call, asked=failed.retry_after, longest=longest)
        return failed

    def _recovered(self, call: _Call) -> None:
        """An answer came after failures."""
        call.looking = False
        failures, ended = self._outage.failures, self._outage.succeeded()
        if ended is None:
            return
        self._budget.refill()
        call.limiter.recovered()
        self._reporter.report(OutageEnded(call=call.number, seconds=ended.since, failures=failures))

    def _answered(self, call: _Call, permit: Permit, reply: Reply) -> Reply | _Failed:
        """Learn from a reply; one in doubt failed if another attempt may do better."""
        call.limiter.release(permit, headers=reply.headers, status=reply.status)
        call.attempts += 1
        if call.observed:
            self._report(
                RequestSent,
                call,
                status=reply.status,
                elapsed=self._runtime.monotonic() - permit.sent,
                attempt=call.attempts,
                request_id=request_id_of(reply),
                rate_limit=call.limiter.status(),
                already_gone=_already_gone(call.request, reply),
            )
        doubt = reply.doubt
        if doubt is not None:
            if doubt.again:
                return self._failed(call, permit, _Failed(doubt.failure, doubt.reason, reply))
            call.in_doubt = call.in_doubt or call.request.writes
        if self._outage.failures:
            self._recovered(call)
        return reply

    def _without_reply(self, call: _Call, permit: Permit, error: AttemptFailedError) -> _Failed:
        """Release the permit of an attempt that got no reply."""
        reached = error.failure not in {Failure.NOT_SENT, Failure.CERTIFICATE}
        call.limiter.release(permit, headers=None, status=None, sent=reached, tried=True)
        call.attempts += 1
        self._lost(call, permit, error.failure.name.lower(), call.attempts)
        failed = _Failed(error.failure, error.detail, cause=error.__cause__)
        return self._failed(call, permit, failed)

    async def _wait_for_quota(self, call: _Call) -> Permit:
        lane, max_wait = call.options.lane, call.options.max_wait
        patience = None if max_wait is None else max(0.0, max_wait - call.waited)
        began = self._runtime.monotonic()
        self._counts["waits"] += 1
        try:
            permit = await self._unless_closed(
                call.limiter.acquire(
                    lane,
                    max_wait=patience,
                    bounded=call.options.bounded,
                    slots=self._http.slots,
                )
            )
        except RateLimitWaitError as error:
            self._counts["waits_refused"] += 1
            self._report(
                WaitRefused,
                call,
                wait=error.wait,
                max_wait=error.max_wait,
                rate_limit=error.rate_limit,
            )
            if call.in_doubt:
                raise _unknown(call, error) from error
            if call.refused is None:
                raise
            raise _refused_before(call, call.refused, error) from None
        finally:
            waited = self._runtime.monotonic() - began
            call.waited += waited
            self._waited += waited
        if call.observed:
            self._reporter.report(QuotaWaited(call=call.number, lane=lane.value, seconds=waited))
        return permit

    async def _unless_closed(self, waiting: Awaitable[_T]) -> _T:
        """Wait for something that may take long.

        Raises:
            ClientStateError: the client was closed, before or meanwhile.
        """
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

    def _refused(self, call: _Call, permit: Permit, reply: Reply) -> Reply | None:
        """Learn from a 429; return it unless the call waits for the quota and sends again."""
        if reply.doubt is not None and call.request.writes:
            call.in_doubt = True  # somebody else refused it, perhaps after Intercom applied it
        call.refused = reply
        code = error_body(reply).code
        call.limiter.release(permit, headers=reply.headers, status=429, code=code)
        call.refusals += 1
        if self._outage.failures:
            self._recovered(call)
        self._report(
            RequestRefused,
            call,
            code=None if code is None else readable(code),
            elapsed=self._runtime.monotonic() - permit.sent,
            request_id=request_id_of(reply),
            rate_limit=call.limiter.status(),
        )
        asked = None if reply.headers is None else reply.headers.retry_after
        if call.in_doubt and not call.request.repeatable:
            advice = _NOT_REPEATED
        elif asked is None or asked <= call.options.retry.retry_after_max:
            return None
        else:
            advice = too_long(asked, call.options.retry)
        self._report_given_up(call, advice, request_id_of(reply))
        return msgspec.structs.replace(reply, advice=advice)

    def _report_given_up(self, call: _Call, reason: str, request_id: str | None) -> None:
        self._counts["given_up"] += 1
        self._report(
            CallGivenUp,
            call,
            reason=reason,
            attempts=call.attempts,
            elapsed=self._runtime.monotonic() - call.began,
            request_id=request_id,
        )

    def _report(self, kind: Callable[..., Event], call: _Call, **facts: object) -> None:
        request = call.request
        self._reporter.report(
            kind(call=call.number, method=request.method, path=request.path, **facts)
        )

    async def _try_again(self, call: _Call, first: _Failed) -> Reply:
        """Go on after a failed first attempt, until a reply or an error."""
        import tenacity  # noqa: PLC0415  most programs never need it

        done: list[_Failed] = [first]
        decision: Retry | Stop | None = None

        async def attempt() -> Reply | _Failed:
            return done.pop() if done else await self._attempt(call)

        def wait(state: tenacity.RetryCallState) -> float:
            nonlocal decision
            decision = self._decide(call, _result_of(state))
            return decision.wait if isinstance(decision, Retry) else 0.0

        # One object for each call: a shared one mixes up the counts of concurrent calls.
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(lambda result: isinstance(result, _Failed)),
            wait=wait,
            stop=lambda _: isinstance(decision, Stop),
            before_sleep=lambda state: self._retries(call, _result_of(state), state.upcoming_sleep),
            sleep=self.sleep,
            retry_error_callback=_result_of,
        )
        try:
            result: Reply | _Failed = await retrying(attempt)
        except ClientStateError as error:
            # The client was closed during the call: what was sent before stays in doubt.
            if not call.in_doubt:
                raise
            raise _unknown(call, error) from error
        if isinstance(result, Reply):
            return result
        assert isinstance(decision, Stop)  # noqa: S101  or there would be another attempt
        self._report_given_up(call, f"{result.reason}; {decision.reason}", result.request_id)
        if result.reply is not None:
            return msgspec.structs.replace(result.reply, advice=decision.reason)
        raise _no_answer(call, result, decision.reason) from result.cause

    def _decide(self, call: _Call, failed: _Failed) -> Retry | Stop:
        call.in_doubt = call.in_doubt or (failed.failure.ambiguous and call.request.writes)
        if failed.failure.ambiguous and not call.request.repeatable:
            return Stop(_NOT_REPEATED)
        outage, patient = self.outage, call.options.patient
        if outage is not None and not patient:
            return Stop(str(outage))
        excused = patient and self._outage.suspected
        if excused and not failed.own:
            call.excused += 1
        elapsed = self._runtime.monotonic() - call.began - call.waited - call.away
        decision = decide(
            call.options.retry,
            failure=failed.failure,
            attempts=call.attempts - call.excused,
            elapsed=0.0 if excused else elapsed,
            retry_after=None if excused else failed.retry_after,
            budget_allows=patient or self._budget.allows,
            random=self._runtime.random(),
        )
        if outage is not None and isinstance(decision, Retry):
            return Retry(0.0)  # it waits for its turn
        return decision

    def _retries(self, call: _Call, failed: _Failed, wait: float) -> None:
        """Count and report an attempt that failed and is followed by another."""
        if not call.options.patient:
            call.refund += self._budget.spend(failed.failure)
        self._counts["retries"] += 1
        self._report(
            RequestRetried,
            call,
            reason=failed.reason,
            attempt=call.attempts,
            wait=wait,
            ambiguous=failed.failure.ambiguous,
            request_id=failed.request_id,
        )


def _result_of(state: Any) -> Any:
    """Return the result of the newest attempt under tenacity."""
    return state.outcome.result()


def _already_gone(request: Request, reply: Reply) -> bool:
    """Whether a reply says that the contact to remove is not in the conversation."""
    if reply.status != 404 or request.method != "DELETE":
        return False
    return isinstance(error_for(reply), ContactNotFoundError)


def _refused_before(call: _Call, refusal: Reply, error: RateLimitWaitError) -> RateLimitWaitError:
    """Return the error with what Intercom answered to the call before."""
    return RateLimitWaitError(
        wait=error.wait,
        max_wait=error.max_wait,
        rate_limit=error.rate_limit,
        refusal=error_for(refusal),
        refusals=call.refusals,
    )


def _unknown(call: _Call, error: IntercomError) -> UnknownOutcomeError:
    """Return the error of a call that was in doubt already when it could not go on."""
    unknown = UnknownOutcomeError(f"the request may have been applied, and {error}")
    unknown.attempts, unknown.refusals = call.attempts, call.refusals
    return unknown


def _no_answer(
    call: _Call, failed: _Failed, reason: str
) -> ConnectionFailedError | UnknownOutcomeError:
    """Return the error of a call that got no reply at all."""
    text = f"{failed.reason}; {reason} (attempts: {call.attempts})"
    error: ConnectionFailedError | UnknownOutcomeError
    if call.in_doubt:
        error = UnknownOutcomeError(f"{text}; the request may have been applied")
    elif failed.failure is Failure.CERTIFICATE:
        error = CertificateError(f"{text}; nothing was sent")
    else:
        error = ConnectionFailedError(f"{text}; nothing was changed")
    error.attempts = call.attempts
    error.refusals = call.refusals
    return error
