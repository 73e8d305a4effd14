"""The serverless endpoint: Flash's parameters on the API's `/serverless`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ..core.failures import ApiProblem, CheckFailed, Failure
from ..core.model import (
    At,
    AutoNamed,
    Brings,
    Default,
    DerivedFrom,
    EnumName,
    Inputs,
    Leaves,
    Lookup,
    Outputs,
    Recreates,
    Secret,
    Spelled,
    StateOnly,
    Updates,
    Wanted,
    below,
    nest,
)
from ..core.plan import Step
from ..core.ports import Voice
from ..core.resource import PACKAGE, Resource, Task
from ..core.session import Session
from ..core.settings import DEFAULT_DATACENTER
from ..core.validation import did_you_mean
from ..core.values import BROKEN, UNKNOWN, Path, render_path
from . import forms
from .bound_templates import BoundTemplates
from .catalog import ANY, DEFAULT_DATA_CENTER, Catalog, Cpus, select, words_for
from .draining import drain
from .enums import one_of, one_or_many, reference, word_of
from .known_volumes import KnownVolumes
from .readiness import makes_release, unready, version_of

PYTHON_VERSIONS: Final = ("3.10", "3.11", "3.12", "3.13")
_MANAGED_CUDA_FLOOR: Final = "12.8"
_DISK_GB: Final = 64
_LONGEST_TIMEOUT_MS: Final = 7 * 24 * 3600 * 1000
_PLATFORM_KEYS: Final = ("PORT", "PORT_HEALTH")
_OF_FLASH: Final = "workers, as the parameter reference of Flash has it"
_WORKERS: Final = f"recreates {_OF_FLASH}"


def _without_own_image(lookup: Lookup) -> bool:
    return not any(lookup(name) for name in ("image", "templateId", "template.image"))


def _managed_image(lookup: Lookup) -> str | None:
    """Choose Flash's worker image, where no other is given."""
    return _worker_image(lookup("type"), bool(lookup("cpu")), lookup("pythonVersion")) if _without_own_image(lookup) else None


def _worker_image(kind: Any, has_cpu: bool, python: Any) -> str:
    return f"runpod/flash{'-lb' if kind == 'LOAD_BALANCER' else ''}{'-cpu' if has_cpu else ''}:py{python}-latest"


def _is_managed(image: str | None) -> bool:
    return image is not None and re.match(r"runpod/flash(-lb)?(-cpu)?:py", image) is not None


def _disk(lookup: Lookup) -> int | None:
    if lookup("templateId"):
        return None
    if not lookup("cpu"):
        return _DISK_GB
    limit = forms.disk_limit_gb(lookup("cpu"))
    return None if limit is None else min(_DISK_GB, limit)


def _data_center(lookup: Lookup) -> Any:
    centers = lookup.session.part(KnownVolumes).data_centers(lookup("volume") or ())
    if centers:
        return sorted(set(centers))
    return lookup.session.settings.default_datacenter or DEFAULT_DATA_CENTER


def _cuda_floor(lookup: Lookup) -> str | None:
    is_free = not lookup("cpu") and not lookup("allowedCudaVersions")
    return _MANAGED_CUDA_FLOOR if is_free and lookup("pythonVersion") and _is_managed(lookup("image")) else None


def _idle_timeout(lookup: Lookup) -> int | None:
    return None if lookup("type") == "QUEUE" and lookup("scalerType") == "REQUEST_COUNT" else 60


class Workers(Inputs):
    """How many workers an endpoint may have."""

    min: Annotated[int, At("workers", "min"), Updates(), Field(ge=0)] = 0
    """Workers that are always on, and always paid for. Default 0."""
    max: Annotated[int, At("workers", "max"), Updates(), Field(ge=0)]
    """Workers at most. The sum over all endpoints counts against the account's worker quota (5 by default)."""


