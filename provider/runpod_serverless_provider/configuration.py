"""The provider's own configuration, for both doors: what may be set, how it is checked, and where a missing value comes from.

Only what the user wrote is ever stored. Keys and addresses from the environment are resolved at Configure, so that they are never in
the state, and a rotated key counts at once.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final, Literal, cast

from .api import access
from .backend import find_backend, pulumi_home
from .core.failures import CheckFailed, Failure, NotConfigured
from .core.settings import API_KEY, BASE_URL, CONFIGURATION, DEFAULT_DATACENTER, DEFAULT_UPDATE_STRATEGY, ENDPOINT_BASE_URL
from .core.values import contains_unknown
from .core.verbs import Change, Kind, Settings
from .core.version import DISTRIBUTION

KEYS: Final = tuple(item.name for item in CONFIGURATION)
SECRET_PATHS: Final = frozenset((item.name,) for item in CONFIGURATION if item.is_secret)
VERSION_KEY: Final = "version"
# The engine's own: `version` is in every CheckConfig, and older states carry the others bare.
ENGINE_KEYS: Final = frozenset({VERSION_KEY, "pluginDownloadURL", "pluginChecksums"})
_STRATEGIES: Final = ("replace", "inPlace")

PACKAGE: Final = "runpod-serverless"
"""As `core.resource` has it, which would bring all models with it: a plugin that only gives its schema starts without them."""
MISSING_KEY_NAME: Final = f"{PACKAGE}:{API_KEY.name}"
MISSING_KEY_HELP: Final = (
    "A Runpod API key (Runpod console → Settings → API Keys). Set it with "
    f"`pulumi config set --secret {MISSING_KEY_NAME}`, or in the environment variable {API_KEY.variable}, "
    "or as `apikey` in ~/.runpod/config.toml"
)


class MissingKey(NotConfigured):
    """No API key is configured, and none is where one is looked for."""

    def __init__(self) -> None:
        super().__init__(f"missing required configuration key {MISSING_KEY_NAME}: {MISSING_KEY_HELP}")


@dataclass(frozen=True)
class Configuration:
    """All that is needed to connect, and to keep a journal: where Pulumi has its files, and its backend, None where that is not known.

    `notes` are debug remarks of the search for a key.
    """

    api_key: str = field(repr=False)
    base_url: str
    jobs_url: str
    settings: Settings
    pulumi_home: FilePath
    backend: str | None
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
    if key == API_KEY.name:
        return access.key_reason(text)
    if key in (BASE_URL.name, ENDPOINT_BASE_URL.name):
        return access.api_url_reason(text)
    if key == DEFAULT_UPDATE_STRATEGY.name and text not in _STRATEGIES:
        return f"must be one of {', '.join(map(repr, _STRATEGIES))}, not {text!r}"
    if not text.strip():
        return "is empty; set a value or remove the key"
    return None


def version_remark(requested: Any, actual: str) -> str | None:
    """Say what to do where the program's SDK asks for another version than the one that runs.

    The engine takes whatever plugin is on PATH. Of an older one it says only that the wrong version may be there, of a newer one nothing.
    """
    if not isinstance(requested, str) or requested.partition("+")[0] == actual.partition("+")[0]:
        return None
    return (
        f"this program asks for {DISTRIBUTION} {requested}, the version of its SDK, but the plugin that serves it is {actual}, from "
        f"{sys.prefix}: the two are made for each other. Upgrade the older one with `pip install --upgrade {DISTRIBUTION}`; a plugin that "
        "is not on PATH is renewed with `runpod-serverless install-plugin`"
    )


def difference(prior: Mapping[str, Any], planned: Mapping[str, Any]) -> tuple[Change, ...]:
    """Compare two configurations. Nothing replaces the provider: that would replace every resource it manages."""
    changes = []
    for key in sorted({*prior, *planned}):
        old, new = prior.get(key), planned.get(key)
        if not contains_unknown(new) and (old == new or _comparable(old) == _comparable(new)):
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
    """Complete the configured `values` from `environment` and `home`/.runpod/config.toml; what is not known counts as not set.

    Raises CheckFailed and MissingKey.
    """
    failures = [failure for failure in check(values) if failure.path[0] in KEYS]
    if failures:
        raise CheckFailed(failures)
    known = {key: text for key in KEYS if (text := _text(values.get(key)))}
    api_key, notes = access.find_api_key(known.get(API_KEY.name), environment, home)
    if not api_key:
        raise MissingKey
    strategy = cast(Literal["replace", "inPlace"], known.get(DEFAULT_UPDATE_STRATEGY.name, "replace"))
    return Configuration(
        api_key=api_key,
        base_url=access.find_api_url(known.get(BASE_URL.name), environment),
        jobs_url=access.find_jobs_url(known.get(ENDPOINT_BASE_URL.name), environment),
        settings=Settings(default_datacenter=known.get(DEFAULT_DATACENTER.name), default_update_strategy=strategy),
        pulumi_home=pulumi_home(environment, home),
        backend=find_backend(environment, FilePath.cwd(), home),
        notes=notes,
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
