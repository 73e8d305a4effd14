"""The ASGI application: the table of routes, put behind the door."""

from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runpod_emulator import catalog, delegations, endpoints, jobs, registries, templates, volumes
from runpod_emulator.clock import Clock
from runpod_emulator.controls import Controls, problem_response
from runpod_emulator.door import ConnectionDropped, Door
from runpod_emulator.faults import Faults
from runpod_emulator.journal import Journal
from runpod_emulator.limits import Limits
from runpod_emulator.problems import Problem
from runpod_emulator.routing import Routes
from runpod_emulator.store import Store
from runpod_emulator.world import Handler, Settings, World

ROUTES: dict[str, dict[str, Handler]] = {
    "/v2/serverless": {"GET": endpoints.listing, "POST": endpoints.create},
    "/v2/serverless/{id}": {"GET": endpoints.read, "PATCH": endpoints.update, "DELETE": endpoints.delete},
    "/v2/serverless/{id}/workers": {"GET": endpoints.worker_list},
    "/v2/serverless/{id}/releases": {"GET": endpoints.release_list},
    "/v2/serverless/{id}/workers/{workerId}/logs": {"GET": endpoints.worker_logs},
    "/v2/templates": {"GET": templates.listing, "POST": templates.create},
    "/v2/templates/{id}": {"GET": templates.read, "PATCH": templates.update, "DELETE": templates.delete},
    "/v2/network-volumes": {"GET": volumes.listing, "POST": volumes.create},
    "/v2/network-volumes/{id}": {"GET": volumes.read, "PATCH": volumes.update, "DELETE": volumes.delete},
    "/v2/registries": {"GET": registries.listing, "POST": registries.create},
    "/v2/registries/{id}": {"GET": registries.read, "DELETE": registries.delete},
    "/v2/registries/delegations": {"GET": delegations.listing, "POST": delegations.create},
    "/v2/registries/delegations/{id}": {"DELETE": delegations.revoke},
    "/v2/catalog/gpus": {"GET": catalog.gpus},
    "/v2/catalog/gpus/{id}": {"GET": catalog.gpu},
    "/v2/catalog/cpus": {"GET": catalog.cpus},
    "/v2/catalog/cpus/{id}": {"GET": catalog.cpu},
    "/v2/catalog/datacenters": {"GET": catalog.data_centers},
    "/v2/catalog/datacenters/{id}": {"GET": catalog.one_data_center},
    "/v2/catalog/templates": {"GET": templates.public},
}
# A path of the REST API goes before one of these that it would also fit: no endpoint has the id `serverless`.
JOB_ROUTES: dict[str, dict[str, Handler]] = {
    "/v2/{endpointId}/run": {"POST": jobs.run},
    "/v2/{endpointId}/status/{jobId}": {"GET": jobs.status},
    "/v2/{endpointId}/cancel/{jobId}": {"POST": jobs.cancel},
    "/v2/{endpointId}/retry/{jobId}": {"POST": jobs.retry},
    "/v2/{endpointId}/purge-queue": {"POST": jobs.purge},
    "/v2/{endpointId}/health": {"GET": jobs.health},
}


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"no route {request.url.path}" if error.status_code == 404 else error.detail
    return Problem(error.status_code, detail, headers=error.headers).response()


def create_app(
    *,
    state: Path | None = None,
    clock: Clock | None = None,
    quota: int | None = None,
    worker_quota: int = 5,
    job_base_url: str = "https://api.runpod.ai/v2",
    accepted_keys: Sequence[str] | None = None,
    drop_error: Callable[[], Exception] = ConnectionDropped,
    extra_routes: Sequence[BaseRoute] = (),
) -> Door:
    """Build the emulator.

    `quota` is requests a minute; None (the default here, unlike the command's 60) switches the limit and its headers off.
    `accepted_keys` None accepts every key that does not begin with `bad` or `wrong`. `drop_error` is what an in-process
    caller gets where a connection breaks. `state` is a SQLite file that outlives the process.
    """
    store = Store(state)
    kept = store.get("meta", "clock")
    clock = clock or Clock()
    if kept is not None:
        clock.offset_seconds = kept["offsetSeconds"]
    keys = None if accepted_keys is None else list(accepted_keys)
    world = World(store, clock, Settings(quota, worker_quota=worker_quota, job_base_url=job_base_url, accepted_keys=keys))
    catalog.furnish(world)
    templates.furnish(world)
    limits, faults, journal = Limits(world), Faults(), Journal()
    inner = Starlette(
        routes=[*Controls(world, limits, faults, journal).routes(), *extra_routes],
        exception_handlers={Problem: problem_response, HTTPException: _http_problem},
    )
    inner.router.redirect_slashes = False
    return Door(inner, Routes(ROUTES, unlimited=JOB_ROUTES), world, limits, faults, journal, drop_error)
