"""The one connection to the Runpod REST API v2, and the only module that imports httpx. What is retried, `policy` decides."""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote, urlsplit

from ..core.failures import ApiProblem, ApiUnreachable, NotConfigured, OutcomeUnknown, ProviderFailure, Refused
from ..core.ports import Method, Silent, Voice
from . import bodies, policy
from .limits import Budget, exhausted, parse_rate_limit
from .policy import Outcome
from .problems import clean, parse_problem

if TYPE_CHECKING:
    import httpx

_CONNECT_TIMEOUT_SECONDS: Final = 10.0
_MAX_CONNECTIONS: Final = 64


@dataclass(frozen=True)
class _Attempt:
    """How one attempt ended: `cause` says why without an answer, the rest is the answer."""

    outcome: Outcome
    cause: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    decoded: Any = None


class Client:
    """An authenticated, pooled connection to the API; implements `core.ports.Api`.

    Belongs to one event loop. `request_timeout_seconds` bounds each attempt as a whole, not only each read. `transport`, `clock`
    (monotonic), `wall_clock`, `sleep` and `random` are for tests. Raises NotConfigured for a key or an URL that cannot be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        user_agent: str,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
        request_timeout_seconds: float = 60.0,
        max_attempts: int = policy.MAX_ATTEMPTS,
        rate_limit_patience_seconds: float = policy.RATE_LIMIT_PATIENCE_SECONDS,
        max_connections: int = _MAX_CONNECTIONS,
    ) -> None:
        self.base_url = normalise_base_url(base_url)
        self.request_timeout_seconds = request_timeout_seconds
        self.budget = Budget(clock=clock, sleep=sleep, random=random, patience_seconds=rate_limit_patience_seconds)
        self._api_key = _usable_key(api_key)
        self._user_agent = user_agent
        self._transport = transport
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._random = random
        self._max_attempts = max_attempts
        self._patience_seconds = rate_limit_patience_seconds
        self._max_connections = max_connections
        # The pool's own queue would count into the attempt's time-out and blur whether a request was sent; this one stands before it.
        self._slots = asyncio.Semaphore(max_connections)
        self._http: httpx.AsyncClient | None = None
        self._server_date: str | None = None

    async def request(
        self,
        method: Method,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        voice: Voice | None = None,
    ) -> Any:
        """Send one request below the base URL and return the decoded body, or None for a success without one.

        Raises ApiProblem, ApiUnreachable, OutcomeUnknown (what a POST does after any doubt, at once), and Refused for a path that leaves
        its place.
        """
        _check_path(path, self._api_key)
        voice = voice or Silent()
        content = None if body is None else bodies.encode(body)
        history: list[_Attempt] = []
        limited_since: float | None = None
        limited_count = 0
        while True:
            attempt, server_date = await self._attempt_in_budget(method, path, content, query, voice)
            maybe_done = any(policy.may_have_had_effect(earlier.outcome) for earlier in history)
            if attempt.outcome is Outcome.SUCCESS:
                return attempt.decoded
            if attempt.status is not None and policy.is_already_deleted(method, attempt.status, was_maybe_deleted=maybe_done):
                return None
            retry_after = policy.parse_retry_after(
                attempt.headers.get("retry-after"), date=attempt.headers.get("date"), wall_clock_seconds=self._wall_clock()
            )
            if attempt.outcome is Outcome.RATE_LIMITED:
                limited_count += 1
                limited_since = self._clock() if limited_since is None else limited_since
                window = exhausted(parse_rate_limit(attempt.headers.get("ratelimit")))
                reset = window.reset_seconds if window else None
                delay = policy.rate_limit_delay_seconds(limited_count, retry_after, reset, self._random)
                if self._clock() + delay - limited_since > self._patience_seconds:
                    self._fail_limited(method, path, attempt, delay)
                self.budget.block(delay, window.window if window else "")
                continue
            history.append(attempt)
            if not policy.may_retry(method, attempt.outcome) or len(history) >= self._max_attempts:
                raise self._failure(method, path, history, server_date)
            delay = policy.retry_delay_seconds(len(history), retry_after, self._random)
            said = attempt.cause or f"Runpod answered {attempt.status}"
            await voice.status(f"{said}; trying {method} {path} again in {delay:.1f} s ({len(history) + 1} of {self._max_attempts})")
            await self._sleep(delay)

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _attempt_in_budget(
        self, method: Method, path: str, content: bytes | None, query: Mapping[str, str] | None, voice: Voice
    ) -> tuple[_Attempt, str | None]:
        """Wait for a place, make one attempt, and learn from its headers; also return the server's last `Date` before the send."""
        await self.budget.acquire(voice)
        attempt: _Attempt | None = None
        try:
            async with self._slots:
                server_date = self._server_date
                attempt = await self._attempt(method, path, content, query)
        finally:
            if attempt is None:
                self.budget.release()  # cancelled on the way
            else:
                self.budget.release(attempt.headers, was_sent=attempt.outcome is not Outcome.NOT_SENT)
        date = attempt.headers.get("date")
        if date and policy.is_http_date(date):
            self._server_date = date
        return attempt, server_date

    async def _attempt(self, method: Method, path: str, content: bytes | None, query: Mapping[str, str] | None) -> _Attempt:
        """Send the request once and say how it ended; never raises for what the network or the server does."""
        import httpx

        http = self._connection()
        headers = {} if content is None else {"content-type": "application/json"}
        sending = http.request(method, self.base_url + path, content=content, params=query, headers=headers)
        try:
            response = await asyncio.wait_for(sending, self.request_timeout_seconds)
        except httpx.ConnectTimeout:
            return self._unanswered(Outcome.NOT_SENT, f"no connection to {self.base_url} within {_CONNECT_TIMEOUT_SECONDS:g} s")
        except (httpx.ConnectError, httpx.ProxyError) as problem:
            return self._unanswered(Outcome.NOT_SENT, f"no connection to {self.base_url}: {_said(problem)}")
        except (httpx.TimeoutException, asyncio.TimeoutError, TimeoutError):
            return self._unanswered(Outcome.LOST, f"no answer within {self.request_timeout_seconds:g} s")
        except httpx.HTTPError as problem:
            return self._unanswered(Outcome.LOST, f"the connection broke before the answer was complete: {_said(problem)}")
        return self._answered(method, response.status_code, response.headers, response.content)

    def _answered(self, method: Method, status: int, headers: Mapping[str, str], content: bytes) -> _Attempt:
        outcome, decoded, cause = policy.outcome_of(status), None, ""
        # What a DELETE says in its success is not looked at: nothing reads it.
        if outcome is Outcome.SUCCESS and status != 204 and method != "DELETE":
            try:
                decoded = bodies.decode(content)
            except bodies.NotUsable as problem:
                outcome, cause = Outcome.GARBLED, f"Runpod answered {status}, but {problem}"
        return _Attempt(outcome, cause, status, headers, content, decoded)

    def _unanswered(self, outcome: Outcome, cause: str) -> _Attempt:
        return _Attempt(outcome, clean(cause, self._api_key))

    def _connection(self) -> httpx.AsyncClient:
        if self._http is None:
            import httpx

            self._http = httpx.AsyncClient(
                transport=self._transport,
                headers={
                    "authorization": f"Bearer {self._api_key}",
                    "user-agent": self._user_agent,
                    "accept": "application/json, application/problem+json",
                },
                timeout=httpx.Timeout(self.request_timeout_seconds, connect=_CONNECT_TIMEOUT_SECONDS),
                # Few seconds of keep-alive: a POST on a connection that the server is just closing costs a look-up.
                limits=httpx.Limits(max_connections=self._max_connections, max_keepalive_connections=20, keepalive_expiry=5.0),
                follow_redirects=False,
                # An emulator on this machine is not to be sought through a company's proxy.
                trust_env=not _is_loopback(urlsplit(self.base_url).hostname or ""),
            )
        return self._http

    def _problem(self, method: Method, path: str, attempt: _Attempt) -> ApiProblem:
        status = attempt.status or 0
        problem = parse_problem(method, path, status, attempt.headers, attempt.content, self._api_key)
        if 300 <= status < 400:
            target = clean(attempt.headers.get("location", ""), self._api_key)
            problem.detail = f"it redirects to {target!r}, which is not followed; check baseUrl ({self.base_url!r})"
        elif attempt.outcome is Outcome.GARBLED:
            problem.detail = f"{attempt.cause}: {problem.detail!r}" if problem.detail else attempt.cause
        return problem

    def _fail_limited(self, method: Method, path: str, attempt: _Attempt, delay: float) -> NoReturn:
        problem = self._problem(method, path, attempt)
        patience = f"the next try would be in {delay:.0f} s, and no request is kept waiting longer than {self._patience_seconds:.0f} s"
        problem.detail = f"{problem.detail or problem.title}; {patience}"
        raise problem

    def _failure(self, method: Method, path: str, history: list[_Attempt], server_date: str | None) -> ProviderFailure:
        """Word the end of a request that is not tried again, by its last attempt and, where that one is silent, by the others."""
        last = history[-1]
        shown = clean(path, self._api_key)
        doubtful = [attempt for attempt in history if policy.may_have_had_effect(attempt.outcome)]
        if last.outcome is Outcome.REFUSED:
            return self._problem(method, path, last)
        if method == "GET":
            return ApiUnreachable(method, shown, last.cause) if last.status is None else self._problem(method, path, last)
        if not doubtful:
            return ApiUnreachable(method, shown, last.cause)
        if last.outcome is Outcome.SERVER_ERROR and method != "POST":
            return self._problem(method, path, last)
        decisive = doubtful[-1]
        cause = decisive.cause or f"Runpod answered {decisive.status}: {self._problem(method, path, decisive).detail or 'no explanation'}"
        return OutcomeUnknown(method, shown, cause, decisive.status, server_date)


