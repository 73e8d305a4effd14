"""`/_emulator/`: the hands behind the scenery. Nothing here exists in the real API, and nothing here is logged or limited."""

import copy
from dataclasses import asdict, dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runpod_emulator import catalog, endpoints, templates, workers
from runpod_emulator.faults import FAULT, Fault, Faults
from runpod_emulator.journal import Journal
from runpod_emulator.limits import Limits
from runpod_emulator.problems import Problem, not_found, unprocessable
from runpod_emulator.shapes import Number, Object
from runpod_emulator.store import Doc
from runpod_emulator.world import Settings, World, parse_json

RESOURCES = ("endpoints", "templates", "networkVolumes", "registries")
CATALOG = ("gpus", "cpus", "dataCenters")
MERGED = ("workers", "gpu")  # a change behind everyone's back reaches into these; other values are replaced
SETTINGS = {
    "quota": "quota",
    "hourQuota": "hour_quota",
    "dayQuota": "day_quota",
    "workerQuota": "worker_quota",
    "jobBaseUrl": "job_base_url",
    "acceptedKeys": "accepted_keys",
}


async def _body(request: Request) -> Doc:
    raw = await request.body()
    parsed = parse_json(raw) if raw.strip() else {}
    if not isinstance(parsed, dict):
        raise unprocessable("$: want object")
    return parsed


