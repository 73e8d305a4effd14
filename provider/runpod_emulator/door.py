"""What every API request passes: the log, the key, the rate limit, and the faults that were ordered."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runpod_emulator.clock import iso
from runpod_emulator.faults import Fault, Faults
from runpod_emulator.journal import Entry, Journal
from runpod_emulator.limits import Limits
from runpod_emulator.problems import Problem
from runpod_emulator.routing import Routes
from runpod_emulator.world import Call, Stream, World

CONTROL_PREFIX = "/_emulator/"
_STREAM_HEADERS = {"Cache-Control": "no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no"}

log = logging.getLogger("runpod_emulator")


class ConnectionDropped(ConnectionError):
    """The emulator hangs up: what an in-process caller sees instead of a closed socket."""


class _Streaming(Response):
    """A response whose body is still to come."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(headers=_STREAM_HEADERS)
        del self.headers["content-length"]
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until there are no more, or the caller has gone."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        gone = asyncio.ensure_future(receive())
        coming: asyncio.Future[bytes] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext_of(self.events))
                await asyncio.wait({gone, coming}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                try:
                    chunk = coming.result()
                except StopAsyncIteration:
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            for waiting in (gone, coming):
                if waiting is not None:
                    waiting.cancel()


async def anext_of(events: AsyncIterator[bytes]) -> bytes:
    """Return the next of the events, as a coroutine."""
    return await events.__anext__()


@dataclass(frozen=True)
class _Exchange:
    """One request on its way."""

    scope: Scope
    receive: Receive
    send: Send
    raw: bytes
    headers: Mapping[str, str]
    entry: Entry
    started: float


@dataclass
class Door:
    """The outermost ASGI application. What does not concern the API passes it untouched to `inner`."""

    inner: ASGIApp
    routes: Routes
    world: World
    limits: Limits
    faults: Faults
    journal: Journal
    drop_error: Callable[[], Exception] = ConnectionDropped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] == "/" or scope["path"].startswith(CONTROL_PREFIX):
            await self.inner(scope, receive, send)
            return
        raw = await _body(receive)
        if raw is None:
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        found = self.routes.find(scope["path"])
        now = self.world.clock.now()
        entry = self.journal.add(
            at=now,
            time=iso(now),
            method=scope["method"],
            path=scope["path"],
            route=scope["path"] if found is None else found[0].path,
            query=scope["query_string"].decode("latin-1"),
            text=raw.decode(errors="replace"),
            body=_parsed(raw),
            user_agent=headers.get("user-agent", ""),
        )
        exchange = _Exchange(scope, receive, send, raw, headers, entry, time.perf_counter())
        try:
            own_headers = self._admit(scope["path"], headers, is_limited=found is None or found[0].is_limited)
        except Problem as problem:
            await self._send(problem.response(), {}, exchange)
            return
        fault = self.faults.take(scope["method"], scope["path"], entry.body)
        if fault is None:
            await self._send(await self._commit(exchange), own_headers, exchange)
            return
        entry.fault = fault.action
        await self._misbehave(fault, own_headers, exchange)

    def _admit(self, path: str, headers: Mapping[str, str], *, is_limited: bool) -> dict[str, str]:
        """Check the key and count the request, if it is one that counts; return the rate-limit header fields."""
        if not (path == "/v2" or path.startswith("/v2/")):
            return {}
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise Problem(401, "missing bearer token")
        accepted = self.world.settings.accepted_keys
        if key.startswith(("bad", "wrong")) if accepted is None else key not in accepted:
            raise Problem(401, "invalid api key")
        own_headers = self.limits.take() if is_limited else {}
        if accepted is None and key.startswith("forbidden"):
            raise Problem(403, "access denied", headers=own_headers)
        return own_headers

    async def _commit(self, exchange: _Exchange) -> Response:
        """Let the API handle the request and return its whole answer."""
        scope = exchange.scope
        found = self.routes.find(scope["path"])
        if found is None:
            return await self._inner_answer(scope, exchange.raw)
        route, params = found
        handler = route.handlers.get(scope["method"])
        try:
            if handler is None:
                allowed = {"Allow": ", ".join(route.handlers)}
                raise Problem(405, "The requested method is not allowed for this path.", headers=allowed)
            query = QueryParams(scope["query_string"])
            status, content = handler(self.world, Call(params, query, exchange.headers, exchange.raw))
        except Problem as problem:
            return problem.response()
        except Exception as error:
            log.exception("%s %s failed", scope["method"], scope["path"])
            return Problem(500, f"the emulator failed: {error!r}").response()
        if isinstance(content, Stream):
            return _Streaming(content.events)
        return Response(status_code=status) if content is None else JSONResponse(content, status)

    async def _inner_answer(self, scope: Scope, raw: bytes) -> Response:
        """Let the inner application handle the request and return its whole answer."""
        messages: list[Message] = []
        pending: Iterator[Message] = iter([{"type": "http.request", "body": raw, "more_body": False}])

        async def receive() -> Message:
            return next(pending, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            messages.append(message)

        await self.inner(dict(scope), receive, send)
        response = Response(b"".join(message.get("body", b"") for message in messages[1:]), messages[0]["status"])
        response.raw_headers = list(messages[0]["headers"])
        return response

    async def _send(self, response: Response, own_headers: Mapping[str, str], exchange: _Exchange) -> None:
        self._complete(response, own_headers)
        entry = exchange.entry
        entry.status = response.status_code
        entry.retry_after = response.headers.get("retry-after")
        entry.took_ms = round(1000 * (time.perf_counter() - exchange.started), 3)
        await response(exchange.scope, exchange.receive, exchange.send)

    def _complete(self, response: Response, own_headers: Mapping[str, str]) -> None:
        for name, value in (*own_headers.items(), ("Date", self.world.clock.http_date())):
            response.raw_headers.append((name.lower().encode(), value.encode()))

    async def _hang_up(self, send: Send, *, after_flush: bool = False) -> None:
        """Close the caller's connection without an answer."""
        transport = getattr(getattr(send, "__self__", None), "transport", None)  # uvicorn's own request cycle
        if transport is None:
            raise self.drop_error()
        if after_flush:
            transport.close()
        else:
            transport.abort()
        await asyncio.sleep(0.05)  # lets uvicorn notice, so that it does not answer 500 for us

    async def _misbehave(self, fault: Fault, own_headers: Mapping[str, str], exchange: _Exchange) -> None:
        async def answer(response: Response) -> None:
            await self._send(response, own_headers, exchange)

        if fault.action == "status":
            await answer(_refusal(fault, fault.status or 503))
        elif fault.action == "reset-before":
            await self._hang_up(exchange.send)
        elif fault.action == "commit-then-status":
            await self._commit(exchange)
            await answer(_refusal(fault, fault.status or 502))
        elif fault.action == "commit-then-drop":
            await self._commit(exchange)
            if fault.hold:
                await _until_gone(exchange.receive)
            await self._hang_up(exchange.send)
        elif fault.action == "delay":
            await self.world.clock.sleep(fault.seconds)
            await answer(await self._commit(exchange))
        elif fault.action == "commit-then-delay":
            response = await self._commit(exchange)
            await asyncio.sleep(fault.seconds)
            await answer(response)
        elif fault.action == "commit-late":
            if fault.hold:
                await _until_gone(exchange.receive)
            self.faults.do_late(self._commit_late(exchange, fault.seconds))
            if fault.status is not None:
                await answer(_refusal(fault, fault.status))
            else:
                await self._hang_up(exchange.send)
        else:
            response = await self._commit(exchange)
            if fault.action == "truncate":
                await self._truncate(response, own_headers, exchange.send)
                await self._hang_up(exchange.send, after_flush=True)
            else:
                await answer(_distorted(fault, response))

    async def _commit_late(self, exchange: _Exchange, seconds: float) -> None:
        await self.world.clock.sleep(seconds)
        await self._commit(exchange)

    async def _truncate(self, response: Response, own_headers: Mapping[str, str], send: Send) -> None:
        """Announce the whole answer and send half of it."""
        self._complete(response, own_headers)
        body = bytes(response.body)
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


async def _body(receive: Receive) -> bytes | None:
    """Return the request's body, None where the caller hangs up before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def _refusal(fault: Fault, status: int) -> Response:
    wait = {} if fault.retryAfter is None else {"Retry-After": str(fault.retryAfter)}
    return Problem(status, fault.detail or "fault ordered through the controls", headers=wait).response()


def _distorted(fault: Fault, response: Response) -> Response:
    """Return the committed answer with the body that the fault asks for."""
    if fault.action == "wrong-json":
        if isinstance(fault.body, str):
            return Response(fault.body, response.status_code, media_type="application/json")
        return JSONResponse({"unexpected": True} if fault.body is None else fault.body, response.status_code)
    content = _parsed(bytes(response.body))
    if not isinstance(content, dict):
        return response
    if fault.action == "add-fields":
        return JSONResponse({**content, **fault.fields}, response.status_code)
    shorter = {
        name: [item for item in items if fault.id is not None and item["id"] != fault.id]
        for name, items in content.items()
        if isinstance(items, list) and all(isinstance(item, dict) and "id" in item for item in items)
    }
    return JSONResponse({**content, **shorter}, response.status_code)
