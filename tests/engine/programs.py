"""The words in which the tests of the engine write programs and read the emulator's log."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tools.examples import SECRETS, configuration

if TYPE_CHECKING:
    from engine.harness import Stack
    from runpod_emulator.running import Running

ENDPOINT: Final = "runpod-serverless:index:Endpoint"
VOLUME: Final = "runpod-serverless:index:NetworkVolume"
TEMPLATE: Final = "runpod-serverless:index:PodTemplate"
REGISTRY: Final = "runpod-serverless:index:Registry"
IMAGE: Final = "me/worker:1"


def configure(stack: Stack, example: str, without: str = "") -> None:
    """Set what an example needs in order to come up and, its protection lifted, to go away."""
    for name, value in configuration(example).items():
        if name != without:
            stack.configure(name, value, secret=name in SECRETS)


def endpoint(options: Mapping[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """State an endpoint; a property that is None is left out, and the image is `IMAGE` where none is given."""
    return _resource(ENDPOINT, options, {"image": IMAGE, **properties})


def volume(options: Mapping[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """State a network volume without protection, so that it goes with its stack."""
    return _resource(VOLUME, options, {"deletionProtection": False, **properties})


def template(options: Mapping[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """State a template; its image is `IMAGE` where none is given."""
    return _resource(TEMPLATE, options, {"image": IMAGE, **properties})


def registry(options: Mapping[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """State credentials."""
    return _resource(REGISTRY, options, {"username": "me", "password": "sesame", **properties})


def _resource(token: str, options: Mapping[str, Any] | None, properties: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in properties.items() if value is not None}
    return {"type": token, "properties": given, **({"options": dict(options)} if options else {})}


def secret(value: Any) -> dict[str, Any]:
    """State a secret."""
    return {"fn::secret": value}


def sent(emulator: Running) -> list[str]:
    """Give the requests since the log was cleared, as `POST /serverless`; identifiers are left out."""
    return [f"{entry['method']} {entry['route'].removeprefix('/v2')}" for entry in emulator.requests()]


@contextlib.contextmanager
def hurried(emulator: Running) -> Iterator[None]:
    """Let the emulator's time run, so that workers that take minutes to start are there at once."""
    is_over = threading.Event()

    def advance() -> None:
        while not is_over.wait(0.2):
            emulator.advance(100)

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
