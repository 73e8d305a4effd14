"""The plugin's version. Python packages carry PEP 440 versions, the engine parses semver: the mapping lives here."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "pulumi-runpod-serverless"
UNKNOWN_VERSION: Final = "0.0.0+unknown"

_PEP_440 = re.compile(
    r"^(?P<release>\d+(\.\d+)*)((?P<pre>a|b|rc)(?P<pre_number>\d+))?(\.post(?P<post>\d+))?(\.dev(?P<dev>\d+))?(\+(?P<local>[A-Za-z0-9.]+))?$"
)
_PRE_RELEASES: Final = {"a": "alpha", "b": "beta", "rc": "rc"}


def to_semver(version: str) -> str:
    """Write a normalised PEP 440 version as semver (`1.2.0b1` is `1.2.0-beta.1`); what is neither becomes `0.0.0+unknown`."""
    match = _PEP_440.match(version)
    if match is None:
        return UNKNOWN_VERSION
    release = [*match["release"].split("."), "0", "0"][:3]
    pre = [_PRE_RELEASES[match["pre"]], match["pre_number"]] if match["pre"] else []
    if match["dev"] is not None:
        pre += ["dev", match["dev"]]
    build = ["post", match["post"]] if match["post"] is not None else []
    if match["local"]:
        build.append(match["local"])
    text = ".".join(str(int(part)) for part in release)
    if pre:
        text += "-" + ".".join(pre)
    if build:
        text += "+" + ".".join(build)
    return text


def plugin_version() -> str:
    """Give the installed distribution's version as semver; a source tree that is not installed has `0.0.0+unknown`."""
    try:
        return to_semver(metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        return UNKNOWN_VERSION