class PodTemplateSettings(Inputs):
    """Container settings beside the image. An endpoint's own `env` and `image` win over those given here."""

    container_disk_in_gb: Annotated[
        int | None,
        At("disk"),
        Recreates(f"the container disk is set up with the worker, and another size {_WORKERS}"),
        Default(_disk, "64 for GPU; for CPU the smaller of 64 and the smallest limit of the listed sizes", ("cpu", "templateId")),
        Field(ge=1),
    ] = None
    """Container disk in GB, wiped when a worker stops. CPU: at most vCPUs × 10 GB (cpu3c, cpu3g) or × 15 GB (cpu5c)."""
    env: Annotated[
        forms.Env | None,
        At("env", clear={}),
        Updates(),
        Wanted("a map, or a list of {key, value}"),
        Spelled(
            one_of(
                {"type": "object", "additionalProperties": {"type": "string"}},
                {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
            )
        ),
    ] = None
    """Environment variables, as a map or as Flash's list of `{key, value}`."""
    args: Annotated[str | None, At("args", clear=""), Recreates("the start command is part of the worker")] = None
    """Arguments for the container's entrypoint."""
    ports: Annotated[
        forms.Ports | None,
        At("ports", clear=[], read=lambda ports: sorted(ports)),
        Recreates("exposed ports are part of the worker"),
    ] = None
    """Exposed ports with their protocol, such as `8000/http`. A load balancer also needs `PORT` in `env`."""
    registry_auth_id: Annotated[
        forms.Text | None, At("registry", clear=None), Recreates("the image is pulled with other credentials")
    ] = None
    """ID of the registry credentials with which a private image is pulled."""
    image: Annotated[forms.Text | None, At("image"), Recreates(f"another image {_WORKERS}")] = None
    """Container image, where the endpoint's own `image` names none."""


class EndpointInputs(Inputs):
    """What a program says of an endpoint. Declared in the order in which defaults follow from each other."""

    name: Annotated[forms.Text | None, AutoNamed(), Updates("the endpoint keeps its id and its URLs")] = None
    """Name in the Runpod console; need not be unique."""
    type: Annotated[
        Literal["QUEUE", "LOAD_BALANCER"] | None,
        EnumName("EndpointType", "How requests reach workers: through a queue of jobs, or straight through a load balancer."),
        Recreates("the API cannot change how requests are routed", is_patchable=False),
        Default(lambda lookup: "QUEUE", "`QUEUE`", is_certain=True),
    ] = None
    """How requests reach workers: `QUEUE` (jobs) or `LOAD_BALANCER` (straight HTTP)."""
    cpu: Annotated[
        forms.CpuWords | None,
        At("cpu", write=forms.cpu_to_api, read=forms.cpu_from_api),
        Spelled(one_or_many(word_of("CpuInstanceType"))),
        Recreates(f"another CPU instance {_WORKERS}", is_presence_fixed=True),
    ] = None
    """CPU size, or list of sizes, such as `cpu5c-4-8`: flavor, vCPUs (a power of two from 2) and GB of memory. Excludes `gpu`.

    The memory is the catalog's for the flavor and is not compared."""
    gpu: Annotated[
        forms.GpuWords | None,
        At("gpu", is_written=False, is_read=False),
        Spelled(one_or_many(word_of("GpuGroup", "GpuType"))),
        Recreates(f"other GPUs recreate {_OF_FLASH}", is_presence_fixed=True),
        Default(lambda lookup: None if lookup("cpu") else ANY, "`any`, unless `cpu` is given", ("cpu",)),
    ] = None
    """GPU groups (pools) and GPU types that workers may run on, one or a list. Excludes `cpu`.

    A type selects its pool and excludes the pool's other cards. The order means nothing: Runpod places a worker wherever there is
    capacity. `any` is all serverless pools as of the creation; pools that appear later are no change."""
    gpu_count: Annotated[
        int | None,
        At("gpu", "count"),
        Recreates(f"another number of GPUs {_WORKERS}"),
        Default(lambda lookup: None if lookup("cpu") else 1, "1", ("cpu",)),
        Field(ge=1),
    ] = None
    """GPUs per worker, at least 1."""
    volume: Annotated[
        forms.VolumeIds | None,
        At("networkVolumes", clear=[], read=lambda ids: sorted(ids)),
        Spelled(one_or_many([{"type": "string"}, {"$ref": "#/resources/runpod-serverless:index:NetworkVolume"}])),
        Recreates(f"other storage {_WORKERS}"),
    ] = None
    """Network volume or volumes (resources or ids), mounted at `/runpod-volume/`. At most one for each data center."""
    datacenter: Annotated[
        forms.DataCenterWords | None,
        At("dataCenterIds", write=forms.data_centers_to_api, read=forms.data_centers_from_api),
        Spelled(one_or_many(word_of("DataCenter"))),
        Recreates(f"another data center {_WORKERS}"),
        Default(
            _data_center,
            "the volumes' data centers, else the provider's `defaultDatacenter`, else `EU-RO-1`",
            ("volume",),
            is_certain=True,
        ),
    ] = None
    """Data center or data centers that workers may run in; `any` lets the scheduler choose."""
    workers: Annotated[
        Workers | None,
        forms.WorkersForm,
        Wanted("a whole number, or an object {min, max}"),
        Spelled(one_of({"type": "integer"}, reference("Workers"))),
        Updates(),
        Default(lambda lookup: {"min": 0, "max": 1}, "`{min: 0, max: 1}`", is_certain=True),
    ] = None
    """Workers at most (a number, with none always on), or `{min, max}`."""
    scaler_type: Annotated[
        Literal["QUEUE_DELAY", "REQUEST_COUNT"] | None,
        EnumName("ScalerType", "What makes Runpod add workers: how long requests wait, or how many there are."),
        At("scaling", "type"),
        Updates(),
        Default(
            lambda lookup: "REQUEST_COUNT" if lookup("type") == "LOAD_BALANCER" else "QUEUE_DELAY",
            "`QUEUE_DELAY` for a queue, `REQUEST_COUNT` for a load balancer",
            ("type",),
            is_certain=True,
        ),
    ] = None
    """What makes Runpod add workers. A load balancer knows only `REQUEST_COUNT`."""
    scaler_value: Annotated[
        forms.Number | None,
        At("scaling", "value", read=forms.whole_or_not),
        Updates(),
        Default(lambda lookup: 4, "4", is_certain=True),
    ] = None
    """With `QUEUE_DELAY`: seconds that a request may wait, at least 0.5. With `REQUEST_COUNT`: requests for each worker, a whole number
    from 1."""
    idle_timeout: Annotated[
        int | None,
        At("workers", "idleTimeout"),
        Updates(),
        Default(_idle_timeout, "60; none for a queue with `REQUEST_COUNT`, which has no such setting", ("type", "scalerType")),
        Field(ge=1, le=3600),
    ] = None
    """Seconds that a worker stays up after a request, 1 to 3600."""
    execution_timeout_ms: Annotated[
        int | None, At("timeout"), Updates(), Default(lambda lookup: 0, "0 (no limit)", is_certain=True)
    ] = None
    """Milliseconds that a job may run: 0 for no limit, else 5000 to 604800000 (7 days)."""
    flashboot: Annotated[
        Literal["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"] | None,
        forms.FlashBootForm,
        Wanted("true, false, 'OFF', 'FLASHBOOT' or 'PRIORITY_FLASHBOOT'"),
        EnumName("FlashBoot", "How workers start from cached images."),
        Spelled(one_of({"type": "boolean"}, *word_of("FlashBoot"))),
        Recreates(f"another way of starting {_WORKERS}"),
        Default(lambda lookup: True, "`true`", is_certain=True),
    ] = None
    """Fast starts from a cached image: `true` (`FLASHBOOT`), `false` (`OFF`), or `PRIORITY_FLASHBOOT`."""
    template_id: Annotated[
        forms.Text | None,
        At("templateId", is_read=False),
        Brings("image", "disk", "args", "ports", "registry"),
        Recreates("the API copies a template once, when the endpoint is created", is_patchable=False),
    ] = None
    """ID of a serverless template, of the account or public, whose image, disk, env, args, ports and registry the endpoint copies
    once. Properties given here win; `env` is merged by key. To have the template's value back of one that is taken out of the program
    takes a new copy, so that recreates the endpoint."""
    template: Annotated[
        PodTemplateSettings | None,
        Updates("its fields say what a change of each does"),
        Wanted("an object", "; the id of a template goes into templateId"),
    ] = None
    """Container settings beside the image."""
    python_version: Annotated[
        Literal["3.10", "3.11", "3.12", "3.13"] | None,
        At("image", is_written=False, is_read=False),
        Recreates("it chooses the managed image"),
        Default(lambda lookup: "3.12" if _without_own_image(lookup) else None, "`3.12`", ("image", "template.image", "templateId")),
    ] = None
    """Python of the managed worker image, `3.10` to `3.13`. Not beside an image or a `templateId`."""
    image: Annotated[
        forms.Text | None,
        At("image"),
        Recreates(f"another image {_WORKERS}"),
        Default(
            _managed_image,
            "the managed Flash worker image for type, compute and `pythonVersion`",
            ("type", "cpu", "pythonVersion", "template.image", "templateId"),
        ),
    ] = None
    """Container image of the workers."""
    allowed_cuda_versions: Annotated[
        forms.CudaVersions | None,
        At("gpu", "allowedCudaVersions", clear=[], read=lambda versions: sorted(versions)),
        Recreates(f"other hosts recreate {_OF_FLASH}"),
    ] = None
    """CUDA versions (`major.minor`) of hosts that workers may run on, matched exactly. Excludes `minCudaVersion`."""
    min_cuda_version: Annotated[
        forms.CudaVersion | None,
        At("gpu", "minCudaVersion", clear=""),
        Recreates(f"other hosts recreate {_OF_FLASH}"),
        Default(
            _cuda_floor, "`12.8` on the managed GPU image, else none", ("image", "cpu", "allowedCudaVersions", "pythonVersion")
        ),
    ] = None
    """Lowest CUDA version (`major.minor`, in quotes) of hosts that workers may run on. Excludes `allowedCudaVersions`."""
    env: Annotated[
        forms.Env | None,
        At("env", clear={}),
        Spelled({"type": "object", "additionalProperties": {"type": "string"}}),
        Updates("workers at work keep the old values until they are replaced, so revoke an old key only after that"),
    ] = None
    """Environment variables of the workers. They win over those of `template` and `templateId`."""
    update_strategy: Annotated[
        Literal["replace", "inPlace"] | None,
        EnumName(
            "UpdateStrategy",
            "What a change of hardware, image or placement does: a new endpoint, or a rolling release of the living one.",
        ),
        StateOnly(),
        Default(
            lambda lookup: lookup.session.settings.default_update_strategy,
            "the provider's `defaultUpdateStrategy`, else `replace`",
            follows_settings=True,
            is_certain=True,
        ),
    ] = None
    """What a change that recreates does. `replace`: a new endpoint with a new id, then the old one is deleted. `inPlace`: one PATCH, a
    rolling release that keeps id and URLs, wherever the API can (not for `type`, `templateId`, or between `gpu` and `cpu`)."""
    wait_for_ready: Annotated[int | None, StateOnly(), Field(ge=1, le=86_400)] = None
    """Seconds to wait, after a create or an update, until `workers.min` workers run the newest release. Default: no waiting.

    Where they are not ready in time the endpoint is kept, the update fails, and the next `pulumi up` waits on."""
    drain_seconds: Annotated[int | None, StateOnly(), Default(lambda lookup: 0, "0", is_certain=True), Field(ge=0, le=86_400)] = (
        None
    )
    """Seconds that a delete waits at most, also that of a replacement, until the queue has no queued or running job: 0 to 86400.

    Jobs that are left then are cancelled, with a warning. What counts is what the last `pulumi up` stored."""
    dependencies: Annotated[list[forms.Text] | None, StateOnly()] = None
    """Python packages (pip requirements) for function calls. They travel with each call and are kept in state only."""
    system_dependencies: Annotated[list[forms.Text] | None, StateOnly()] = None
    """System packages (apt) for function calls. They travel with each call and are kept in state only."""
    accelerate_downloads: Annotated[bool | None, StateOnly(), Default(lambda lookup: True, "`true`", is_certain=True)] = None
    """Faster downloads of dependencies for function calls. Travels with each call and is kept in state only."""


class RequestUrls(Outputs):
    """URLs to send requests to. Those with `{job_id}` take a job's id."""

    run: str | None = None
    """Submits a job (queue)."""
    run_sync: str | None = None
    """Submits a job and waits for its result (queue)."""
    status: str | None = None
    """Status and result of a job (queue)."""
    stream: str | None = None
    """Partial results of a job (queue)."""
    cancel: str | None = None
    """Cancels a job (queue)."""
    retry: str | None = None
    """Runs a job again (queue)."""
    purge_queue: str | None = None
    """Drops the jobs that wait (queue)."""
    health: str | None = None
    """Numbers of jobs and workers (queue), or the health check (load balancer)."""
    base: str | None = None
    """Where the workers' own paths begin (load balancer)."""


class EndpointOutputs(Outputs):
    """What an endpoint has beyond its inputs."""

    gpu_pools: Annotated[list[str], At("gpu", "pools"), DerivedFrom("gpu", "cpu")]
    """GPU pools that `gpu` was expanded to. Empty for a CPU endpoint."""
    excluded_gpu_types: Annotated[list[str], At("gpu", "excludedTypes"), DerivedFrom("gpu", "cpu")]
    """Cards of these pools that `gpu` left out."""
    request_urls: Annotated[RequestUrls, At("requestUrls", is_written=False), DerivedFrom("env", "template", "type")]
    """Where requests go."""
    created_at: Annotated[str, At("createdAt", is_written=False)]
    """When the endpoint was created (RFC 3339)."""
    inherited_env: Annotated[dict[str, str] | None, Secret(), DerivedFrom("templateId")] = None
    """Environment variables that the endpoint has without the program: those that `templateId` brought, and the platform's own `PORT`
    and `PORT_HEALTH`. They are restated when `env` changes."""


class Endpoint(Resource):
    """Serverless endpoints (`createEndpoint`, `getEndpoint`, `updateEndpoint`, `deleteEndpoint`)."""

    name = "Endpoint"
    noun = "endpoint"
    path = "/serverless"
    list_key = "endpoints"
    also_changes = ("/templates",)  # its own template is the same object
    plural = "Endpoints"
    may_be_secret = ("env", "inheritedEnv")
    inputs = EndpointInputs
    outputs = EndpointOutputs
    stables = ("createdAt",)
    refusals = (
        "there are no longer any instances available",
        "max workers across all endpoints must not exceed your workers quota",
        "serverless endpoints cannot use pod templates",
        "in your account balance to create an endpoint",
    )
    always_shown = ("image",)

    # -- what a program may write

    def rules(self, planned: Leaves, defaulted: frozenset[str], session: Session) -> Iterator[Failure]:
        """Apply what holds across properties."""

        def value(*path: str) -> Any:
            found = planned.get(path)
            return UNKNOWN if found is BROKEN else found

        def has(*names: str) -> bool:
            return all(any(leaf is not UNKNOWN for leaf in below(planned, (name,)).values()) for name in names)

        yield from _compute_rules(has)
        yield from _scaling_rules(value)
        is_draining = value("drainSeconds") not in (None, 0, UNKNOWN) and "drainSeconds" not in defaulted
        if is_draining and value("type") == "LOAD_BALANCER":
            yield Failure(("drainSeconds",), "waits for the jobs of a queue, and a LOAD_BALANCER endpoint has none; leave it out")
        if isinstance(value("executionTimeoutMs"), int) and not (
            value("executionTimeoutMs") == 0 or 5000 <= value("executionTimeoutMs") <= _LONGEST_TIMEOUT_MS
        ):
            said = f"must be 0 (no limit) or 5000 to {_LONGEST_TIMEOUT_MS} milliseconds, not {value('executionTimeoutMs')}"
            yield Failure(("executionTimeoutMs",), said)
        yield from _image_rules(value, defaulted)
        limit = forms.disk_limit_gb(value("cpu")) if isinstance(value("cpu"), list) else None
        disk = value("template", "containerDiskInGb")
        if limit is not None and isinstance(disk, int) and disk > limit:
            said = f"{disk} GB is more than the {limit} GB that the smallest of {', '.join(value('cpu'))} may have"
            yield Failure(("template", "containerDiskInGb"), f"{said}; lower it or choose a larger size")
        if isinstance(value("volume"), list):
            centers = value("datacenter") or UNKNOWN
            yield from session.part(KnownVolumes).misplaced(value("volume"), centers, is_default="datacenter" in defaulted)

    # -- what happens before a request

    async def resolve(self, task: Task) -> dict[str, Any]:
        """Expand `gpu`, and check hardware, data centers and volumes against what Runpod has."""
        planned, catalog = task.planned, task.session.part(Catalog)
        if task.steps is None:
            await _warn_of_gaps(planned, task.voice)
        failures: list[Failure] = []
        resolved: dict[str, Any] = {}
        words, sizes, centers, volumes = (_listed(planned.get((name,))) for name in ("gpu", "cpu", "datacenter", "volume"))
        seen: frozenset[str] = frozenset()
        if sizes is not None and task.touches("cpu", "datacenter"):
            cpus = await catalog.cpus(task.voice)
            doubts = list(_cpu_failures(sizes, centers, cpus))
            if cpus.is_live:
                failures += doubts
            for doubt in () if cpus.is_live or _hides_hardware(task) else doubts:
                await task.voice.warn(f"as far as this version knows, {doubt.reason}")
            seen = frozenset(center for places in cpus.data_centers.values() for center in places)
            resolved = {"gpuPools": [], "excludedGpuTypes": []}
        elif words is not None and (task.touches("gpu", "datacenter") or "gpuPools" not in task.outputs):
            gpus = await catalog.gpus(task.voice)
            seen = gpus.data_centers
            selection = select(words, gpus)
            if isinstance(selection, list):
                failures += selection
            elif task.touches("gpu") or "gpuPools" not in task.outputs:
                resolved = {"gpuPools": selection[0], "excludedGpuTypes": selection[1]}
        if centers is not None and task.touches("datacenter"):
            failures += await catalog.data_center_failures(centers, task.voice, seen)
        if "datacenter" in task.defaulted and ("volume",) not in planned:
            failures = [_with_source(failure, task.session) for failure in failures]
        if volumes is not None and task.touches("volume", "datacenter"):
            failures += await _volume_failures(volumes, centers, task)
        if failures and _hides_hardware(task):  # a part of a secret is not recognised in a text
            said = "does not fit what Runpod has; no value is shown, as one of gpu, cpu, volume and datacenter is secret"
            failures = [Failure(failure.path, said) for failure in failures]
        if failures:
            raise CheckFailed(list(dict.fromkeys(failures)))
        return resolved

    async def before_patch(self, id: str, body: Mapping[str, Any], task: Task) -> int | None:
        """Note the version that a release comes after, where its workers are waited for."""
        is_awaited = ("waitForReady",) in task.planned and task.planned.get(("workers", "min"))
        return await version_of(id, task) if is_awaited and makes_release(body) else None

    async def unready(self, id: str, task: Task, most_seconds: float) -> tuple[str, ...]:
        """Wait for the workers where `waitForReady` asks for it."""
        seconds, wanted = task.planned.get(("waitForReady",)), task.planned.get(("workers", "min"))
        if seconds is None or not wanted:
            return ()
        is_rolling = task.steps is not None and task.planned.get(("updateStrategy",)) == "inPlace"
        return await unready(id, wanted, min(seconds, most_seconds), task, is_rolling=is_rolling)

    async def forewarn(self, id: str, task: Task) -> None:
        """Say what a replacement costs."""
        names = ", ".join(dict.fromkeys(render_path(step.path) for step in task.steps or () if step.replaces))
        escape = " With `updateStrategy: inPlace`, Runpod rolls it out in place instead." if _would_help_in_place(task) else ""
        seconds = task.outputs.get("drainSeconds")
        time = f", after {seconds} s (`drainSeconds`) at most," if seconds else ""
        await task.voice.inform(
            f"a change of {names} recreates the endpoint: the new one gets another id and other URLs, and when {id!r} is deleted"
            f"{time} its queued and running jobs are cancelled.{escape}"
        )

    async def before_delete(self, id: str, prior: Leaves, session: Session, voice: Voice, timeout_seconds: float) -> None:
        """Drain the queue where `drainSeconds` asks for it, and warn where a template of the program's goes along."""
        name = prior.get(("name",))
        seconds = prior.get(("drainSeconds",))
        if isinstance(seconds, int) and seconds and prior.get(("type",)) != "LOAD_BALANCER":
            await drain(id, str(name), _at_most(seconds, timeout_seconds), session, voice)
        for template in session.part(BoundTemplates).of(name):
            await voice.warn(
                f"the endpoint {name!r} takes its own template {template!r} along, which this stack has as a PodTemplate; what is left "
                "of that in the state goes with `pulumi refresh` or its own delete"
            )

    def advice(self, problem: ApiProblem, task: Task, replacement: Task | None) -> str:
        """Translate refusals for quota and capacity."""
        said = f"{problem.detail} {' '.join(problem.errors)}".lower()
        template = task.planned.get(("templateId",))
        if problem.status == 404 and problem.method == "POST" and template is not None and "template" in said:
            return f"templateId: {template!r} is no template of this account, nor a public one."
        if "quota" in said and "worker" in said:
            return _quota_advice(task.planned, replacement)
        if "no longer any instances" in said:
            return (
                "No worker with these specifications is to be had now: name more GPU groups in `gpu` (or CPU sizes in `cpu`), or more "
                "data centers in `datacenter` (`any` leaves the choice to Runpod)."
            )
        return ""

    # -- bodies and answers

    def body(self, planned: Leaves, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Build the body; `scaling` and `gpu` have shapes that follow from other fields."""
        body = super().body(planned, outputs)
        scaling = body["scaling"]
        scaling["queueDelay" if scaling["type"] == "QUEUE_DELAY" else "requestCount"] = scaling.pop("value")
        if "gpu" in body and not body["gpu"].get("excludedTypes"):
            body["gpu"].pop("excludedTypes", None)
        if not body.get("gpu", {}).get("pools"):
            body.pop("gpu", None)
        if outputs.get("inheritedEnv"):
            body["env"] = {**outputs["inheritedEnv"], **body.get("env", {})}
        return body

    def patch(self, task: Task, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Build the patch; another scaler takes the workers along, as it decides whether they have an idle time-out.

        A CUDA constraint clears the other: the API keeps one that somebody else has set, and then refuses both.
        """
        patch = super().patch(task, outputs)
        given = {step.path for step in task.steps or () if step.new is not None}
        if ("scalerType",) in given and (workers := self.body(task.planned, outputs).get("workers")):
            patch["workers"] = workers
        if ("minCudaVersion",) in given and "gpu" in patch:
            patch["gpu"].setdefault("allowedCudaVersions", [])
        if ("allowedCudaVersions",) in given and "gpu" in patch:
            patch["gpu"].setdefault("minCudaVersion", "")
        return patch

    async def before_reading(
        self, found: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any], session: Session, voice: Voice
    ) -> None:
        """Load the catalog where a selection has to be put into words: an import, or one that was changed behind our back."""
        if found.get("gpu") and not _is_as_recorded(found["gpu"], managed, outputs):
            await session.part(Catalog).gpus(voice)

    def observe(
        self, found: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any], session: Session
    ) -> dict[Path, Any]:
        """Translate the API's endpoint; of `env` and `image`, each part goes to the property that it came from."""
        scaling = found.get("scaling") or {}
        amount = scaling.get("queueDelay", scaling.get("requestCount"))
        plain = {**found, "scaling": {**scaling, "value": amount}}
        observed = super().observe(plain, managed, outputs, session)
        if managed is None:
            for path in [
                path for path in observed if path[:2] in (("template", "env"), ("template", "image")) or _is_platforms(path)
            ]:
                del observed[path]
        else:
            observed.update(_shadowed(managed))
            observed.update(_foreign_env(found, managed, outputs))
        gpu = found.get("gpu")
        if gpu and (managed is None or ("gpu",) in managed) and not _is_as_recorded(gpu, managed, outputs):
            known = session.part(Catalog).known_gpus
            observed[("gpu",)] = words_for(gpu["pools"], gpu.get("excludedTypes") or (), known)
        return observed

    def computed(self, found: Mapping[str, Any], planned: Leaves, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Read the outputs, and keep what the endpoint has in `env` without the program."""
        computed = super().computed(found, planned, outputs)
        computed.setdefault("gpuPools", [])
        computed.setdefault("excludedGpuTypes", [])
        live = found.get("env") or {}
        foreign = {key: value for key, value in live.items() if key not in _own_env(planned)}
        inherited = outputs.get("inheritedEnv", foreign if ("templateId",) in planned else {})
        inherited = {**inherited, **{key: foreign[key] for key in _PLATFORM_KEYS if key in foreign}}
        computed.pop("inheritedEnv", None)
        return {**computed, "inheritedEnv": inherited} if inherited else computed

    def stated(self, observed: Leaves, found: Mapping[str, Any]) -> dict[str, Any]:
        """State an endpoint as a program would: a CPU size with the memory that the API tells, the managed image by its Python."""
        stated = nest(observed)
        if found.get("cpu"):
            stated["cpu"] = [
                "-".join(str(size[name]) for name in ("id", "vcpuCount", "memory") if name in size) for size in found["cpu"]
            ]
        managed = {_worker_image(stated.get("type"), "cpu" in stated, each): each for each in PYTHON_VERSIONS}
        python = managed.get(str(stated.get("image")))
        if python and {"cpu", "minCudaVersion", "allowedCudaVersions"} & set(stated):  # else the default would bring a floor
            stated["pythonVersion"] = python
            del stated["image"]
        return stated

    def secret_observed(self, observed: Leaves) -> frozenset[Path]:
        """Take every environment variable for secret that no program stated, unless it is empty."""
        return frozenset(
            path for path, value in observed.items() if value and (path[0] == "env" or path[:2] == ("template", "env"))
        )

    def secrets(self, given: frozenset[Path]) -> frozenset[Path]:
        """Carry secrets over to the outputs that repeat them elsewhere."""
        carried = {
            ("template",): ("image",),
            ("template", "image"): ("image",),
            ("env", "HEALTH_CHECK_PATH"): ("requestUrls", "health"),
            ("template", "env", "HEALTH_CHECK_PATH"): ("requestUrls", "health"),
        }
        found = super().secrets(given) | {to for path, to in carried.items() if path in given}
        if any(path[0] == "gpu" for path in given if path):
            found |= {("gpuPools",), ("excludedGpuTypes",)}
        return found

    def predicted(
        self, planned: Leaves, resolved: Mapping[str, Any], prior: Mapping[str, Any], steps: tuple[Step, ...] | None
    ) -> dict[str, Any]:
        """Predict; the URLs of a queue depend on nothing that an update changes, and a CPU endpoint has no pools."""
        outputs = super().predicted(planned, resolved, prior, steps)
        if steps is not None and planned.get(("type",)) == "QUEUE" and "requestUrls" in prior:
            outputs["requestUrls"] = prior["requestUrls"]
        image = planned.get(("image",), planned.get(("template", "image")))
        if image is not None:
            outputs["image"] = image
        brings_env = ("templateId",) in planned or planned.get(("type",)) != "QUEUE"
        if "inheritedEnv" not in prior and not (steps is None and brings_env):
            outputs.pop("inheritedEnv", None)
        return outputs


def _at_most(seconds: float, timeout_seconds: float) -> float:
    """Bound a wait by the resource option `customTimeouts`, of which 0 is none."""
    return min(seconds, timeout_seconds) if timeout_seconds else seconds


def _listed(value: Any) -> list[str] | None:
    """Give a canonical list of words; None for what is unknown, or is an older version's default in another form."""
    return value if isinstance(value, list) and all(isinstance(word, str) for word in value) else None


def _hides_hardware(task: Task) -> bool:
    return any(not path or path[0] in ("gpu", "cpu", "volume", "datacenter") for path in task.secrets)


def _with_source(failure: Failure, session: Session) -> Failure:
    """Say where a data center comes from that the program does not state."""
    key = f"the configuration `{PACKAGE}:{DEFAULT_DATACENTER.name}`" if session.settings.default_datacenter else "the default"
    return (
        failure
        if failure.path != ("datacenter",)
        else Failure(failure.path, f"{failure.reason} (no datacenter is given, so {key} counts)")
    )


def _own_env(planned: Leaves) -> set[str]:
    return {str(path[-1]) for path in planned if path[0] == "env" or path[:2] == ("template", "env")}


def _is_platforms(path: Path) -> bool:
    return len(path) == 2 and path[0] == "env" and path[1] in _PLATFORM_KEYS


def _would_help_in_place(task: Task) -> bool:
    """Say whether the other strategy would make an update of a plan that replaces."""
    return task.planned.get(("updateStrategy",)) != "inPlace" and not any(step.replaces_anyway for step in task.steps or ())


def _is_as_recorded(gpu: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any]) -> bool:
    """Is this the selection of cards that `outputs` record for the words of the inputs?"""
    recorded = (set(outputs.get(name) or ()) for name in ("gpuPools", "excludedGpuTypes"))
    has_words = managed is not None and ("gpu",) in managed
    return has_words and [set(gpu["pools"]), set(gpu.get("excludedTypes") or ())] == list(recorded)


