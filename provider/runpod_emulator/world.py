"""What every handler is given: the one account's state, time and settings, and the call it answers. No rules, no HTTP."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runpod_emulator.clock import Clock
from runpod_emulator.problems import Problem, unprocessable
from runpod_emulator.shapes import Shape
from runpod_emulator.store import Doc, Store


@dataclass
class Settings:
    """What can be set at the start and through the controls."""

    quota: int | None = 60
    hour_quota: int = 3000
    day_quota: int = 50_000
    worker_quota: int = 5
    job_base_url: str = "https://api.runpod.ai/v2"
    accepted_keys: list[str] | None = None


@dataclass
class World:
    """The account that the emulator plays."""

    store: Store
    clock: Clock
    settings: Settings = field(default_factory=Settings)


def parse_json(raw: bytes) -> Any:
    """Parse a body, or refuse it with 400."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(raw, parse_constant=refuse)
    except ValueError as error:
        raise Problem(400, f"request body is not valid JSON: {error}") from None


@dataclass(frozen=True)
class Call:
    """One request, already authenticated and routed."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes
    content_type: str

    def body(self, shape: Shape) -> Doc:
        """Return the body, or refuse it: 415, 400 or 422."""
        if self.content_type.split(";")[0].strip().lower() != "application/json":
            raise Problem(415, f"content type {self.content_type!r} is not supported, send application/json")
        if not self.raw.strip():
            raise Problem(400, "request body is required")
        parsed = parse_json(self.raw)
        errors = list(shape.failures(parsed, "$"))
        if errors:
            raise unprocessable(*errors)
        body: Doc = parsed
        return body


Reply = tuple[int, Doc | None]
Handler = Callable[[World, Call], Reply]
