"""The one connection to the Runpod REST API v2, and the only module that imports httpx. What is retried, `policy` decides."""

from __future__ import annotations

import asyncio
import contextlib
import random as random_module
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import unquote

from ..core.failures import ApiProblem, ApiUnreachable, NotConfigured, OutcomeUnknown, ProviderFailure, Refused
from ..core.ports import BeforeSending, Method, Silent, Voice
from . import access, bodies, policy
from .limits import Budget, exhausted, parse_rate_limit
from .policy import Outcome, Verdict
from .problems import clean, parse_problem
from .retries import Retries

if TYPE_CHECKING:
    import httpx

_CONNECT_TIMEOUT_SECONDS: Final = 10.0
_MAX_CONNECTIONS: Final = 64
_CONNECTIONS_AT_FIRST: Final = 4
_LONGEST_PATH: Final = 2000
_NOTICE_SECONDS: Final = 5.0
"""After how long, and how often, a request that waits for its answer is told of."""
_IN_VAIN: Final = "; it is not tried again, as too many requests of this run were tried again in vain"
_CUT_SHORT: Final = "; it is not tried again, as the run was cancelled"
_STREAM: Final = "text/event-stream"
_ENDED: Final[Mapping[Method, str]] = {
    "GET": "was given up, as the run was cancelled",
    "POST": "was not sent, as the run was cancelled; nothing was created by it",
    "PATCH": "was not carried out, as the run was cancelled; nothing was changed by it",
    "DELETE": "was not carried out, as the run was cancelled; nothing was deleted by it",
}
"""What is said of a request that `stop` has ended."""


@dataclass(frozen=True)
class _Attempt:
    """How one attempt ended: `cause` says why without an answer, the rest is the answer.

    `server_date` is the `Date` of the last answer that came before this attempt was sent.
    """

    outcome: Outcome
    cause: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    decoded: Any = None
    server_date: str | None = None


class Timings(TypedDict, total=False):
    """How long a `Client` waits: for each answer, and then for what the server may still be doing."""

    request_timeout_seconds: float
    settle_margin_seconds: float


