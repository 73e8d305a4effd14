"""An emulator in this process, on a clock that stands still, and a client that speaks to it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.bodies import gpu_body
from runpod_emulator import Clock, create_app
from runpod_emulator.door import Door
from runpod_emulator.running import Running

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
NOON = 1_780_315_200.0  # 2026-06-01T12:00:00Z
KEY = {"Authorization": "Bearer key"}


@dataclass
class Api:
    """The client, with the shortest words for what the tests do."""

    app: Door
    loop: asyncio.AbstractEventLoop
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://emulator", headers=KEY)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.loop.run_until_complete(self.http.request(method, path, **options))

    def call(self, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        response = self.send(method, path, json=body)
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
        response = self.send(method, f"/_emulator/{path}", json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def refused_control(self, path: str, body: Any, method: str = "POST") -> Any:
        response = self.send(method, f"/_emulator/{path}", json=body)
        assert response.status_code == 422, response.text
        return response.json()

    def raw(self, method: str, path: str, content: str | bytes) -> httpx.Response:
        return self.send(method, path, content=content, headers={"Content-Type": "application/json"})

    def create(self, *without: str, **changes: Any) -> Any:
        return self.post("/v2/serverless", gpu_body(*without, **changes))

    def volume(self, **changes: Any) -> Any:
        return self.post("/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1", **changes})

    def template(self, **changes: Any) -> Any:
        return self.post("/v2/templates", {"name": "t", "image": "me/t:1", "serverless": True, **changes})

    def wait(self, seconds: float) -> None:
        self.control("time", {"advanceSeconds": seconds})


@contextmanager
def in_process(**options: Any) -> Iterator[Api]:
    """Give an emulator whose clock stands still, unless an option says otherwise."""
    loop = asyncio.new_event_loop()
    api = Api(create_app(**{"clock": Clock(lambda: NOON), **options}), loop)
    try:
        yield api
    finally:
        loop.run_until_complete(api.http.aclose())
        api.app.world.store.close()
        loop.close()


@pytest.fixture
def api() -> Iterator[Api]:
    """Give each test an emulator of its own, without a rate limit."""
    with in_process() as found:
        yield found


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[str, Any]]:
    """Return a way to read a file of facts about the outside world, where this machine has it."""

    def read(name: str) -> dict[str, Any]:
        path = REFERENCE / name
        if not path.exists():
            pytest.skip(f"shared reference absent: it is not at {path}")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    return read


@pytest.fixture(scope="session")
def document(reference) -> dict[str, Any]:
    """Return the API's own document."""
    found: dict[str, Any] = reference("runpod-openapi-v2.json")
    return found


@dataclass
class Server:
    """An emulator in a process of its own, and a client that speaks to it over a socket."""

    running: Running
    client: httpx.Client

    def post(self, path: str, body: Any) -> Any:
        response = self.client.post(path, json=body)
        assert response.status_code == 201, response.text
        return response.json()

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def delete(self, path: str) -> None:
        assert self.client.delete(path).status_code == 204

    def create(self, *without: str, **changes: Any) -> Any:
        return self.post("/v2/serverless", gpu_body(*without, **changes))


@pytest.fixture
def server() -> Iterator[Server]:
    """Start an emulator as users do."""
    with Running() as running, httpx.Client(base_url=running.url, headers=KEY, timeout=10, trust_env=False) as client:
        yield Server(running, client)
