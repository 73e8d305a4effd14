"""A Runpod account over the API itself, past the provider: what is there under a prefix, what a raw request is answered, and the sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import httpx
from typing_extensions import Self

PATHS: Final = {
    "endpoints": "/serverless",
    "templates": "/templates",
    "networkVolumes": "/network-volumes",
    "registries": "/registries",
}
"""Where each kind is, in the order in which they can be deleted."""
_ATTEMPTS: Final = 6
_PASSES: Final = 3
_LONGEST_WAIT_SECONDS: Final = 90.0


@dataclass(frozen=True)
class Answer:
    """One answer of the API."""

    status: int
    content: Any

    @property
    def shown(self) -> dict[str, Any]:
        """Give what is compared: the object, or what a refusal says."""
        if self.status < 400:
            return {"status": self.status, "answer": self.content}
        problem = self.content if isinstance(self.content, Mapping) else {"detail": str(self.content)}
        return {"status": self.status, **{name: problem[name] for name in ("title", "detail", "errors") if name in problem}}


class Account:
    """One account. `url` is the API's root, with or without `/v2`; `pause` lets seconds pass."""

    def __init__(self, url: str, key: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        base_url = url.rstrip("/").removesuffix("/v2") + "/v2"
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "runpod-live-suite"}
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=60)

    def __enter__(self) -> Self:
        """Open the connection."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self._client.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send one request.

        The rate limit is waited for, and what only reads or deletes is tried again where the server or the connection fails. Raises
        httpx.HTTPError where no answer comes.
        """
        is_repeatable = method in ("GET", "DELETE")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self._client.request(method, path, json=body)
            except httpx.TransportError:
                if not is_repeatable or attempt == _ATTEMPTS:
                    raise
                self._pause(2.0**attempt / 4)
                continue
            may_repeat = answer.status_code == 429 or (answer.status_code >= 500 and is_repeatable)
            if not may_repeat or attempt == _ATTEMPTS:
                break
            wait = answer.headers.get("Retry-After", "")
            self._pause(min(float(wait) if wait.isdecimal() else 2.0**attempt / 4, _LONGEST_WAIT_SECONDS))
        try:
            content = answer.json() if answer.content else None
        except ValueError:
            content = answer.text
        return Answer(answer.status_code, content)

    def owned(self, prefix: str) -> dict[str, list[dict[str, Any]]]:
        """List what has a name with this prefix, by kind."""
        return {kind: self._listed(kind, prefix) for kind in PATHS}

    def _listed(self, kind: str, prefix: str) -> list[dict[str, Any]]:
        answer = self.ask("GET", PATHS[kind])
        if answer.status != 200 or not isinstance(answer.content, Mapping) or kind not in answer.content:
            raise RuntimeError(f"GET {PATHS[kind]} answered {answer.status}: {answer.content}")
        named = [item for item in answer.content[kind] if item["name"].startswith(prefix)]
        return sorted(named, key=lambda item: str(item["name"]))

    def sweep(self, prefix: str) -> list[str]:
        """Delete all that has a name with this prefix, and say what would not go. An endpoint takes its own template along.

        A kind that cannot be listed and an item that cannot be deleted keep nothing else from going.
        """
        answers: dict[str, str] = {}
        left: list[str] = []
        for attempt in range(_PASSES):
            for kind, path in PATHS.items():
                for item in self._found(kind, prefix, []):
                    try:
                        answer = self.ask("DELETE", f"{path}/{item['id']}")
                        answers[item["id"]] = f"answered with {answer.status} {answer.content or ''}".strip()
                    except httpx.HTTPError as problem:
                        answers[item["id"]] = f"not answered: {problem!r}"
            left = []
            for kind, path in PATHS.items():
                items = self._found(kind, prefix, left)
                left += [
                    f"{path}/{item['id']} {item['name']!r} (its deletion was {answers.get(item['id'], 'not tried')})"
                    for item in items
                ]
            if not left:
                break
            self._pause(2.0**attempt)  # a list may lag behind
        return left

    def _found(self, kind: str, prefix: str, problems: list[str]) -> list[dict[str, Any]]:
        try:
            return self._listed(kind, prefix)
        except (httpx.HTTPError, RuntimeError) as problem:
            problems.append(f"{PATHS[kind]}/… (what is there could not be listed: {problem})")
            return []
