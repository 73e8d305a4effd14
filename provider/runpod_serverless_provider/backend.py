"""Which Pulumi backend the run works for, where equal URNs mean one resource. The engine does not tell; it is found as the CLI does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_CLOUD: Final = "https://api.pulumi.com"


def pulumi_home(environment: Mapping[str, str], home: Path) -> Path:
    """Return where Pulumi keeps its own files: `PULUMI_HOME`, else `~/.pulumi`."""
    return Path(environment.get("PULUMI_HOME") or home / ".pulumi")


def find_backend(environment: Mapping[str, str], directory: Path, home: Path) -> str | None:
    """Return the backend's URL, a relative `file://` made absolute; None where it is not known.

    In the CLI's order: `PULUMI_BACKEND_URL`, the project's `backend.url`, the login that `credentials.json` calls current, and the
    service for whoever has only a token. `directory` is the working directory, in or below the project's.
    """
    url = environment.get("PULUMI_BACKEND_URL") or _of_project(directory) or _of_login(pulumi_home(environment, home))
    if not url and environment.get("PULUMI_ACCESS_TOKEN"):
        url = _CLOUD
    if url and url.startswith("file://."):
        return (directory / url.removeprefix("file://")).resolve().as_uri()
    return url


def _of_project(directory: Path) -> str | None:
    files = (above / name for above in (directory, *directory.parents) for name in _PROJECT_FILES)
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        return None
    import yaml  # JSON is YAML, too

    try:
        return _text(yaml.safe_load(found.read_text(encoding="utf-8")), "backend", "url")
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _of_login(pulumi_files: Path) -> str | None:
    try:
        return _text(json.loads((pulumi_files / "credentials.json").read_text(encoding="utf-8")), "current")
    except (OSError, ValueError):
        return None


def _text(value: Any, *keys: str) -> str | None:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None
