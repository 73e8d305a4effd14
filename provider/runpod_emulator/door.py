"""What every API request passes: the log, the key, the rate limit, and the faults that were ordered."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runpod_emulator.clock import iso
from runpod_emulator.faults import Fault, Faults
from runpod_emulator.journal import Entry, Journal
from runpod_emulator.limits import Limits
from runpod_emulator.problems import Problem
from runpod_emulator.world import World

CONTROL_PREFIX = "/_emulator/"


class ConnectionDropped(ConnectionError):
    """The emulator hangs up: what an in-process caller sees instead of a closed socket."""


@dataclass
class Door:
    """The outermost ASGI application. `/_emulator/` passes it untouched."""

    inner: ASGIApp
    world: World
    limits: Limits
    faults: Faults
    journal: Journal
    route_of: Callable[[str], str]
    drop_error: Callable[[], Exception] = ConnectionDropped
    _late: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self.inner(scope, receive, send)
            return
        request = Request(scope, receive)
        raw = await request.body()
        entry = self.journal.add(
            time=iso(self.world.clock.now()),
            method=request.method,
            path=request.url.path,
            route=self.route_of(scope["path"]),
            query=request.url.query,
            text=raw.decode(errors="replace"),
            body=_parsed(raw),
            user_agent=request.headers.get("user-agent", ""),
        )
        try:
            headers = self._admit(request)
        except Problem as problem:
            await self._send(problem.response(), {}, entry, scope, receive, send)
            return
        fault = self.faults.take(request.method, scope["path"])
        if fault is None:
            await self._send(await self._commit(scope, raw), headers, entry, scope, receive, send)
            return
        entry.fault = fault.action
        await self._misbehave(fault, raw, headers, entry, scope, receive, send)

    def _admit(self, request: Request) -> dict[str, str]:
        """Check the key and count the request; return the rate-limit header fields."""
        if not (request.url.path == "/v2" or request.url.path.startswith("/v2/")):
            return {}
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise Problem(401, "missing bearer token")
        accepted = self.world.settings.accepted_keys
        if key.startswith(("bad", "wrong")) if accepted is None else key not in accepted:
            raise Problem(401, "invalid api key")
        headers = self.limits.take(key)
        if accepted is None and key.startswith("forbidden"):
            raise Problem(403, "access denied", headers=headers)
        return headers

    async def _commit(self, scope: Scope, raw: bytes) -> Response:
        """Let the API handle the request and return its whole answer."""
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

    async def _send(
        self, response: Response, headers: dict[str, str], entry: Entry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        response.headers.update(headers)
        response.headers["Date"] = self.world.clock.http_date()
        entry.status = response.status_code
        await response(scope, receive, send)

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

    async def _misbehave(
        self, fault: Fault, raw: bytes, headers: dict[str, str], entry: Entry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def answer(response: Response) -> None:
            await self._send(response, headers, entry, scope, receive, send)

        if fault.action == "status":
            await answer(_refusal(fault, fault.status or 503))
        elif fault.action == "reset-before":
            await self._hang_up(send)
        elif fault.action == "commit-then-drop":
            await self._commit(scope, raw)
            await self._hang_up(send)
        elif fault.action == "delay":
            await asyncio.sleep(fault.seconds)
            await answer(await self._commit(scope, raw))
        elif fault.action == "commit-late":
            if fault.hold:
                while (await receive())["type"] != "http.disconnect":
                    pass
            task = asyncio.create_task(self._commit_late(scope, raw, fault.seconds))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            if fault.status is not None:
                await answer(_refusal(fault, fault.status))
            elif not fault.hold:
                await self._hang_up(send)
        else:
            response = await self._commit(scope, raw)
            if fault.action == "truncate":
                await self._truncate(response, headers, send)
                await self._hang_up(send, after_flush=True)
            else:
                await answer(_distorted(fault, response))

    async def _commit_late(self, scope: Scope, raw: bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._commit(scope, raw)

    async def _truncate(self, response: Response, headers: dict[str, str], send: Send) -> None:
        """Announce the whole answer and send half of it."""
        response.headers.update(headers)
        body = bytes(response.body)
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def _refusal(fault: Fault, status: int) -> Response:
    wait = {} if fault.retryAfter is None else {"Retry-After": str(fault.retryAfter)}
    return Problem(status, fault.detail or "fault ordered through the controls", headers=wait).response()


def _distorted(fault: Fault, response: Response) -> Response:
    """Return the committed answer with the body that the fault asks for."""
    content = _parsed(bytes(response.body))
    if fault.action == "wrong-json":
        if isinstance(fault.body, str):
            return Response(fault.body, response.status_code, media_type="application/json")
        return JSONResponse({"unexpected": True} if fault.body is None else fault.body, response.status_code)
    if isinstance(content, dict) and fault.action == "add-fields":
        content.update(fault.fields)
    elif isinstance(content, dict):  # omit-from-list
        for name, items in content.items():
            if isinstance(items, list):
                content[name] = [] if fault.id is None else [item for item in items if item.get("id") != fault.id]
    return JSONResponse(content, response.status_code)
