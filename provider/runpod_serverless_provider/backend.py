"""Which Pulumi backend the run works for, where equal URNs mean one resource. The engine does not tell; it is found as the CLI does."""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_CLOUD: Final = "https://api.pulumi.com"
_FILE: Final = "file://"


def pulumi_home(environment: Mapping[str, str], home: Path) -> Path:
    """Return where Pulumi keeps its own files: `PULUMI_HOME`, else `~/.pulumi`."""
    return Path(environment.get("PULUMI_HOME") or home / ".pulumi")


def find_backend(environment: Mapping[str, str], directory: Path, home: Path) -> str | None:
    """Return a name for the backend, the same for each spelling of its URL; None where it is not known.

    In the CLI's order: `PULUMI_BACKEND_URL`, the project's `backend.url`, the login that `credentials.json` calls current, and the
    service for whoever has only a token. `directory` is the working directory, in or below the project's. A service is known together
    with the account's only organization.
    """
    logins = _logins(environment, home)
    url = environment.get("PULUMI_BACKEND_URL") or _of_project(directory) or _text(logins, "current")
    token = environment.get("PULUMI_ACCESS_TOKEN")
    if not url and token:
        url = environment.get("PULUMI_API") or _CLOUD
    if not url:
        return None
    place, mark, query = url.partition("?")
    if place.startswith(_FILE):
        return _of_files(place.removeprefix(_FILE), query, environment, directory, home)
    url = place.removesuffix("/") + mark + query
    if not url.startswith(("http://", "https://")):
        return url
    organization = _only_organization(logins, url, token)
    return None if organization is None else f"{url}/{organization}"


def _of_files(place: str, query: str, environment: Mapping[str, str], directory: Path, home: Path) -> str | None:
    """Return the URL of a directory.

    A relative path is relative to where the CLI was called. That may be elsewhere than `directory`, which the engine has chosen, and is
    not known then.
    """
    if place.startswith("~"):
        place = str(home / place[2:])  # "~/", and the CLI takes any other letter for the slash
    if not Path(place).is_absolute():
        called = environment.get("PWD")
        if called and os.path.realpath(called) != os.path.realpath(directory):
            return None
    path = Path(os.path.realpath(os.path.normpath(directory / unquote(re.sub("^/+", "/", place)))))
    options = "&".join(sorted(part for part in query.split("&") if not part.startswith("no_tmp_dir=")))
    return path.as_uri() + (f"?{options}" if options else "")


def _only_organization(logins: Any, url: str, token: str | None) -> str | None:
    """Return the organization of who is logged in, which no URN names; None where there are several, or the login is of another token."""
    accounts = logins.get("accounts") if isinstance(logins, Mapping) else None
    account = accounts.get(url) if isinstance(accounts, Mapping) else None
    if not isinstance(account, Mapping) or (token and account.get("accessToken") != token):
        return None
    organizations = account.get("organizations") or [account.get("username")]
    if not isinstance(organizations, list) or len(organizations) != 1:
        return None
    return _text(organizations[0]) or None


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


def _logins(environment: Mapping[str, str], home: Path) -> Any:
    """Read what the CLI keeps of its logins. Where it keeps them encrypted they tell nothing."""
    directory = environment.get("PULUMI_CREDENTIALS_PATH") or pulumi_home(environment, home)
    try:
        return json.loads(Path(directory, "credentials.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _text(value: Any, *keys: str) -> str | None:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None
