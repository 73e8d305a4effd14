"""An emulator in a process of its own, and a small client for its controls: what tests and the demo use."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from typing_extensions import Self

_START_SECONDS = 30
_STOP_SECONDS = 10
_SETTINGS = {
    "quota": "quota",
    "hour_quota": "hourQuota",
    "day_quota": "dayQuota",
    "minute_seconds": "minuteSeconds",
    "hour_seconds": "hourSeconds",
    "day_seconds": "daySeconds",
    "worker_quota": "workerQuota",
    "job_base_url": "jobBaseUrl",
    "accepted_keys": "acceptedKeys",
    "log_hold_seconds": "logHoldSeconds",
    "job_seconds": "jobSeconds",
}


class Running:
    """Start an emulator on entry and stop it on exit; it also ends with this process.

    `url` is its root: both APIs are under `/v2`, the controls under `/_emulator`, a page for people at `/`. `quota` None means
    no limit, `job_base_url` None that `requestUrls` lead here. What the process writes to its standard error appears on ours
    when it stops, and in the exception where it does not start.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        quota: int | None = None,
        worker_quota: int = 5,
        job_base_url: str | None = None,
    ) -> None:
        self._command: list[str] = [sys.executable, "-m", "runpod_emulator", "--stop-when-parent-exits"]
        self._command += ["--port", str(port), "--quota", "none" if quota is None else str(quota)]
        self._command += ["--worker-quota", str(worker_quota)]
        self._command += [] if job_base_url is None else ["--job-base-url", job_base_url]
        self._command += [] if state is None else ["--state", str(state)]
        self._process: subprocess.Popen[str] | None = None
        self._open = contextlib.ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        """Start the process and wait for its URL."""
        with contextlib.ExitStack() as opened:
            complaints = opened.enter_context(tempfile.TemporaryFile("w+"))
            process = opened.enter_context(
                subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    text=True,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for us; we stop it when we are done
                )
            )
            opened.callback(_stop, process)
            self.url = _first_line(process)
            complaint = "" if self.url else _stop_and_read(process, complaints)
            if not self.url:
                raise RuntimeError(f"the emulator did not start, exit code {process.returncode}: {complaint}")
            opened.callback(lambda: sys.stderr.write(_stop_and_read(process, complaints)))
            self._client = opened.enter_context(httpx.Client(base_url=self.url, timeout=30, trust_env=False))
            self._process = process
            self._open = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the process."""
        self._open.close()

    @property
    def process_id(self) -> int:
        """Return the process's id."""
        assert self._process is not None, "the emulator has not been started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the process's exit code, None while it runs."""
        return None if self._process is None else self._process.poll()

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
        """Order a fault; `runpod_emulator.faults.Fault` says which there are."""
        self.control("POST", "faults", {"action": action, "method": method, "path": path, **details})

    def clear_faults(self) -> None:
        """Drop the ordered faults."""
        self.control("DELETE", "faults")

    def set(self, **settings: float | str | Sequence[str] | None) -> None:
        """Change settings: those of `runpod_emulator.world.Settings`."""
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


def _environment() -> dict[str, str]:
    """Return our environment, with this very package importable also where it is not installed."""
    own = str(Path(__file__).resolve().parents[1])
    paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _first_line(process: subprocess.Popen[str]) -> str:
    """Return the URL that the process prints, empty where it ends or takes too long."""
    assert process.stdout is not None
    alarm = threading.Timer(_START_SECONDS, process.kill)
    alarm.start()
    try:
        return process.stdout.readline().strip()
    finally:
        alarm.cancel()


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _stop_and_read(process: subprocess.Popen[str], complaints: Any) -> str:
    _stop(process)
    complaints.seek(0)
    return str(complaints.read())
