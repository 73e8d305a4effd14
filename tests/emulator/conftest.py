"""An emulator in this process, on a clock that stands still, and a client that speaks to it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_bodies import gpu_body
from starlette.testclient import TestClient

from runpod_emulator import Clock, create_app

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "reference" / "runpod-openapi-v2.json"
NOON = 1_780_315_200.0  # 2026-06-01T12:00:00Z


@dataclass
class Api:
    """The client, with the shortest words for what the tests do."""

    http: TestClient

    def call(self, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        response = self.http.request(method, path, json=body)
        if status is not None:
            assert response.status_code == status, response.text
        return response.json() if response.content else None

    def post(self, path: str, body: Any, status: int = 201) -> Any:
        return self.call("POST", path, body, status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return self.call("PATCH", path, body, status)

    def get(self, path: str, status: int = 200) -> Any:
        return self.call("GET", path, None, status)

    def delete(self, path: str, status: int = 204) -> Any:
        return self.call("DELETE", path, None, status)

    def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        response = self.http.request(method, f"/_emulator/{path}", json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def raw(self, method: str, path: str, content: str) -> httpx.Response:
        return self.http.request(method, path, content=content, headers={"Content-Type": "application/json"})

    def create(self, *without: str, **changes: Any) -> Any:
        return self.post("/v2/serverless", gpu_body(*without, **changes))


@pytest.fixture
def api() -> Iterator[Api]:
    """Give each test an emulator of its own, without a rate limit."""
    app = create_app(clock=Clock(lambda: NOON))
    with TestClient(app, headers={"Authorization": "Bearer key"}, raise_server_exceptions=True) as http:
        yield Api(http)


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """Return the API's own document, where this machine has it."""
    if not DOCUMENT.exists():
        pytest.skip(f"the API document is not at {DOCUMENT}")
    found: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return found