@dataclass
class Controls:
    """The control API over one world."""

    world: World
    limits: Limits
    faults: Faults
    journal: Journal

    def __post_init__(self) -> None:
        self._initial = copy.deepcopy(self.world.settings)

    def routes(self) -> list[Route]:
        """Return the routes of the control API."""
        table: dict[str, tuple[Any, list[str]]] = {
            "reset": (self.reset, ["POST"]),
            "seed": (self.seed, ["POST"]),
            "time": (self.time, ["GET", "POST"]),
            "requests": (self.requests, ["GET", "DELETE"]),
            "counters": (self.counters, ["GET"]),
            "faults": (self.order, ["GET", "POST", "DELETE"]),
            "settings": (self.settings, ["GET", "POST"]),
            "state": (self.state, ["GET"]),
            "resources/{kind}/{id:path}": (self.resource, ["GET", "PATCH", "DELETE"]),
        }
        return [Route(f"/_emulator/{path}", endpoint, methods=methods) for path, (endpoint, methods) in table.items()]

    async def reset(self, request: Request) -> Response:
        """Begin anew: no resources, the default catalog and settings, the present time."""
        self.world.store.clear()
        self.world.clock.offset_seconds = 0
        vars(self.world.settings).update(copy.deepcopy(vars(self._initial)))
        catalog.furnish(self.world)
        templates.furnish(self.world)
        self.limits.clear()
        self.faults.clear()
        self.journal.clear()
        return Response(status_code=204)

    async def seed(self, request: Request) -> Response:
        """Put resources and catalog entries there without any rule; return the ids by kind."""
        body = await _body(request)
        world = self.world
        ids: dict[str, list[str]] = {}
        for center in body.get("catalog", {}).get("dataCenters", []):
            self._furnish("dataCenters", center)
        for kind in ("gpus", "cpus"):
            for doc in body.get("catalog", {}).get(kind, []):
                self._furnish(kind, doc)
        for kind, names in body.get("catalog", {}).get("remove", {}).items():
            for name in names:
                catalog.remove(world, kind, name)
        for kind in RESOURCES:
            for doc in body.get(kind, []):
                doc = {"name": f"seeded-{kind}", **doc}
                if kind == "endpoints":
                    doc = {"image": "runpod/seeded:1", **doc}
                    doc = endpoints.new_endpoint(world, doc if "cpu" in doc else {"gpu": {"pools": ["ADA_24"]}, **doc})
                    workers.begin(world, doc)
                else:
                    doc = {"id": world.store.new_id(kind), **doc}
                if kind == "templates":
                    doc = templates.new_template({"image": "runpod/seeded:1", "serverless": True, **doc})
                if kind == "networkVolumes":
                    doc = {"size": 100, "dataCenter": "EU-RO-1", "type": "STANDARD", **doc}
                world.store.put(kind, doc["id"], doc)
                ids.setdefault(kind, []).append(doc["id"])
        return JSONResponse(ids, 201)

    def _furnish(self, kind: str, doc: Doc) -> None:
        known = self.world.store.get(kind, doc["id"])
        self.world.store.put(kind, doc["id"], catalog.FILL[kind]({**(known or {}), **doc}))

    async def time(self, request: Request) -> Response:
        """Tell the time, or move it on by `advanceSeconds`."""
        clock = self.world.clock
        if request.method == "POST":
            body = await _body(request)
            errors = list(Object({"advanceSeconds": Number(minimum=0)}, required=("advanceSeconds",)).failures(body, "$"))
            if errors:
                raise unprocessable(*errors)
            clock.advance(body["advanceSeconds"])
            self.world.store.put("meta", "clock", {"offsetSeconds": clock.offset_seconds})
        return JSONResponse({"now": clock.now(), "offsetSeconds": clock.offset_seconds})

    async def requests(self, request: Request) -> Response:
        """Return or clear the request log."""
        if request.method == "DELETE":
            self.journal.clear()
            return Response(status_code=204)
        return JSONResponse({"requests": [entry.shown() for entry in self.journal.entries]})

    async def counters(self, request: Request) -> Response:
        """Return the number of requests by method and route."""
        return JSONResponse(self.journal.counters())

    async def order(self, request: Request) -> Response:
        """List, order or clear faults."""
        if request.method == "DELETE":
            self.faults.clear()
            return Response(status_code=204)
        if request.method == "POST":
            body = await _body(request)
            errors = list(FAULT.failures(body, "$"))
            if errors:
                raise unprocessable(*errors)
            self.faults.add(Fault(**body))
        return JSONResponse({"faults": self.faults.listed()})

    async def settings(self, request: Request) -> Response:
        """Show or change the settings."""
        settings = self.world.settings
        if request.method == "POST":
            body = await _body(request)
            unknown = [name for name in body if name not in SETTINGS]
            if unknown:
                raise unprocessable(f"$: additional properties {unknown} not allowed, known: {list(SETTINGS)}")
            for name, value in body.items():
                setattr(settings, SETTINGS[name], value)
            self.limits.clear()
        return JSONResponse({name: getattr(settings, attribute) for name, attribute in SETTINGS.items()})

    async def resource(self, request: Request) -> Response:
        """Read, change or remove a stored object behind everyone's back."""
        kind, identifier = request.path_params["kind"], request.path_params["id"]
        if kind not in (*RESOURCES, *CATALOG):
            raise not_found(f"kind {kind!r}")
        stored = self.world.store.get(kind, identifier)
        if stored is None:
            raise not_found(f"{kind} {identifier!r}")
        if request.method == "DELETE":
            self.world.store.remove(kind, identifier)
            return Response(status_code=204)
        if request.method == "PATCH":
            for name, value in (await _body(request)).items():
                if name in MERGED and isinstance(value, dict) and isinstance(stored.get(name), dict):
                    stored[name] = {**stored[name], **value}
                else:
                    stored[name] = value
            self.world.store.put(kind, identifier, stored)
        return JSONResponse(stored)

    async def state(self, request: Request) -> Response:
        """Return everything: resources as the API shows them, and as they are stored under `stored`."""
        world, store = self.world, self.world.store
        stored = {kind: store.all(kind) for kind in RESOURCES}
        stored["templates"] = templates.owned(world)
        return JSONResponse(
            {
                "now": world.clock.now(),
                "settings": asdict(world.settings),
                "endpoints": [endpoints.render(world, doc) for doc in endpoints.everything(world)],
                "templates": [templates.render(doc) for doc in templates.owned(world)],
                "boundTemplates": [{**templates.render(doc), "boundTo": doc["_boundTo"]} for doc in templates.bound(world)],
                "networkVolumes": store.all("networkVolumes"),
                "registries": [{"id": doc["id"], "name": doc["name"]} for doc in store.all("registries")],
                "stored": stored,
            }
        )


assert set(SETTINGS.values()) == {entry.name for entry in fields(Settings)}, "every setting has a control"


async def problem_response(request: Request, error: Exception) -> Response:
    """Answer a Problem that a handler raised."""
    assert isinstance(error, Problem)
    return error.response()
