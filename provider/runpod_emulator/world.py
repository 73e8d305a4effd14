"""What every handler is given: the one account's state, time and settings, and the call it answers. No rules, no HTTP."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runpod_emulator.clock import Clock
from runpod_emulator.problems import Problem, bad_request, unprocessable
from runpod_emulator.shapes import Shape
from runpod_emulator.store import Doc, Store


@dataclass
class Settings:
    """What can be set at the start and through the controls.

    `quota` None switches the rate limit and its headers off. The three windows last `minute_seconds` and so on, so that a
    test need not wait a minute. `accepted_keys` None accepts every key that does not begin with `bad` or `wrong`.
    `log_hold_seconds` None keeps a log stream open as long as somebody listens. `job_seconds` is how long a job runs that is
    submitted from now on.
    """

    quota: int | None = 60
    hour_quota: int = 3000
    day_quota: int = 50_000
    minute_seconds: int = 60
    hour_seconds: int = 3600
    day_seconds: int = 86_400
    worker_quota: int = 5
    job_base_url: str = "https://api.runpod.ai/v2"
    accepted_keys: list[str] | None = None
    log_hold_seconds: float | None = None
    job_seconds: float = 5.0


@dataclass
class World:
    """The account that the emulator plays."""

    store: Store
    clock: Clock
    settings: Settings = field(default_factory=Settings)
    is_closing: bool = False


def parse_json(raw: bytes) -> Any:
    """Parse a body, or refuse it with 400."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        parsed = json.loads(raw.decode(), parse_constant=refuse)
        if b"\\u" in raw:
            json.dumps(parsed, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise bad_request(f"request body is not valid JSON: {error}") from None
    return parsed


@dataclass(frozen=True)
class Call:
    """One request, already authenticated and routed."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes

    def body(self, shape: Shape) -> Doc:
        """Return the body, or refuse it: 415, 400 or 422."""
        content_type = self.headers.get("content-type", "")
        if content_type.split(";")[0].strip().lower() != "application/json":
            raise Problem(415, f"content type {content_type!r} is not supported, send application/json")
        if not self.raw.strip():
            raise bad_request("request body is required")
        parsed = parse_json(self.raw)
        errors = list(shape.failures(parsed, "$"))
        if errors:
            raise unprocessable(*errors)
        body: Doc = parsed
        return body


@dataclass(frozen=True)
class Stream:
    """An answer of server-sent events that goes on for a while."""

    events: AsyncIterator[bytes]


Reply = tuple[int, Doc | Stream | None]
Handler = Callable[[World, Call], Reply]
