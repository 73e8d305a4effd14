"""Bodies that the document accepts and its prose allows, for an account that holds `SEED`."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

SEED: dict[str, Any] = {
    "endpoints": [
        {"id": "queue0", "name": "queue", "workers": {"min": 1, "max": 1}},
        {
            "id": "cpu0",
            "name": "cpu",
            "cpu": [{"id": "cpu3c", "vcpuCount": 2}],
            "dataCenterIds": ["EU-RO-1"],
            "workers": {"max": 1},
        },
        {
            "id": "balancer0",
            "name": "balancer",
            "type": "LOAD_BALANCER",
            "scaling": {"type": "REQUEST_COUNT", "requestCount": 4},
            "workers": {"max": 1},
        },
    ],
    "networkVolumes": [{"id": "volume0", "name": "v", "size": 100, "dataCenter": "EU-RO-1"}],
    "templates": [
        {"id": "template0", "name": "t", "env": {"A": "template"}, "args": "template"},
        {"id": "pod0", "name": "p", "serverless": False},
    ],
    "registries": [{"id": "registry0", "name": "r", "username": "u", "password": "p"}],
}

_word = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
_env = st.dictionaries(_word, st.text(max_size=12), max_size=3)
_container: dict[str, SearchStrategy[Any]] = {
    "args": st.text(max_size=12),
    "disk": st.integers(1, 20),
    "env": _env,
    "ports": st.lists(st.builds("{}/{}".format, st.integers(1, 65_535), st.sampled_from(["http", "tcp", "udp"])), max_size=2),
    "registry": st.sampled_from([None, "registry0"]),
}
_image = st.builds("{}/{}:{}".format, _word, _word, st.integers(1, 9))
_cuda = st.sampled_from(["12.4", "12.8", "12.11"])
_selections: SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"pools": ["ADA_24"]},
        {"pools": ["AMPERE_80", "ADA_24"]},
        {"pools": ["AMPERE_80"], "excludedTypes": ["NVIDIA A100-SXM4-80GB"]},
        {"pools": ["AMPERE_80"], "excludedTypes": []},
    ]
)
_constraints: SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"minCudaVersion": _cuda}, optional={"allowedCudaVersions": st.just([])}),
    st.fixed_dictionaries({"allowedCudaVersions": st.lists(_cuda, max_size=2)}),
)
_sizes = st.lists(
    st.fixed_dictionaries({"id": st.sampled_from(["cpu3c", "cpu3g", "cpu5c"]), "vcpuCount": st.sampled_from([2, 4, 8])}),
    min_size=1,
    max_size=3,
    unique_by=lambda size: (size["id"], size["vcpuCount"]),
)
_queue_delay = st.fixed_dictionaries({"type": st.just("QUEUE_DELAY"), "queueDelay": st.one_of(st.integers(1, 60), st.just(0.5))})
_request_count = st.fixed_dictionaries({"type": st.just("REQUEST_COUNT"), "requestCount": st.integers(1, 60)})
_timeouts = st.one_of(st.just(0), st.integers(5000, 604_800_000))
_flashboots = st.sampled_from(["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"])


@st.composite
def _gpu(draw: st.DrawFn) -> dict[str, Any]:
    count = {"count": draw(st.integers(1, 8))} if draw(st.booleans()) else {}
    return {**draw(_selections), **count, **draw(_constraints)}


@st.composite
def _routing(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Draw a scaler that fits the type, and workers that fit the scaler."""
    scaling = draw(_request_count if kind == "LOAD_BALANCER" else st.one_of(_queue_delay, _request_count))
    most = draw(st.integers(0, 2))
    workers = {"min": draw(st.integers(0, most)), "max": most}
    if not (kind == "QUEUE" and scaling["type"] == "REQUEST_COUNT"):
        workers["idleTimeout"] = draw(st.integers(1, 3600))
    return {"scaling": scaling, "workers": workers}


