"""An emulator in a process of its own, and a small client for its controls: what tests and the demo use."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from typing_extensions import Self

_SETTINGS = {
    "quota": "quota",
    "hour_quota": "hourQuota",
    "day_quota": "dayQuota",
    "worker_quota": "workerQuota",
    "job_base_url": "jobBaseUrl",
    "accepted_keys": "acceptedKeys",
}


class Running:
    """Start an emulator on entry and stop it on exit; it also ends with this process.

    `url` is its root: the API is under `/v2`, the controls under `/_emulator`. `quota` None means no limit.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        quota: int | None = None,
        worker_quota: int = 5,
        job_base_url: str = "https://api.runpod.ai/v2",
    ) -> None:
        self._command: list[str] = [sys.executable, "-m", "runpod_emulator", "--stop-when-parent-exits"]
        self._command += ["--port", str(port), "--quota", "none" if quota is None else str(quota)]
        self._command += ["--worker-quota", str(worker_quota), "--job-base-url", job_base_url]
        self._command += [] if state is None else ["--state", str(state)]
        self.url = ""

    def __enter__(self) -> Self:
        """Start the process and wait for its URL."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the emulator did not start, exit code {self._process.wait()}")
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the process."""
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def exit_code(self) -> int | None:
        """Return the process's exit code, None while it runs."""
        return self._process.poll()

    def control(self, method: str, path: str, json: Any = None) -> Any:
        """Call `/_emulator/<path>` and return what it answers; raise with its words where it refuses."""
        response = self._client.request(method, f"/_emulator/{path}", json=json)
        if response.is_error:
            raise RuntimeError(f"{method} /_emulator/{path} answered {response.status_code}: {response.text}")
        return response.json() if response.content else None

    def requests(self) -> list[dict[str, Any]]:
        """Return the log of API requests."""
        found: list[dict[str, Any]] = self.control("GET", "requests")["requests"]
        return found

    def clear_requests(self) -> None:
        """Empty the log."""
        self.control("DELETE", "requests")

    def counters(self) -> dict[str, int]:
        """Return the number of requests by method and route."""
        found: dict[str, int] = self.control("GET", "counters")
        return found

    def state(self) -> dict[str, Any]:
        """Return the account's resources, settings and time."""
        found: dict[str, Any] = self.control("GET", "state")
        return found

    def seed(self, **kinds: Any) -> dict[str, list[str]]:
        """Put `endpoints`, `templates`, `networkVolumes`, `registries`, `catalog` there; return the ids by kind."""
        found: dict[str, list[str]] = self.control("POST", "seed", kinds)
        return found

    def fault(self, action: str, method: str = "*", path: str = "*", **details: Any) -> None:
        """Order a fault."""
        self.control("POST", "faults", {"action": action, "method": method, "path": path, **details})

    def clear_faults(self) -> None:
        """Drop the ordered faults."""
        self.control("DELETE", "faults")

    def set(self, **settings: int | str | Sequence[str] | None) -> None:
        """Change settings: quota, hour_quota, day_quota, worker_quota, job_base_url, accepted_keys."""
        self.control("POST", "settings", {_SETTINGS[name]: value for name, value in settings.items()})

    def mutate(self, kind: str, identifier: str, **changes: Any) -> dict[str, Any]:
        """Change a stored object behind everyone's back."""
        found: dict[str, Any] = self.control("PATCH", f"resources/{kind}/{identifier}", changes)
        return found

    def delete(self, kind: str, identifier: str) -> None:
        """Remove a stored object behind everyone's back."""
        self.control("DELETE", f"resources/{kind}/{identifier}")

    def advance(self, seconds: float) -> None:
        """Move the emulator's time on."""
        self.control("POST", "time", {"advanceSeconds": seconds})

    def reset(self) -> None:
        """Begin anew: also the settings return to those of the start."""
        self.control("POST", "reset")
