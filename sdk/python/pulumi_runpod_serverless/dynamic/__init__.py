"""The resources through `pulumi.dynamic`: nothing to install but this wheel, and only for Python programs.

Arguments and outputs are those of the native resources. What the dynamic door cannot do (a detailed diff, `pulumi import`, `.get()`,
outputs in previews) is listed in the documentation. The names of this module and its classes are in every state: they never change.
"""

from __future__ import annotations

import base64
import pickle
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import pulumi
import pulumi.dynamic

from .. import endpoint, network_volume, pod_template, registry
from .provider import RunpodProvider

__all__ = ["Endpoint", "NetworkVolume", "PodTemplate", "Registry"]

PROVIDER_KEY: Final = pulumi.dynamic.dynamic.PROVIDER_KEY
NAME_KEY: Final = "__name"
"""The resource's name in the program, which the engine does not tell a dynamic provider."""
SECRETS_KEY: Final = "__secrets"
"""The names of the inputs that hold a secret, which it does not tell either; with `PART_MARK` where the input is a map or list of which
only a part is secret."""
PART_MARK: Final = ".*"
_PICKLE_PROTOCOL: Final = 4
"""One for all Pythons: the default of each would change the blob with the interpreter."""


class _Dynamic(pulumi.dynamic.Resource):
    """Registers what a native class has prepared with the dynamic provider instead."""

    def __init__(self, token: str, name: str, props: Any, opts: pulumi.ResourceOptions) -> None:
        """Take the call that the generated class makes to its base."""
        if opts.id is not None or opts.import_ is not None:
            _refuse("the options `id` and `import_`", type(self).__name__)
        blob = base64.b64encode(pickle.dumps(RunpodProvider(token), _PICKLE_PROTOCOL)).decode()
        given = props.__dict__
        secrets: pulumi.Output[list[str]] = pulumi.Output.from_input(_secret_names(dict(given)))
        given |= {PROVIDER_KEY: pulumi.Output.secret(blob), NAME_KEY: name, SECRETS_KEY: secrets}
        opts.version = opts.plugin_download_url = None  # those of the native plugin
        pulumi.CustomResource.__init__(self, f"pulumi-python:{self._resource_type_name}", name, props, opts)


async def _secret_names(given: Mapping[str, Any]) -> list[str]:
    """Wait for all inputs, as the registration does, and name those with secrets as the engine does."""
    found = []
    for name, value in given.items():
        if value is not None and await pulumi.Output.from_input(value).is_secret():
            mark = "" if isinstance(value, pulumi.Output) else PART_MARK
            found.append(re.sub("_(.)", lambda match: match[1].upper(), name) + mark)
    return found


def _refuse(what: str, kind: str) -> NoReturn:
    raise TypeError(
        f"dynamic.{kind} has no {what}: the engine reads only dynamic resources that it has in its state. Take "
        f"pulumi_runpod_serverless.{kind}, which has; docs/dynamic.md shows how a resource moves from there to here."
    )


class Endpoint(endpoint.Endpoint, _Dynamic, module="runpod-serverless", name="Endpoint"):
    """A serverless endpoint; see `pulumi_runpod_serverless.Endpoint`."""

    @staticmethod
    def get(resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> NoReturn:
        """Refuse."""
        _refuse("`get`", "Endpoint")


class NetworkVolume(network_volume.NetworkVolume, _Dynamic, module="runpod-serverless", name="NetworkVolume"):
    """A network volume; see `pulumi_runpod_serverless.NetworkVolume`."""

    @staticmethod
    def get(resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> NoReturn:
        """Refuse."""
        _refuse("`get`", "NetworkVolume")


class PodTemplate(pod_template.PodTemplate, _Dynamic, module="runpod-serverless", name="PodTemplate"):
    """A serverless template; see `pulumi_runpod_serverless.PodTemplate`."""

    @staticmethod
    def get(resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> NoReturn:
        """Refuse."""
        _refuse("`get`", "PodTemplate")


class Registry(registry.Registry, _Dynamic, module="runpod-serverless", name="Registry"):
    """Container registry credentials; see `pulumi_runpod_serverless.Registry`."""

    @staticmethod
    def get(resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> NoReturn:
        """Refuse."""
        _refuse("`get`", "Registry")