@st.composite
def endpoint(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the body of a create."""
    kind = draw(st.sampled_from(["QUEUE", "LOAD_BALANCER"]))
    body: dict[str, Any] = {"name": draw(_word), "type": kind, **draw(_routing(kind)), "timeout": draw(_timeouts)}
    body.update(draw(st.fixed_dictionaries({}, optional={**_container, "flashboot": _flashboots})))
    if draw(st.booleans()):
        body["templateId"] = "template0"
    if "templateId" not in body or draw(st.booleans()):
        body["image"] = draw(_image)
    if draw(st.booleans()):
        body["gpu"] = draw(_gpu())
    else:
        body["cpu"] = draw(_sizes)
    if draw(st.booleans()):
        body["networkVolumes"] = ["volume0"]
    if "cpu" in body or draw(st.booleans()):
        body["dataCenterIds"] = ["EU-RO-1", "US-KS-2"]
    return body


@st.composite
def endpoint_change(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw an endpoint of the seed and the body of a PATCH of it."""
    identifier = draw(st.sampled_from(["queue0", "cpu0", "balancer0"]))
    optional = {**_container, "name": _word, "image": _image, "timeout": _timeouts, "flashboot": _flashboots}
    optional["templateId"] = st.just("template0")
    optional["networkVolumes"] = st.sampled_from([[], ["volume0"]])
    if identifier == "cpu0":
        optional["cpu"] = _sizes
    body: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=optional))
    if draw(st.booleans()):
        body.update(draw(_routing("LOAD_BALANCER" if identifier == "balancer0" else "QUEUE")))
    if identifier != "cpu0" and draw(st.booleans()):
        body["gpu"] = draw(_gpu())
    return identifier, body


_template: dict[str, SearchStrategy[Any]] = {
    **_container,
    "allowedCudaVersions": st.lists(_cuda, max_size=2),
    "category": st.sampled_from(["CPU", "NVIDIA", "AMD"]),
    "mounts": st.sampled_from([{}, {"persistent": {"size": 10, "path": "/workspace"}}]),
    "public": st.booleans(),
    "serverless": st.booleans(),
    "startJupyter": st.booleans(),
    "startSsh": st.booleans(),
}


def template() -> SearchStrategy[dict[str, Any]]:
    """Return the bodies of a create."""
    return st.fixed_dictionaries({"name": _word.map("new-{}".format), "image": _image}, optional=_template)


def template_change() -> SearchStrategy[dict[str, Any]]:
    """Return the bodies of a PATCH."""
    return st.fixed_dictionaries({}, optional={**_template, "name": _word.map("new-{}".format), "image": _image})


def volume() -> SearchStrategy[dict[str, Any]]:
    """Return the bodies of a create."""
    return st.fixed_dictionaries(
        {"name": st.text(min_size=1, max_size=8), "size": st.integers(10, 4096), "dataCenter": st.just("EU-RO-1")},
        optional={"type": st.sampled_from(["STANDARD", "HIGH_PERFORMANCE"])},
    )


def volume_change() -> SearchStrategy[dict[str, Any]]:
    """Return the bodies of a PATCH."""
    changes = {"name": st.text(min_size=1, max_size=8), "size": st.integers(100, 4096)}
    return st.fixed_dictionaries({}, optional=changes).filter(bool)


def registry() -> SearchStrategy[dict[str, Any]]:
    """Return the bodies of a create."""
    return st.fixed_dictionaries(dict.fromkeys(("name", "username", "password"), st.text(min_size=1, max_size=8)))


def delegation() -> SearchStrategy[dict[str, Any]]:
    """Return the bodies of a create."""
    name = st.sampled_from(["runpod/deployment", "app"])
    resource = st.builds("arn:aws:ecr:us-east-2:{}:repository/{}".format, st.integers(10**11, 10**12 - 1), name)
    return st.fixed_dictionaries({"resource": resource}, optional={"name": st.one_of(st.none(), _word)})
