"""A Runpod account over the API itself, past the provider: what is there under a prefix, what a raw request is answered, and the sweep."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
    """One account. `url` is the API's root, with or without `/v2`."""

    def __init__(self, url: str, key: str) -> None:
        base_url = url.rstrip("/").removesuffix("/v2") + "/v2"
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "pulumi-runpod-serverless/live-suite"}
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=60)

    def __enter__(self) -> Self:
        """Open the connection."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self._client.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send one request. The rate limit is waited for, and what only reads or deletes is tried again where the server fails."""
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self._client.request(method, path, json=body)
            is_limited = answer.status_code == 429
            may_repeat = is_limited or (answer.status_code >= 500 and method in ("GET", "DELETE"))
            if not may_repeat or attempt == _ATTEMPTS:
                break
            wait = answer.headers.get("Retry-After", "")
            time.sleep(min(float(wait) if wait.isdecimal() else 2.0**attempt / 4, _LONGEST_WAIT_SECONDS))
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
        if answer.status != 200:
            raise RuntimeError(f"GET {PATHS[kind]} answered {answer.status}: {answer.content}")
        return sorted(
            (item for item in answer.content[kind] if item["name"].startswith(prefix)), key=lambda item: str(item["name"])
        )

    def sweep(self, prefix: str) -> list[str]:
        """Delete all that has a name with this prefix, and say what would not go. An endpoint takes its own template along."""
        refused: dict[str, str] = {}
        for attempt in range(_PASSES):
            for kind, path in PATHS.items():
                for item in self._listed(kind, prefix):
                    answer = self.ask("DELETE", f"{path}/{item['id']}")
                    refused[item["id"]] = f"{answer.status} {answer.content or ''}".strip()
            left = [
                (path, item)
                for (kind, path), items in zip(PATHS.items(), self.owned(prefix).values(), strict=True)
                for item in items
            ]
            if not left:
                return []
            time.sleep(2.0**attempt)  # a list may lag behind
        return [
            f"{path}/{item['id']} {item['name']!r} (its deletion was answered with {refused.get(item['id'])})"
            for path, item in left
        ]