def _shadowed(managed: Leaves) -> dict[Path, Any]:
    """Keep what of `template` cannot be seen in the API's answer, because the endpoint's own property wins."""
    shadowed = {
        path: value
        for path, value in managed.items()
        if path[:2] == ("template", "env") and len(path) > 2 and ("env", path[2]) in managed
    }
    if ("image",) in managed and ("template", "image") in managed:
        shadowed[("template", "image")] = managed[("template", "image")]
    return shadowed


def _foreign_env(found: Mapping[str, Any], managed: Leaves, outputs: Mapping[str, Any]) -> dict[Path, Any]:
    """Variables that somebody else set, where the program sets any, and inherited ones that are others now; one that is gone is empty."""
    live, inherited = found.get("env") or {}, outputs.get("inheritedEnv") or {}
    known_as_gone = {key for key in inherited if key not in live and managed.get(("env", key)) == ""}  # by an earlier refresh
    own = _own_env(managed) - known_as_gone
    counted = {**inherited, **(live if own else {})}
    foreign = [key for key in counted if key not in own and key not in _PLATFORM_KEYS and live.get(key) != inherited.get(key)]
    return {("env", key): live.get(key, "") for key in foreign}


def _compute_rules(has: Any) -> Iterator[Failure]:
    if has("gpu", "cpu"):
        yield Failure(("cpu",), "excludes gpu; an endpoint runs on one or the other, so give one of them")
    for name in ("gpuCount", "minCudaVersion", "allowedCudaVersions"):
        if has("cpu", name):
            yield Failure((name,), "applies to GPUs only; leave it out beside cpu")
    if has("minCudaVersion", "allowedCudaVersions"):
        yield Failure(("minCudaVersion",), "excludes allowedCudaVersions; give a floor or an exact set, not both")