def normalise_base_url(base_url: str) -> str:
    """Return the API's base, which ends in `/v2`; the given one may lack it, or end in slashes.

    Raises NotConfigured for what is no URL of an API, and for plain http to another machine, which would show the key to the network.
    """
    text = base_url.strip()
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port  # raises where it is no number
    except ValueError as problem:
        raise NotConfigured(f"the API's base URL cannot be read ({problem}); give one like 'https://api.runpod.io'") from None
    if "@" in parts.netloc:
        raise NotConfigured("the API's base URL holds a user name or password; give the key as apiKey or RUNPOD_API_KEY instead")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise NotConfigured(f"the API's base URL {text!r} is not like 'https://api.runpod.io': http(s), a host, no query")
    if parts.scheme == "http" and not _is_loopback(host):
        raise NotConfigured(f"the API's base URL {text!r} would send the API key unencrypted; use https (http is for this machine only)")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/v2') else path + '/v2'}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _usable_key(api_key: str) -> str:
    key = api_key.strip()
    if not key:
        raise NotConfigured("there is no API key: set runpod-serverless:apiKey, RUNPOD_API_KEY, or run runpodctl config")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NotConfigured("the API key has characters that no Runpod key has (it is not shown here); copy it again")
    return key


def _check_path(path: str, api_key: str) -> None:
    """Refuse an id that would make the request another one: an empty id lists, `..` leaves the collection, `?` adds a query."""
    segments = [unquote(segment) for segment in path.split("/")]
    is_below = path.startswith("/") and all(segment not in ("", ".", "..") for segment in segments[1:])
    if not is_below or any(letter in path for letter in "?#\\ ") or not path.isprintable() or any("/" in each for each in segments):
        raise Refused(f"{clean(path, api_key)!r} is no path of the API; an id is empty or has characters that no id has")


def _said(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
