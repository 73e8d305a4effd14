"""The provider's own configuration: what may be set, how it is checked, and where a missing value comes from.

Only what the user wrote is ever stored. Keys and addresses from the environment are resolved at Configure, so that they are never in
the state, and a rotated key counts at once.
"""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from ..core.failures import CheckFailed, Failure, ProviderFailure
from ..core.values import UNKNOWN, contains_unknown
from ..core.verbs import Change, Kind, Settings

PACKAGE: Final = "runpod-serverless"
API_URL: Final = "https://api.runpod.io/v2"
ENDPOINT_URL: Final = "https://api.runpod.ai/v2"

API_KEY_VARIABLE: Final = "RUNPOD_API_KEY"
API_URL_VARIABLE: Final = "RUNPOD_API_URL"
ENDPOINT_URL_VARIABLE: Final = "RUNPOD_ENDPOINT_BASE_URL"
_FILE_KEYS: Final = ("apikey", "api_key", "apiKey")

SECRET_KEY: Final = "apiKey"
KEYS: Final = (SECRET_KEY, "baseUrl", "endpointBaseUrl", "defaultDatacenter", "defaultUpdateStrategy")
UPDATE_STRATEGIES: Final = ("replace", "inPlace")
# The engine's own: `version` is in every CheckConfig, and older states carry the others bare.
ENGINE_KEYS: Final = frozenset({"version", "pluginDownloadURL", "pluginChecksums"})

MISSING_KEY_NAME: Final = f"{PACKAGE}:{SECRET_KEY}"
MISSING_KEY_HELP: Final = (
    "A Runpod API key (Runpod console → Settings → API Keys). Set it with "
    f"`pulumi config set --secret {MISSING_KEY_NAME}`, or in the environment variable {API_KEY_VARIABLE}, "
    "or as `apikey` in ~/.runpod/config.toml"
)


class MissingKey(ProviderFailure):
    """No API key is configured, and none is where one is looked for."""

    def __init__(self) -> None:
        super().__init__(f"missing required configuration key {MISSING_KEY_NAME}: {MISSING_KEY_HELP}")


@dataclass(frozen=True)
class Configuration:
    """All that is needed to connect. `notes` are debug remarks of the search for a key."""

    api_key: str = field(repr=False)
    base_url: str
    endpoint_base_url: str
    settings: Settings
    notes: tuple[str, ...] = ()


def check(values: Mapping[str, Any]) -> tuple[Failure, ...]:
    """Find all that is wrong with the configuration `values`; unknown values pass."""
    failures = [_unknown_key(key) for key in values if key not in KEYS and key not in ENGINE_KEYS and not key.startswith("__")]
    for key in KEYS:
        value = values.get(key)
        if value is None or contains_unknown(value):
            continue
        text = _text(value)
        reason = "must be a string" if text is None else _reason(key, text)
        if reason:
            failures.append(Failure((key,), reason))
    return tuple(failures)


def _unknown_key(key: str) -> Failure:
    near = difflib.get_close_matches(key.lower(), [known.lower() for known in KEYS], n=1)
    meant = next((known for known in KEYS if near and known.lower() == near[0]), None)
    hint = f"did you mean {meant!r}?" if meant else f"known keys are {', '.join(KEYS)}"
    return Failure((key,), f"is no configuration key of {PACKAGE}; {hint}")


def _reason(key: str, text: str) -> str | None:
    if key == SECRET_KEY:
        return _key_reason(text)
    if key in ("baseUrl", "endpointBaseUrl"):
        return _url_reason(text)
    if key == "defaultUpdateStrategy" and text not in UPDATE_STRATEGIES:
        return f"must be one of {', '.join(map(repr, UPDATE_STRATEGIES))}, not {text!r}"
    if not text.strip():
        return "is empty; set a value or remove the key"
    return None


def _key_reason(text: str) -> str | None:
    key = text.strip()
    if not key:
        return f"is empty; set a key, or remove the setting so that {API_KEY_VARIABLE} counts"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "holds characters that cannot be part of an API key; copy it again from Runpod console → Settings → API Keys"
    return None


def _url_reason(text: str) -> str | None:
    """Say what is wrong with a base URL; the URL itself is not repeated, as it may hold a password."""
    try:
        parts = urlsplit(text.strip())
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as problem:
        return f"is not a URL: {problem}"
    if parts.scheme not in ("http", "https") or not has_host:
        return f"must be an http:// or https:// URL, such as {API_URL!r}"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or a password; the API key goes into apiKey"
    if parts.query or parts.fragment:
        return "must not hold a query or a fragment"
    return None


