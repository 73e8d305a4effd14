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

from .. import _inputs, endpoint, network_volume, pod_template, registry
from .provider import RunpodProvider

__all__ = ["Endpoint", "NetworkVolume", "PodTemplate", "Registry"]

PROVIDER_KEY: Final = pulumi.dynamic.dynamic.PROVIDER_KEY
NAME_KEY: Final = "__name"
"""The resource's name in the program, which the engine does not tell a dynamic provider."""
STACK_KEY: Final = "__stack"
"""Project and stack, which it does not tell either: without them the same name elsewhere would be the same resource."""
SECRETS_KEY: Final = "__secrets"
"""The paths of secret inputs, which it does not tell either: a property's name, and a key where only a part of an object is secret."""
_PICKLE_PROTOCOL: Final = 4
"""One for all Pythons: the default of each would change the blob with the interpreter."""


class _Dynamic(pulumi.dynamic.Resource):
    """Registers what a native class has prepared with the dynamic provider instead."""

    def __init__(self, token: str, name: str, props: Any, opts: pulumi.ResourceOptions) -> None:
        """Take the call that the generated class makes to its base."""
        if opts.id is not None or opts.import_ is not None:
            _refuse("options `id` and `import_`", type(self).__name__)
        blob = base64.b64encode(pickle.dumps(RunpodProvider(token), _PICKLE_PROTOCOL)).decode()
        given = props.__dict__
        secrets: pulumi.Output[list[list[str]]] = pulumi.Output.from_input(_secret_paths(dict(given)))
        stack = f"{pulumi.get_stack()}::{pulumi.get_project()}"
        given |= {PROVIDER_KEY: pulumi.Output.secret(blob), NAME_KEY: name, STACK_KEY: stack, SECRETS_KEY: secrets}
        opts.version = opts.plugin_download_url = None  # those of the native plugin
        pulumi.CustomResource.__init__(self, f"pulumi-python:{self._resource_type_name}", name, props, opts)


async def _secret_paths(given: Mapping[str, Any]) -> list[list[str]]:
    """Wait for all inputs, as the registration does, and find those that the engine will know as secret."""
    found = []
    for name, value in given.items():
        if value is None or not await pulumi.Output.from_input(value).is_secret():
            continue
        parts = value if isinstance(value, Mapping) else vars(value) if type(value).__module__ == _inputs.__name__ else {}
        secret = [key for key, part in parts.items() if await pulumi.Output.from_input(part).is_secret()]
        # A key is a name of ours in an object, and the program's own in a map.
        found += [[_camel(name), spelled] for key in secret for spelled in sorted({key, _camel(key)})] or [[_camel(name)]]
    return found


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda match: match[1].upper(), name)


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
