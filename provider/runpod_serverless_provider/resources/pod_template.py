"""Serverless templates: container settings under a name, which endpoints copy, or merge through `settings`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ..core.deletions import Deletions
from ..core.failures import ApiProblem, Failure
from ..core.model import At, AutoNamed, Default, EnumName, Inputs, Leaves, Lookup, Outputs, Spelled, Updates, nest
from ..core.ports import Voice
from ..core.resource import Resource, Task
from ..core.session import Session
from ..core.values import Path
from . import forms
from .bound_templates import BoundTemplates, is_bound, owner_of
from .endpoint import Endpoint, PodTemplateSettings
from .enums import one_of

_SETTINGS: Final = ("image", "containerDiskInGb", "env", "args", "ports", "registryAuthId")
_OWNER_PAUSES_SECONDS: Final = (0.5, 1.5, 3.0, 5.0)
_LATER: Final = "endpoints that were made with its id keep their copy"


def _managed_image(lookup: Lookup) -> str | None:
    """Choose Flash's queue worker for the category; there is none for AMD."""
    return {"NVIDIA": "runpod/flash:py3.12-latest", "CPU": "runpod/flash-cpu:py3.12-latest"}.get(str(lookup("category")))


class PodTemplateInputs(Inputs):
    """What a program says of a template."""

    name: Annotated[forms.Text | None, AutoNamed(), Updates()] = None
    """Name, unique in the account."""
    category: Annotated[
        Literal["NVIDIA", "AMD", "CPU"] | None,
        EnumName("TemplateCategory", "Hardware that a template is for."),
        Updates(),
        Default(lambda lookup: "NVIDIA", "`NVIDIA`", is_certain=True),
    ] = None
    """Hardware that the template is for."""
    image: Annotated[
        forms.Text | None,
        Updates(_LATER),
        Default(_managed_image, "the managed Flash worker image for `category`; none for `AMD`", ("category",)),
    ] = None
    """Container image."""
    container_disk_in_gb: Annotated[
        int | None, At("disk"), Updates(_LATER), Default(lambda lookup: 64, "64", is_certain=True), Field(ge=1)
    ] = None
    """Container disk in GB, wiped when a worker stops."""
    env: Annotated[
        forms.Env | None,
        At("env", clear={}),
        Spelled(
            one_of(
                {"type": "object", "additionalProperties": {"type": "string"}},
                {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
            )
        ),
        Updates(_LATER),
    ] = None
    """Environment variables, as a map or as Flash's list of `{key, value}`."""
    args: Annotated[str | None, At("args", clear=""), Updates(_LATER)] = None
    """Arguments for the container's entrypoint."""
    ports: Annotated[forms.Ports | None, At("ports", clear=[], read=lambda ports: sorted(ports)), Updates(_LATER)] = None
    """Exposed ports with their protocol, such as `8000/http`."""
    registry_auth_id: Annotated[forms.Text | None, At("registry", clear=None), Updates(_LATER)] = None
    """ID of the registry credentials with which a private image is pulled."""
    public: Annotated[bool | None, Updates(), Default(lambda lookup: False, "`false`", is_certain=True)] = None
    """Can other Runpod users see the template?"""
    serverless: Annotated[bool | None, Updates(), Default(lambda lookup: True, "`true`", is_certain=True)] = None
    """Is the template for endpoints? Always `true`, so that a change by somebody else is drift and is repaired."""
    allowed_cuda_versions: Annotated[
        forms.CudaVersions | None,
        At("allowedCudaVersions", clear=[], read=lambda versions: sorted(versions)),
        Updates(_LATER),
    ] = None
    """CUDA versions (`major.minor`) of hosts for endpoints that are made with this template's id."""


class PodTemplateOutputs(Outputs):
    """What a template has beyond its inputs."""

    settings: Annotated[PodTemplateSettings, Updates()]
    """What the program set of the container, for an endpoint's `template`: a change of the template then shows in each endpoint's plan.

    Where only `pulumi up` will know a part, a preview takes all of it for unknown and shows an update with a warning that it may replace.
    Passed one by one (`settings.image`, `settings.env.NAME`), the other parts stay known in programs that are not YAML."""


class PodTemplate(Resource):
    """Serverless templates (`createTemplate`, `getTemplate`, `updateTemplate`, `deleteTemplate`)."""

    name = "PodTemplate"
    noun = "template"
    path = "/templates"
    list_key = "templates"
    also_changes = ("/serverless",)  # an endpoint's own template is the same object
    plural = "PodTemplates"
    may_be_secret = ("env", "settings")
    inputs = PodTemplateInputs
    outputs = PodTemplateOutputs

    def rules(self, planned: Leaves, defaulted: frozenset[str], session: Session) -> Iterator[Failure]:
        """Ask for the image that no default brings."""
        if planned.get(("category",)) == "AMD" and ("image",) not in planned:
            yield Failure(("image",), "is required for category AMD, for which there is no managed image")
        if planned.get(("serverless",)) is False:
            yield Failure(("serverless",), "is always true: this resource is for templates of endpoints; leave it out")

    async def before_reading(
        self, found: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any], session: Session, voice: Voice
    ) -> None:
        """Warn where a template for pods is taken over, which is no look-up's answer."""
        if managed is None and not found.get("serverless"):
            await voice.warn(
                f"{found.get('name')!r} is a template for pods, of which no endpoint can be made; the next `pulumi up` makes it one for "
                "endpoints, and pods can then no longer be made from it"
            )

    def stated(self, observed: Leaves, found: Mapping[str, Any]) -> dict[str, Any]:
        """State a template as a program would, which is always one for endpoints."""
        return {name: value for name, value in super().stated(observed, found).items() if name != "serverless"}

    def derived(self, leaves: Leaves, defaulted: frozenset[str]) -> dict[str, Any]:
        """Return the settings that the program stated."""
        stated = {path: value for path, value in leaves.items() if path[0] in _SETTINGS and path[0] not in defaulted}
        return {"settings": nest(stated)}

    def secrets(self, given: frozenset[Path]) -> frozenset[Path]:
        """Carry secrets over to `settings`."""
        return super().secrets(given) | {("settings", *path) for path in given if path and path[0] in _SETTINGS}

    def secret_observed(self, observed: Leaves) -> frozenset[Path]:
        """Take every environment variable for secret that no program stated, unless it is empty."""
        return frozenset(path for path, value in observed.items() if value and path[0] == "env")

    def observe(
        self, found: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any], session: Session
    ) -> dict[Path, Any]:
        """Translate the API's template; variables that somebody else added count where the program sets any."""
        observed = super().observe(found, managed, outputs, session)
        if managed is not None and any(path[0] == "env" for path in managed):
            observed.update({("env", key): value for key, value in (found.get("env") or {}).items()})
        return observed

    async def goes_with_another(self, id: str, problem: ApiProblem, task: Task) -> bool:
        """Wait, for 10 s beyond what this process deletes, for the endpoint that takes its own template along.

        Nothing orders the two deletes where a program imported the template, so the engine sends them together.
        """
        name, api = str(task.planned.get(("name",))), task.session.api
        if problem.status != 400 or not is_bound(name):
            return False
        await task.voice.status(f"waiting for the delete of the endpoint {owner_of(name)!r}, which takes this template along")
        for seconds in _OWNER_PAUSES_SECONDS:
            await api.pause(seconds)
            await task.session.part(Deletions).settle(Endpoint.path)
            if api.is_stopped:
                return False
            try:
                await api.request("GET", f"{self.path}/{id}", voice=task.voice)
            except ApiProblem as answer:
                if answer.status == 404:
                    return True
        return False

    def noted(self, id: str, properties: Mapping[str, Any], session: Session) -> None:
        """Remember the templates of endpoints, which go with these."""
        session.part(BoundTemplates).note(id, properties.get("name"))

    def hidden_as(self, found: Mapping[str, Any]) -> str:
        """Leave out templates for pods, and the hidden ones that belong to one endpoint each and go with it."""
        name = str(found.get("name", ""))
        if is_bound(name):
            return f"the own template of the endpoint {owner_of(name)!r}; look that up with getEndpoint"
        return "" if found.get("serverless") else "a template for pods, of which no endpoint can be made"

    def advice(self, problem: ApiProblem, task: Task, replacement: Task | None) -> str:
        """Translate refusals for the name, and for a template that is in use."""
        said, name = problem.detail.lower(), str(task.planned.get(("name",)))
        if "unique" in said or "already in use" in said:
            return f"Template names are unique in an account: choose another than {name!r}, or leave it out."
        if is_bound(name):
            return f"It is the own template of the endpoint {owner_of(name)!r} and goes with that: delete the endpoint, and run this again."
        if "in use" in said or "referenced" in said:
            return "Delete the pods that were made from it (their pages in the Runpod console name their template), and run this again."
        return ""