def difference(prior: Mapping[str, Any], planned: Mapping[str, Any]) -> tuple[Change, ...]:
    """Compare two configurations. Nothing replaces the provider: that would replace every resource it manages."""
    changes = []
    for key in sorted({*prior, *planned}):
        old, new = _comparable(prior.get(key)), _comparable(planned.get(key))
        if old is not UNKNOWN and not contains_unknown(new) and old == new:
            continue
        kind = Kind.ADD if old is None else Kind.DELETE if new is None else Kind.UPDATE
        changes.append(Change((key,), kind))
    return tuple(changes)


def _comparable(value: Any) -> Any:
    """Undo the JSON text form, so that `"5"` and 5, stored by different SDKs, are no change."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def resolve(values: Mapping[str, Any], environment: Mapping[str, str], home: FilePath) -> Configuration:
    """Complete the configured `values` from `environment` and `home`/.runpod/config.toml.

    The key: apiKey, else RUNPOD_API_KEY, else the file. The API: baseUrl, else RUNPOD_API_URL, else Runpod. The jobs' API:
    endpointBaseUrl, else RUNPOD_ENDPOINT_BASE_URL, else Runpod. Raises `CheckFailed` and `MissingKey`.
    """
    failures = [failure for failure in check(values) if failure.path[0] in KEYS]
    if failures:
        raise CheckFailed(failures)
    known = {key: text for key in KEYS if (text := _text(values.get(key)))}
    notes: list[str] = []
    api_key = known.get(SECRET_KEY, "").strip() or _key_from_environment(environment) or _key_from_file(home, notes)
    if not api_key:
        raise MissingKey
    strategy = cast(Literal["replace", "inPlace"], known.get("defaultUpdateStrategy", "replace"))
    return Configuration(
        api_key=api_key,
        base_url=_url(known.get("baseUrl"), API_URL_VARIABLE, environment, API_URL),
        endpoint_base_url=_url(known.get("endpointBaseUrl"), ENDPOINT_URL_VARIABLE, environment, ENDPOINT_URL),
        settings=Settings(default_datacenter=known.get("defaultDatacenter"), default_update_strategy=strategy),
        notes=tuple(notes),
    )


def _text(value: Any) -> str | None:
    """Read a configured value as text: SDKs send strings, or strings as JSON text. None for what is no text (or absent)."""
    if not isinstance(value, str):
        return None
    if value.startswith('"'):
        try:
            inner = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return inner if isinstance(inner, str) else value
    return value


def _url(configured: str | None, variable: str, environment: Mapping[str, str], default: str) -> str:
    """Choose a base URL. Runpod's own tools set the variables with or without the version, so `/v2` is added where it is missing."""
    if configured is not None:
        url = configured.strip().rstrip("/")
        return url if urlsplit(url).path else f"{url}/v2"
    url = environment.get(variable, "").strip().rstrip("/")
    if not url:
        return default
    reason = _url_reason(url)
    if reason:
        raise CheckFailed([Failure((), f"the environment variable {variable} {reason}")])
    return url if url.endswith("/v2") else f"{url}/v2"


def _key_from_environment(environment: Mapping[str, str]) -> str:
    key = environment.get(API_KEY_VARIABLE, "").strip()
    reason = _key_reason(key) if key else None
    if reason:
        raise CheckFailed([Failure((), f"the environment variable {API_KEY_VARIABLE} {reason}")])
    return key


def _key_from_file(home: FilePath, notes: list[str]) -> str:
    """Look for a key where `runpodctl` and Runpod's SDK keep it. What cannot be read is noted, not raised."""
    path = home / ".runpod" / "config.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as problem:
        notes.append(f"{path} was not read: {type(problem).__name__}")
        return ""
    parsed = _parse_toml(text, path, notes)
    default = parsed.get("default")
    for table in (parsed, default if isinstance(default, dict) else {}):
        for name in _FILE_KEYS:
            key = table.get(name)
            if isinstance(key, str) and key.strip():
                if _key_reason(key) is None:
                    return key.strip()
                notes.append(f"{name} in {path} is no API key")
    return ""


def _parse_toml(text: str, path: FilePath, notes: list[str]) -> dict[str, Any]:
    for parser in ("tomllib", "tomli"):  # Python 3.10 has no parser of its own
        try:
            loads = importlib.import_module(parser).loads
        except ModuleNotFoundError:
            continue
        try:
            parsed: dict[str, Any] = loads(text)
        except (ValueError, RecursionError):  # both parsers' errors are ValueErrors
            notes.append(f"{path} was not read: it is no valid TOML")
            return {}
        return parsed
    notes.append(f"{path} was not read: Python 3.10 needs the package tomli for it")
    return {}
