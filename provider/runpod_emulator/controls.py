"""`/_emulator/`: the hands behind the scenery. Nothing here exists in the real API, and nothing here is logged or limited."""

import copy
from dataclasses import asdict, dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from runpod_emulator import catalog, endpoints, page, templates, workers
from runpod_emulator.faults import FAULT, Fault, Faults
from runpod_emulator.journal import Journal
from runpod_emulator.limits import Limits
from runpod_emulator.problems import Problem, not_found, unprocessable
from runpod_emulator.shapes import Anything, Array, Mapped, Nullable, Number, Object, Shape, Text, Whole
from runpod_emulator.store import Doc
from runpod_emulator.world import Settings, World, parse_json

RESOURCES = ("endpoints", "templates", "networkVolumes", "registries")
CATALOG = ("gpus", "cpus", "dataCenters")
MERGED = ("workers", "gpu")  # a change behind everyone's back reaches into these; other values are replaced
# the control API's name, the attribute, what it may be
_SETTINGS: tuple[tuple[str, str, Shape], ...] = (
    ("quota", "quota", Nullable(Whole(minimum=0))),
    ("hourQuota", "hour_quota", Whole(minimum=0)),
    ("dayQuota", "day_quota", Whole(minimum=0)),
    ("minuteSeconds", "minute_seconds", Whole(minimum=1)),
    ("hourSeconds", "hour_seconds", Whole(minimum=1)),
    ("daySeconds", "day_seconds", Whole(minimum=1)),
    ("workerQuota", "worker_quota", Whole(minimum=0)),
    ("jobBaseUrl", "job_base_url", Text(min_length=1)),
    ("acceptedKeys", "accepted_keys", Nullable(Array(Text()))),
    ("logHoldSeconds", "log_hold_seconds", Nullable(Number(minimum=0))),
    ("jobSeconds", "job_seconds", Number(minimum=0)),
)
SETTINGS = {name: attribute for name, attribute, _ in _SETTINGS}
SETTINGS_SHAPE = Object({name: shape for name, _, shape in _SETTINGS})
TIME_SHAPE = Object({"advanceSeconds": Number(minimum=0)}, required=("advanceSeconds",))
_DOCS = Array(Mapped(Anything()))
_ENTRIES = Array(Object({}, required=("id",), is_open=True))
SEED_SHAPE = Object(
    {
        **dict.fromkeys(RESOURCES, _DOCS),
        "catalog": Object({**dict.fromkeys(CATALOG, _ENTRIES), "remove": Object(dict.fromkeys(CATALOG, Array(Text())))}),
    }
)
CHANGES_SHAPE = Mapped(Anything())


async def _body(request: Request, shape: Shape) -> Doc:
    raw = await request.body()
    parsed = parse_json(raw) if raw.strip() else {}
    errors = list(shape.failures(parsed, "$"))
    if errors:
        raise unprocessable(*errors)
    body: Doc = parsed
    return body


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
            "overview": (self.overview, ["GET"]),
            "resources/{kind}/{id:path}": (self.resource, ["GET", "PATCH", "DELETE"]),
        }
        routes = [Route(f"/_emulator/{path}", endpoint, methods=methods) for path, (endpoint, methods) in table.items()]
        return [*routes, Route("/", self.page)]

    async def reset(self, request: Request) -> Response:
        """Begin anew: no resources, the default catalog and settings, the present time."""
        self.world.store.clear()
        self.world.clock.offset_seconds = 0
        vars(self.world.settings).update(copy.deepcopy(vars(self._initial)))
        catalog.furnish(self.world)
        templates.furnish(self.world)
        self.limits.clear()
        self.faults.clear()
        self.faults.forget_late_work()
        self.journal.clear()
        return Response(status_code=204)

    async def seed(self, request: Request) -> Response:
        """Put resources and catalog entries there without any rule; return the ids by kind."""
        body = await _body(request, SEED_SHAPE)
        entries = body.get("catalog", {})
        for kind in CATALOG:
            for doc in entries.get(kind, []):
                self._furnish(kind, doc)
            for name in entries.get("remove", {}).get(kind, []):
                catalog.remove(self.world, kind, name)
        ids: dict[str, list[str]] = {}
        for kind in RESOURCES:
            for doc in body.get(kind, []):
                try:
                    seeded = self._seeded(kind, {"name": f"seeded-{kind}", **doc})
                except (AttributeError, KeyError, TypeError) as error:
                    raise unprocessable(f"$.{kind}: an item cannot be used: {error!r}") from error
                self.world.store.put(kind, seeded["id"], seeded)
                ids.setdefault(kind, []).append(seeded["id"])
        return JSONResponse(ids, 201)

    def _seeded(self, kind: str, doc: Doc) -> Doc:
        if kind == "endpoints":
            compute = {} if "cpu" in doc else {"gpu": {"pools": ["ADA_24"]}}
            endpoint = endpoints.new_endpoint(self.world, {"image": "runpod/seeded:1", **compute, **doc})
            workers.begin(self.world, endpoint)
            return endpoint
        doc = {"id": self.world.store.new_id(kind), **doc}
        if kind == "templates":
            return templates.new_template({"image": "runpod/seeded:1", "serverless": True, **doc})
        if kind == "networkVolumes":
            return {"size": 100, "dataCenter": "EU-RO-1", "type": "STANDARD", **doc}
        return doc

    def _furnish(self, kind: str, doc: Doc) -> None:
        known = self.world.store.get(kind, doc["id"])
        self.world.store.put(kind, doc["id"], catalog.FILL[kind]({**(known or {}), **doc}))

    async def time(self, request: Request) -> Response:
        """Tell the time, or move it on by `advanceSeconds`."""
        clock = self.world.clock
        if request.method == "POST":
            clock.advance((await _body(request, TIME_SHAPE))["advanceSeconds"])
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
            self.faults.add(Fault(**await _body(request, FAULT)))
        return JSONResponse({"faults": self.faults.listed()})

    async def settings(self, request: Request) -> Response:
        """Show or change the settings."""
        settings = self.world.settings
        if request.method == "POST":
            for name, value in (await _body(request, SETTINGS_SHAPE)).items():
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
            if kind == "endpoints":
                endpoints.remove(self.world, stored)
            else:
                self.world.store.remove(kind, identifier)
            return Response(status_code=204)
        if request.method == "PATCH":
            for name, value in (await _body(request, CHANGES_SHAPE)).items():
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
                "jobs": store.all("jobs"),
                "stored": stored,
            }
        )

    async def overview(self, request: Request) -> Response:
        """Return what the page shows."""
        return JSONResponse(page.overview(self.world, self.limits, self.faults, self.journal))

    async def page(self, request: Request) -> Response:
        """Serve the page."""
        return HTMLResponse(page.html(), headers={"Cache-Control": "no-store"})


assert set(SETTINGS.values()) == {entry.name for entry in fields(Settings)}, "every setting has a control"


async def problem_response(request: Request, error: Exception) -> Response:
    """Answer a Problem that a handler raised."""
    assert isinstance(error, Problem)
    return error.response()