class Client:
    """An authenticated, pooled connection to the API; implements `core.ports.Api`.

    Belongs to one event loop: the one that sends its first request. `request_timeout_seconds` bounds each attempt as a whole, not only
    each read; `settle_margin_seconds` later the server has carried out what it ever will. `transport`, `clock` (monotonic), `wall_clock`,
    `sleep` and `random` are for tests. Raises NotConfigured for a key or an URL that cannot be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        jobs_url: str = access.JOBS_URL,
        api_key: str,
        user_agent: str,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
        request_timeout_seconds: float = policy.REQUEST_TIMEOUT_SECONDS,
        settle_margin_seconds: float = policy.SETTLE_MARGIN_SECONDS,
        max_attempts: int = policy.MAX_ATTEMPTS,
        patience_seconds: float = policy.PATIENCE_SECONDS,
        max_connections: int = _MAX_CONNECTIONS,
        notice_seconds: float = _NOTICE_SECONDS,
    ) -> None:
        _require_usable("the API's base URL", access.api_url_reason(base_url))
        _require_usable("the base URL of the API that takes jobs", access.api_url_reason(jobs_url))
        _require_usable("the API key", access.key_reason(api_key))
        self.base_url = access.api_url(base_url)
        self.jobs_url = access.jobs_url(jobs_url)
        self._api_key = api_key.strip()
        self._budget = Budget(clock=clock, sleep=sleep, random=random, patience_seconds=patience_seconds)
        self._retries = Retries()
        self._user_agent = user_agent
        self._transport = transport
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._random = random
        self._request_timeout_seconds = request_timeout_seconds
        self._settle_margin_seconds = settle_margin_seconds
        self._max_attempts = max_attempts
        self._patience_seconds = patience_seconds
        self._max_connections = max_connections
        self._notice_seconds = notice_seconds
        # The pool's own queue would count into the attempt's time-out and blur whether a request was sent; this one stands before it.
        # Few pass until an answer has said what is left of the rate limit: the process of the preview may just have spent it.
        self._slots = asyncio.Semaphore(min(_CONNECTIONS_AT_FIRST, max_connections))
        self._closed_slots = max(0, max_connections - _CONNECTIONS_AT_FIRST)
        self._stopped = asyncio.Event()
        self._http: dict[str, httpx.AsyncClient] = {}
        self._server_date: str | None = None

    @property
    def settle_seconds(self) -> float:
        """Give the server longer than any request waits for its answer."""
        return self._request_timeout_seconds + self._settle_margin_seconds

    @property
    def is_stopped(self) -> bool:
        """Was `stop` called?"""
        return self._stopped.is_set()

    async def pause(self, seconds: float) -> None:
        """Let time pass between two requests, or return at once when stopped."""
        await self._until_stopped(self._sleep(seconds))

    async def request(
        self,
        method: Method,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        voice: Voice | None = None,
        before_sending: BeforeSending | None = None,
        outlasts_stop: bool = False,
    ) -> Any:
        """Send one request below the base URL and return the decoded body, or None for a success without one.

        Raises ApiProblem, ApiUnreachable, OutcomeUnknown (what a POST does after any doubt, at once), and Refused for a path that leaves
        its place, or for what `stop` ends; a GET that `outlasts_stop` it ends only where that has to wait long.
        """
        _check_path(path, self._api_key)
        voice = voice or Silent()
        content = None if body is None else bodies.encode(body)
        history: list[_Attempt] = []
        limited_count, kept_since, delay = 0, 0.0, 0.0
        while True:
            try:
                if delay:
                    await self._wait(method, path, self._sleep(delay), outlasts_stop=outlasts_stop)
                attempt = await self._attempt_in_budget(
                    method, path, content, query, voice, before_sending, outlasts_stop=outlasts_stop
                )
            except Refused:
                if method == "GET" or not outlasts_stop:  # which has had no effect
                    raise
                raise self._failure(method, path, history, _CUT_SHORT) from None
            delay = 0.0
            if attempt.outcome is Outcome.SUCCESS:
                self._retries.succeeded(is_retry=bool(history))
                return attempt.decoded
            was_maybe_done = any(policy.may_have_had_effect(earlier.outcome) for earlier in history)
            if policy.is_already_deleted(method, attempt.status, was_maybe_deleted=was_maybe_done):
                return None
            retry_after = self._retry_after(attempt)
            kept_since = kept_since if history or limited_count else self._clock()
            if attempt.outcome is Outcome.RATE_LIMITED:
                limited_count += 1
                window = exhausted(parse_rate_limit(attempt.headers.get("ratelimit")))
                reset = window.reset_seconds if window else None
                blocked = policy.rate_limit_delay_seconds(limited_count, retry_after, reset, self._random)
                if self._clock() + blocked - kept_since > self._patience_seconds:
                    raise self._failure(method, path, [attempt], self._in_patience(blocked))
                self._budget.block(blocked, window.window if window else "")
                continue
            history.append(attempt)
            # What may have had its effect is followed to its end; a read has none.
            outlasts_stop = outlasts_stop or (method != "GET" and policy.may_have_had_effect(attempt.outcome))
            if not policy.may_retry(method, attempt.outcome) or len(history) >= self._max_attempts:
                raise self._failure(method, path, history)
            if not self._retries.take():
                raise self._failure(method, path, history, _IN_VAIN)
            delay = policy.retry_delay_seconds(len(history), retry_after, self._random)
            if self._clock() + delay - kept_since > self._patience_seconds:
                raise self._failure(method, path, history, self._in_patience(delay))
            said = attempt.cause or f"Runpod answered {attempt.status}"
            await voice.status(
                f"{said}; trying {method} {path} again in {delay:.1f} s ({len(history) + 1} of {self._max_attempts})"
            )

    async def events(
        self, path: str, *, query: Mapping[str, str], most: int, timeout_seconds: float, voice: Voice | None = None
    ) -> list[Any]:
        """Return the decoded data of the first `most` events of a stream, or of those that come within the time.

        Raises ApiProblem, ApiUnreachable, and Refused for a path that leaves its place, or for what `stop` ends.
        """
        _check_path(path, self._api_key)
        found: list[Any] = []
        while True:
            await self._wait("GET", path, self._budget.wait(voice or Silent()))
            async with self._slots:
                http = self._connection(self.base_url)
                if not self._budget.reserve():
                    continue
                headers: dict[str, str] = {}
                try:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._listen(http, path, query, most, found, headers), timeout_seconds)
                finally:
                    self._budget.release(headers, was_sent=True)
            return found

    async def _listen(
        self, http: httpx.AsyncClient, path: str, query: Mapping[str, str], most: int, found: list[Any], headers: dict[str, str]
    ) -> None:
        """Put events into `found` and the answer's header fields into `headers` as they come."""
        import httpx

        try:
            async with http.stream("GET", self.base_url + path, params=query, headers={"accept": _STREAM}) as response:
                headers.update(response.headers)
                if response.status_code != 200:
                    raise parse_problem("GET", path, response.status_code, response.headers, await response.aread(), self._api_key)
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        with contextlib.suppress(bodies.NotUsable):
                            found.append(bodies.decode(line.removeprefix("data:").encode()))
                    if len(found) >= most:
                        return
        except httpx.HTTPError as problem:
            raise ApiUnreachable("GET", clean(path, self._api_key), clean(_said(problem), self._api_key)) from None

    async def ask_jobs(self, path: str, *, timeout_seconds: float) -> Any:
        """Send one GET below the base URL of the API that takes jobs, and return the decoded body.

        Raises ApiProblem, ApiUnreachable, and Refused for a path that leaves its place.
        """
        _check_path(path, self._api_key)
        seconds = min(timeout_seconds, self._request_timeout_seconds)
        attempt = await self._attempt("GET", path, None, None, base_url=self.jobs_url, timeout_seconds=seconds)
        if attempt.outcome is Outcome.SUCCESS:
            return attempt.decoded
        if attempt.status:
            raise self._problem("GET", self.jobs_url + path, attempt)
        raise ApiUnreachable("GET", clean(self.jobs_url + path, self._api_key), attempt.cause)

    def stop(self) -> None:
        """Send no further POST, and let nothing wait that has had no effect: who asked for it is going away.

        What a POST creates now would be nobody's. Any other request that can leave at once still does, and one that may have had its
        effect is followed to its end.
        """
        self._stopped.set()

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        while self._http:
            _, http = self._http.popitem()
            await http.aclose()

    async def _attempt_in_budget(
        self,
        method: Method,
        path: str,
        content: bytes | None,
        query: Mapping[str, str] | None,
        voice: Voice,
        before_sending: BeforeSending | None,
        *,
        outlasts_stop: bool,
    ) -> _Attempt:
        """Wait for a place, make one attempt, and learn from its answer."""
        while True:
            await self._wait(method, path, self._budget.wait(voice), outlasts_stop=outlasts_stop)
            stands_in_line = self._slots.locked()
            async with self._slots:
                if (method == "POST" or stands_in_line) and not outlasts_stop:
                    self._refuse_if_stopped(method, path)
                self._connection(self.base_url)  # what it refuses must not be counted as sent
                if not self._budget.reserve():
                    continue
                headers: Mapping[str, str] = {}
                was_sent = False
                try:
                    if before_sending is not None:
                        await before_sending(self._server_date)
                        self._refuse_if_stopped(method, path)
                        if self._budget.is_blocked:  # the disk took its time, and meanwhile came a 429
                            continue
                    was_sent = True  # as far as one knows if it is cancelled on the way
                    with self._waiting(method, path, voice):
                        attempt = await self._attempt(
                            method, path, content, query, base_url=self.base_url, timeout_seconds=self._request_timeout_seconds
                        )
                    headers, was_sent = attempt.headers, attempt.outcome is not Outcome.NOT_SENT
                    if attempt.status and attempt.outcome is not Outcome.RATE_LIMITED:
                        self._budget.passed()
                finally:
                    self._budget.release(headers, was_sent=was_sent)
            self._learn(attempt)
            return attempt

    @contextlib.contextmanager
    def _waiting(self, method: Method, path: str, voice: Voice) -> Iterator[None]:
        """Say every few seconds that an answer is waited for."""
        loop, said = asyncio.get_running_loop(), set[asyncio.Future[None]]()
        began, timers = loop.time(), deque[asyncio.TimerHandle](maxlen=1)

        def say() -> None:
            text = f"waiting for Runpod's answer to {method} {clean(path, self._api_key)} ({loop.time() - began:.0f} s)"
            saying = asyncio.ensure_future(voice.status(text))
            said.add(saying)
            saying.add_done_callback(said.discard)
            wait()

        def wait() -> None:
            timers.append(loop.call_later(self._notice_seconds, say))

        wait()
        try:
            yield
        finally:
            timers.pop().cancel()

    async def _wait(self, method: Method, path: str, pause: Awaitable[object], *, outlasts_stop: bool = False) -> None:
        """Wait out a pause, or refuse the request where `stop` ends it: what `outlasts_stop` then waits no longer than for a backoff."""
        if not await self._until_stopped(pause, policy.MAX_DELAY_SECONDS if outlasts_stop else 0.0):
            self._refuse_if_stopped(method, path)

    async def _until_stopped(self, pause: Awaitable[object], grace_seconds: float = 0.0) -> bool:
        """Wait out a pause, at most until `grace_seconds` after `stop`; say whether it is over."""
        waiting, stopping = asyncio.ensure_future(pause), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if grace_seconds:
                await asyncio.wait({waiting}, timeout=grace_seconds)
        finally:
            waiting.cancel()
            stopping.cancel()
        if not waiting.done() or waiting.cancelled():
            return False
        waiting.result()
        return True

    def _refuse_if_stopped(self, method: Method, path: str) -> None:
        if self._stopped.is_set():
            raise Refused(f"{method} {clean(path, self._api_key)} {_ENDED[method]}")

    def _learn(self, attempt: _Attempt) -> None:
        if policy.is_http_date(attempt.headers.get("date", "")):
            self._server_date = attempt.headers["date"]
        while attempt.status and self._closed_slots:
            self._closed_slots -= 1
            self._slots.release()

    async def _attempt(
        self,
        method: Method,
        path: str,
        content: bytes | None,
        query: Mapping[str, str] | None,
        *,
        base_url: str,
        timeout_seconds: float,
    ) -> _Attempt:
        """Send the request once and say how it ended; never raises for what the network or the server does."""
        import httpx

        server_date = self._server_date

        def unanswered(outcome: Outcome, cause: str) -> _Attempt:
            return _Attempt(outcome, clean(cause, self._api_key), server_date=server_date)

        headers = {} if content is None else {"content-type": "application/json"}
        sending = self._connection(base_url).request(method, base_url + path, content=content, params=query, headers=headers)
        try:
            response = await asyncio.wait_for(sending, timeout_seconds)
        except httpx.ConnectTimeout:
            return unanswered(Outcome.NOT_SENT, f"no connection to {base_url} within {_CONNECT_TIMEOUT_SECONDS:g} s")
        except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
            return unanswered(Outcome.NOT_SENT, f"no connection to {base_url}: {_said(problem)}")
        except (httpx.TimeoutException, asyncio.TimeoutError):
            return unanswered(Outcome.LOST, f"no answer within {timeout_seconds:g} s")
        except httpx.HTTPError as problem:
            return unanswered(Outcome.LOST, f"the connection broke before the answer was complete: {_said(problem)}")
        outcome, cause, decoded = policy.outcome_of(response.status_code), "", None
        # What a DELETE says in its success is not looked at: nothing reads it.
        if outcome is Outcome.SUCCESS and response.status_code != 204 and method != "DELETE":
            try:
                decoded = bodies.decode(response.content)
            except bodies.NotUsable as problem:
                kind = clean(response.headers.get("content-type", "no content type"), self._api_key)
                outcome, cause = Outcome.GARBLED, f"Runpod answered {response.status_code}, but {problem} ({kind})"
        return _Attempt(outcome, cause, response.status_code, response.headers, response.content, decoded, server_date)

    def _connection(self, base_url: str) -> httpx.AsyncClient:
        if base_url not in self._http:
            import httpx

            try:
                self._http[base_url] = httpx.AsyncClient(
                    transport=self._transport,
                    headers={
                        "authorization": f"Bearer {self._api_key}",
                        "user-agent": self._user_agent,
                        "accept": "application/json, application/problem+json",
                    },
                    timeout=httpx.Timeout(self._request_timeout_seconds, connect=_CONNECT_TIMEOUT_SECONDS),
                    # Few seconds of keep-alive: a POST on a connection that the server is just closing costs a look-up.
                    limits=httpx.Limits(max_connections=self._max_connections, max_keepalive_connections=20, keepalive_expiry=5.0),
                    follow_redirects=False,
                    verify=self.base_url.startswith(
                        "https:"
                    ),  # to load certificates takes time, and plain http has no use for them
                    # An emulator on this machine is not to be sought through a company's proxy.
                    trust_env=not access.is_loopback(base_url),
                )
            except (ValueError, ImportError, OSError) as problem:  # HTTPS_PROXY, SSL_CERT_FILE and the like
                said = clean(_said(problem), self._api_key)
                raise NotConfigured(
                    f"no connection can be set up ({said}); check HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
                ) from problem
        return self._http[base_url]

    def _retry_after(self, attempt: _Attempt) -> float | None:
        return policy.parse_retry_after(
            attempt.headers.get("retry-after"), date=attempt.headers.get("date"), wall_clock_seconds=self._wall_clock()
        )

    def _problem(self, method: Method, path: str, attempt: _Attempt) -> ApiProblem:
        problem = parse_problem(method, path, attempt.status, attempt.headers, attempt.content, self._api_key)
        problem.retry_after_seconds = self._retry_after(attempt)
        if 300 <= attempt.status < 400:
            target = clean(attempt.headers.get("location", ""), self._api_key)
            problem.detail = (
                f"it redirects to {target!r}, which is not followed; check baseUrl ({self.base_url!r}) and endpointBaseUrl"
            )
        elif attempt.outcome is Outcome.GARBLED:
            problem.detail = attempt.cause
        return problem

    def _in_patience(self, delay: float) -> str:
        return (
            f"; the next try would be in {delay:.0f} s, and no request is kept waiting longer than {self._patience_seconds:.0f} s"
        )

    def _failure(self, method: Method, path: str, history: list[_Attempt], remark: str = "") -> ProviderFailure:
        """Word the end of a request that is not tried again."""
        last, shown = history[-1], clean(path, self._api_key)
        verdict = policy.verdict(method, [attempt.outcome for attempt in history])
        if verdict is Verdict.ANSWERED:
            problem = self._problem(method, path, last)
            problem.detail = f"{problem.detail or problem.title}{remark}" if remark else problem.detail
            return problem
        if verdict is Verdict.UNREACHABLE:
            return ApiUnreachable(method, shown, f"{last.cause}{remark}")
        doubtful = next(attempt for attempt in reversed(history) if policy.may_have_had_effect(attempt.outcome))
        problem = self._problem(method, path, doubtful)
        cause = doubtful.cause or f"Runpod answered {doubtful.status}: {problem.detail or problem.title or 'no explanation'}"
        return OutcomeUnknown(method, shown, f"{cause}{remark}", doubtful.status or None, doubtful.server_date)


def _require_usable(what: str, reason: str | None) -> None:
    if reason:
        raise NotConfigured(f"{what} {reason}")


def _check_path(path: str, api_key: str) -> None:
    """Refuse an id that would make the request another one: an empty id lists, `..` leaves the collection, `?` adds a query."""
    segments = [unquote(segment) for segment in path.split("/")]
    is_below = path.startswith("/") and all(segment not in ("", ".", "..") and "/" not in segment for segment in segments[1:])
    is_plain = (
        path.isascii() and path.isprintable() and not any(letter in path for letter in "?#\\ ") and len(path) <= _LONGEST_PATH
    )
    if not (is_below and is_plain):
        shown = clean(path, api_key)
        raise Refused(f"{shown.partition('/')[2].partition('/')[2]!r} is not a Runpod id: {shown!r} is no path of the API")


def _said(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
