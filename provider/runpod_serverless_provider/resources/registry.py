"""Container registry credentials, with which private images are pulled."""

from __future__ import annotations

from typing import Annotated, Final

from ..core.model import AutoNamed, Inputs, Outputs, Recreates, Secret, WriteOnly
from ..core.resource import Resource
from . import forms

_NO_PATCH: Final = "the API cannot change credentials"


class RegistryInputs(Inputs):
    """What a program says of credentials."""

    name: Annotated[forms.Text | None, AutoNamed(), Recreates(_NO_PATCH, is_patchable=False)] = None
    """Name in the Runpod console."""
    username: Annotated[forms.Text | None, WriteOnly(), Recreates(_NO_PATCH, is_patchable=False)] = None
    """User of the registry. Required to create; the API never returns it."""
    password: Annotated[forms.Text | None, Secret(), WriteOnly(), Recreates(_NO_PATCH, is_patchable=False)] = None
    """Password or token of the user. Required to create; the API never returns it."""


class RegistryOutputs(Outputs):
    """Credentials have nothing beyond their inputs; the id is what `registryAuthId` takes."""


class Registry(Resource):
    """Container registry credentials (`createRegistry`, `getRegistry`, `deleteRegistry`). Every change replaces them."""

    name = "Registry"
    noun = "registry"
    path = "/registries"
    list_key = "registries"
    plural = "Registries"
    may_be_secret = ("password",)
    inputs = RegistryInputs
    outputs = RegistryOutputs
