"""The properties of the provider itself: what may be configured, said once for the schema, the README and every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ConfigurationProperty:
    """One property. `variable` is the environment variable that serves where it is not set."""

    name: str
    description: str
    default: str
    variable: str = ""
    enum: str = ""
    is_secret: bool = False


API_KEY: Final = ConfigurationProperty(
    "apiKey",
    "Runpod API key (Runpod console, Settings, API Keys). A key from the environment or the file is never stored in the state.",
    "`RUNPOD_API_KEY`, else `~/.runpod/config.toml`",
    variable="RUNPOD_API_KEY",
    is_secret=True,
)
BASE_URL: Final = ConfigurationProperty(
    "baseUrl",
    "Base URL of the Runpod REST API, with or without `/v2`.",
    "`RUNPOD_API_URL`, else `https://api.runpod.io/v2`",
    variable="RUNPOD_API_URL",
)
ENDPOINT_BASE_URL: Final = ConfigurationProperty(
    "endpointBaseUrl",
    "Base URL of the API that takes jobs. `drainSeconds` asks it.",
    "`RUNPOD_ENDPOINT_BASE_URL`, else `https://api.runpod.ai/v2`",
    variable="RUNPOD_ENDPOINT_BASE_URL",
)
DEFAULT_DATACENTER: Final = ConfigurationProperty(
    "defaultDatacenter", "Data center of endpoints that name none and mount no volume.", "`EU-RO-1`", enum="DataCenter"
)
DEFAULT_UPDATE_STRATEGY: Final = ConfigurationProperty(
    "defaultUpdateStrategy", "`updateStrategy` of endpoints that name none.", "`replace`", enum="UpdateStrategy"
)
CONFIGURATION: Final = (API_KEY, BASE_URL, ENDPOINT_BASE_URL, DEFAULT_DATACENTER, DEFAULT_UPDATE_STRATEGY)