def _scaling_rules(value: Any) -> Iterator[Failure]:
    least, most = value("workers", "min"), value("workers", "max")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield Failure(("workers",), f"min ({least}) must not exceed max ({most})")
    if value("waitForReady") is not None and least == 0:
        yield Failure(
            ("waitForReady",), "waits for workers that are always on, but workers.min is 0; leave it out, or raise workers.min"
        )
    scaler, kind, amount = value("scalerType"), value("type"), value("scalerValue")
    if kind == "LOAD_BALANCER" and scaler == "QUEUE_DELAY":
        yield Failure(("scalerType",), "a LOAD_BALANCER endpoint has no queue, so it scales on REQUEST_COUNT only")
    if kind == "QUEUE" and scaler == "REQUEST_COUNT" and value("idleTimeout") not in (None, UNKNOWN):
        yield Failure(("idleTimeout",), "does not apply to a QUEUE endpoint that scales on REQUEST_COUNT; leave it out")
    if isinstance(amount, int | float):
        if scaler == "QUEUE_DELAY" and amount < 0.5:
            yield Failure(("scalerValue",), f"is the seconds that a request may wait (QUEUE_DELAY), at least 0.5, not {amount}")
        if scaler == "REQUEST_COUNT" and (amount < 1 or not isinstance(amount, int)):
            yield Failure(("scalerValue",), f"is the requests for each worker (REQUEST_COUNT), a whole number from 1, not {amount}")


