"""Where the API key and the addresses come from, and what they must look like; both doors ask here. Sends nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import urlsplit

from ..core.failures import CheckFailed, Failure
from ..core.settings import API_KEY, BASE_URL, ENDPOINT_BASE_URL, ConfigurationProperty

API_URL: Final = "https://api.runpod.io/v2"
JOBS_URL: Final = "https://api.runpod.ai/v2"

_VERSION: Final = "/v2"
_FILE_KEYS: Final = ("apikey", "api_key", "apiKey")


def key_reason(text: str) -> str | None:
    """Say what is wrong with an API key, without repeating it; None where nothing is."""
    key = text.strip()
    if not key:
        return f"is empty; set a key, or remove the setting so that {API_KEY.variable} counts"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "holds characters that cannot be part of an API key; copy it again from Runpod console → Settings → API Keys"
    return None


def url_reason(text: str) -> str | None:
    """Say what is wrong with a base URL, without repeating it, as it may hold a password; None where nothing is."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as problem:
        return f"is not a URL ({problem}); give one like {API_URL!r}"
    if parts.scheme not in ("http", "https") or not has_host or not url.isprintable() or " " in url:
        return f"must be an http:// or https:// URL, such as {API_URL!r}"
    if "@" in parts.netloc:
        return "must not hold a user name or a password; the API key goes into apiKey"
    if "?" in url or "#" in url:
        return "must not hold a query or a fragment"
    return None


def api_url_reason(text: str) -> str | None:
    """Say what is wrong with the base URL of an API; the key goes there, so plain http is for this machine alone."""
    reason = url_reason(text)
    if reason is None and urlsplit(text.strip()).scheme == "http" and not is_loopback(text):
        return "would send the API key unencrypted; use https:// (http:// is for this machine only)"
    return reason


def api_url(text: str) -> str:
    """Return a usable base URL of the API in its one form, which ends in `/v2`."""
    url = text.strip().rstrip("/")
    return url if url.endswith(_VERSION) else url + _VERSION


def jobs_url(text: str) -> str:
    """Return a usable base URL of the jobs' API in its one form: a path stays as it is, without one it is `/v2`."""
    url = text.strip().rstrip("/")
    return url if urlsplit(url).path else url + _VERSION


def is_loopback(url: str) -> bool:
    """Say whether a usable URL names this machine."""
    host = urlsplit(url.strip()).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def find_api_url(configured: str | None, environment: Mapping[str, str]) -> str:
    """Choose the API: the configured URL, else RUNPOD_API_URL, else Runpod. Raises CheckFailed for an unusable variable."""
    if configured is not None:
        return api_url(configured)
    given = _given(BASE_URL, environment)
    _refuse_variable(BASE_URL, api_url_reason(given) if given else None)
    return api_url(given) if given else API_URL


def find_jobs_url(configured: str | None, environment: Mapping[str, str]) -> str:
    """Choose the jobs' API: the configured URL, else RUNPOD_ENDPOINT_BASE_URL, else Runpod. Raises CheckFailed likewise."""
    if configured is not None:
        return jobs_url(configured)
    given = _given(ENDPOINT_BASE_URL, environment)
    _refuse_variable(ENDPOINT_BASE_URL, api_url_reason(given) if given else None)
    return jobs_url(given) if given else JOBS_URL


def find_api_key(configured: str | None, environment: Mapping[str, str], home: FilePath) -> tuple[str | None, tuple[str, ...]]:
    """Choose the key: the configured one, else RUNPOD_API_KEY, else that in `home`/.runpod/config.toml; with remarks of the search.

    Raises CheckFailed for an unusable variable. A file that cannot be used is remarked on, not raised: it is another tool's.
    """
    if configured is not None:
        return configured.strip(), ()
    given = _given(API_KEY, environment)
    _refuse_variable(API_KEY, key_reason(given) if given else None)
    return (given, ()) if given else _key_in_file(home / ".runpod" / "config.toml")


def _given(item: ConfigurationProperty, environment: Mapping[str, str]) -> str:
    return environment.get(item.variable, "").strip()


def _refuse_variable(item: ConfigurationProperty, reason: str | None) -> None:
    if reason:
        raise CheckFailed([Failure((), f"the environment variable {item.variable} {reason}")])


def _key_in_file(path: FilePath) -> tuple[str | None, tuple[str, ...]]:
    """Look for a key where runpodctl and Runpod's Python SDK keep it."""
    try:
        parsed = _parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, ()
    except (OSError, ValueError, RecursionError) as problem:  # TOML and UTF-8 errors are ValueErrors; both may quote the key
        return None, (f"{path} was not read: {type(problem).__name__}",)
    default = parsed.get("default")
    notes: list[str] = []
    for table in (parsed, default if isinstance(default, dict) else {}):
        for name in _FILE_KEYS:
            key = table.get(name)
            if isinstance(key, str) and key.strip():
                if key_reason(key) is None:
                    return key.strip(), tuple(notes)
                notes.append(f"{name} in {path} is no API key")
    return None, tuple(notes)


def _parse_toml(text: str) -> dict[str, Any]:
    # Python 3.10 has no parser of its own.
    parsed: dict[str, Any] = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)
    return parsed
