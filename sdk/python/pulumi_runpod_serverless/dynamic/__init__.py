"""The resources through `pulumi.dynamic`: nothing to install but this wheel, and only for Python programs.

Arguments and outputs are those of the native resources. What the dynamic door cannot do (a detailed diff, `pulumi import`, `.get()`,
outputs in previews) is listed in the documentation. The names of this module and its classes are in every state: they never change.
"""

from __future__ import annotations

from typing import Any, NoReturn

import pulumi
import pulumi.dynamic
from pulumi.runtime._serialization import _serialize

from .. import endpoint, network_volume, pod_template, registry
from .provider import INPUTS_KEY, NAME_KEY, RunpodProvider

__all__ = ["Endpoint", "NetworkVolume", "PodTemplate", "Registry"]

_PROVIDER_KEY = pulumi.dynamic.dynamic.PROVIDER_KEY
_STRUCTURED = ("template",)
"""Inputs whose canonical form has another shape: a secret within must make them secret as a whole, as only names carry secretness."""


class _Dynamic(pulumi.dynamic.Resource):
    """Registers what a native class has prepared with the dynamic provider instead."""

    secret_outputs: tuple[str, ...] = ()

    def __init__(self, token: str, name: str, props: Any, opts: pulumi.ResourceOptions) -> None:
        """Take the call that the generated class makes to its base."""
        if opts.id is not None:
            _refuse_get(type(self).__name__)
        given = props.__dict__
        for key in [key for key, value in given.items() if key in _STRUCTURED or isinstance(value, list | tuple)]:
            if given[key] is not None:
                given[key] = pulumi.Output.from_input(given[key])
        blob, _ = _serialize(True, pulumi.dynamic.dynamic.serialize_provider, RunpodProvider(token))
        given[_PROVIDER_KEY] = pulumi.Output.secret(blob)
        given[INPUTS_KEY] = pulumi.Output.secret("")  # Check writes the program's own form here, secret by its name
        given[NAME_KEY] = name
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=list(self.secret_outputs)))
        opts.version = opts.plugin_download_url = None  # those of the native plugin
        pulumi.CustomResource.__init__(self, f"pulumi-python:{self._resource_type_name}", name, props, opts)


def _refuse_get(kind: str) -> NoReturn:
    raise TypeError(
        f"{kind}.get is not offered by the dynamic door; take pulumi_runpod_serverless.{kind}.get, or get_{kind.lower()}"
    )


class Endpoint(endpoint.Endpoint, _Dynamic, module="runpod-serverless", name="Endpoint"):
    """A serverless endpoint; see `pulumi_runpod_serverless.Endpoint`."""

    secret_outputs = ("image",)


class NetworkVolume(network_volume.NetworkVolume, _Dynamic, module="runpod-serverless", name="NetworkVolume"):
    """A network volume; see `pulumi_runpod_serverless.NetworkVolume`."""


class PodTemplate(pod_template.PodTemplate, _Dynamic, module="runpod-serverless", name="PodTemplate"):
    """A serverless template; see `pulumi_runpod_serverless.PodTemplate`."""

    secret_outputs = ("settings",)


class Registry(registry.Registry, _Dynamic, module="runpod-serverless", name="Registry"):
    """Container registry credentials; see `pulumi_runpod_serverless.Registry`."""