def _image_rules(value: Any, defaulted: frozenset[str]) -> Iterator[Failure]:
    if value("pythonVersion") is None or "pythonVersion" in defaulted:
        return
    images = {name: value(*name.split(".")) for name in ("image", "template.image", "templateId") if name not in defaulted}
    beside = [name for name, given in images.items() if given not in (None, UNKNOWN)]
    if beside:
        said = f"chooses the managed image, so it means nothing beside {' and '.join(beside)}; leave one of them out"
        yield Failure(("pythonVersion",), said)


def _cpu_failures(sizes: list[str], centers: Any, cpus: Cpus) -> Iterator[Failure]:
    for size in sizes:
        flavor, _, count = size.rpartition("-")
        if flavor not in cpus.data_centers:
            if cpus.is_live:
                hint = did_you_mean(flavor, cpus.data_centers) or f"; flavors are {', '.join(cpus.data_centers)}"
                yield Failure(("cpu",), f"Runpod has no CPU flavor {flavor!r}{hint}")
            continue
        least, most = cpus.bounds.get(flavor, (2, int(count)))
        if not least <= int(count) <= most:
            yield Failure(("cpu",), f"{flavor} comes with {least} to {most} vCPUs, not {count}")
        offered = cpus.data_centers[flavor]  # none where it is out of stock: then the API decides
        if offered and isinstance(centers, list) and ANY not in centers and not set(centers) & set(offered):
            where = f"Runpod offers {flavor} in {', '.join(offered)}, not in {', '.join(centers)}"
            yield Failure(("datacenter",), f"{where}; change datacenter, or the CPU size")


async def _volume_failures(ids: list[str], centers: Any, task: Task) -> list[Failure]:
    volumes = task.session.part(KnownVolumes)
    missing = await volumes.learn(ids, task.voice)
    failures = [
        Failure(("volume",), f"this account has no network volume {id!r}; give the id of one, or the resource") for id in missing
    ]
    return failures + volumes.misplaced(ids, centers, is_default="datacenter" in task.defaulted)


async def _warn_of_gaps(planned: Leaves, voice: Voice) -> None:
    image, is_balanced = planned.get(("image",)), planned.get(("type",)) == "LOAD_BALANCER"
    if isinstance(image, str) and _is_managed(image):
        what = "a load balancer without an image of your own" if is_balanced else "no image is given"
        await voice.warn(
            f"{what}: the workers run {image!r}, which only serves Flash function calls, and Flash was deprecated on 2026-10-29. Give "
            "`image` (or `template.image`, `templateId`) for anything else."
        )
    ports = planned.get(("template", "ports"))
    if is_balanced and ports and "PORT" not in _own_env(planned) and ("env",) not in planned:
        await voice.warn("`template.ports` is set, but requests go to the port that `PORT` in `env` names (80 without it)")


def _quota_advice(planned: Leaves, replacement: Task | None) -> str:
    most = planned.get(("workers", "max"))
    old = (replacement.outputs.get("workers") or {}).get("max") if replacement else None
    if replacement is None or old is None:
        return (
            f"workers.max ({most}) counts against the account's worker quota; lower it here or on other endpoints, or ask for more."
        )
    return (
        f"While an endpoint is replaced, both exist for a moment: old max {old} + new max {most} = {old + most} workers count against "
        "the account's worker quota. Set the resource option `deleteBeforeReplace: true` (the old endpoint then goes first)"
        f"{', lower workers.max, or use `updateStrategy: inPlace`' if _would_help_in_place(replacement) else ', or lower workers.max'}."
    )
