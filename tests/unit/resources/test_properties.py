"""What holds for every program that is right: Check is stable, and what was created and read back is no change."""

from __future__ import annotations

import copy
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runpod_serverless_provider.core.checking import DEFAULTS_KEY
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.resources.catalog import CPU_SIZES, DATA_CENTERS, GPU_TYPES, POOLS
from unit.support import Life, world_of

bounded = settings(max_examples=120, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT: Final = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
ENV: Final = st.dictionaries(
    st.sampled_from(["PORT", "PORT_HEALTH", "A"]) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True),
    TEXT | st.just(""),
    max_size=4,
)
LISTED_ENV: Final = ENV.map(lambda env: [{"key": key, "value": value} for key, value in env.items()])
CUDA: Final = st.sampled_from(["12.1", "12.4", "12.8", "13.0"])


def one_or_many(words: list[str]) -> st.SearchStrategy[Any]:
    """One word, or a list of some in any order, with repetitions."""
    return st.sampled_from(words) | st.lists(st.sampled_from(words), min_size=1, max_size=4)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A program that states some of these."""
    return st.fixed_dictionaries({}, optional=fields)


WORKERS: Final = st.integers(0, 20) | st.tuples(st.integers(0, 9), st.integers(9, 20)).map(
    lambda both: {"min": both[0], "max": both[1]}
)
SCALING: Final = st.one_of(
    some(scalerValue=st.integers(1, 100) | st.floats(0.5, 90), idleTimeout=st.integers(1, 3600)),
    some(scalerValue=st.integers(1, 100)).map(lambda each: {**each, "scalerType": "REQUEST_COUNT"}),
    some(scalerValue=st.integers(1, 100), idleTimeout=st.integers(1, 3600)).map(lambda each: {**each, "type": "LOAD_BALANCER"}),
)
PORTS: Final = st.lists(
    st.tuples(st.integers(1, 65535), st.sampled_from(["http", "tcp"])).map(lambda port: f"{port[0]}/{port[1]}"), max_size=3
)
CONTAINER: Final = {"env": ENV | LISTED_ENV, "args": TEXT | st.just(""), "ports": PORTS, "registryAuthId": st.just("reg0")}
GPU: Final = st.builds(
    lambda hardware, cuda: {**hardware, **cuda},
    some(gpu=one_or_many([*POOLS, *GPU_TYPES]) | st.just("any"), gpuCount=st.integers(1, 8)),
    some(minCudaVersion=CUDA) | some(allowedCudaVersions=st.lists(CUDA, min_size=1, max_size=3)),
)
CPU: Final = one_or_many(list(CPU_SIZES)).map(lambda sizes: {"cpu": sizes, "datacenter": "EU-RO-1"})
IMAGE: Final = some(image=st.just("me/x:1")) | some(pythonVersion=st.sampled_from(["3.10", "3.12"]))
REST: Final = some(
    name=TEXT,
    workers=WORKERS,
    executionTimeoutMs=st.just(0) | st.integers(5000, 604_800_000),
    flashboot=st.booleans() | st.sampled_from(["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]),
    env=ENV,
    template=some(**CONTAINER),
    updateStrategy=st.sampled_from(["replace", "inPlace"]),
    dependencies=st.lists(TEXT, max_size=2),
    accelerateDownloads=st.booleans(),
)
PLACE: Final = some(datacenter=one_or_many([*DATA_CENTERS, "eu_ro_1", "us-ks-2"]) | st.just("any"))
ENDPOINTS: Final = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()}, PLACE, GPU | CPU, SCALING, IMAGE, REST
)
VOLUMES: Final = some(
    name=TEXT,
    size=st.integers(10, 4096),
    datacenter=st.sampled_from(["EU-RO-1", "us_ks_2"]),
    type=st.sampled_from(["STANDARD", "HIGH_PERFORMANCE"]),
    deletionProtection=st.booleans(),
)
RESOURCES: Final = ENDPOINTS.map(lambda program: ("Endpoint", program)) | VOLUMES.map(lambda program: ("NetworkVolume", program))


@bounded
@given(RESOURCES)
def test_check_is_stable(made: tuple[str, dict[str, Any]]) -> None:
    """Checked against its own answer, a program gives that answer again, and so does the answer taken for a program."""
    kind, program = made
    with world_of() as world:
        life = Life(world, kind)
        first = life.checked(program)
        assert {name: first[name] for name in program if name != "template"} == {
            name: value for name, value in program.items() if name != "template"
        }
        life.inputs = first
        assert life.checked(program) == first
        assert life.checked(program, random_seed=b"other") == first
        again = life.checked({name: value for name, value in first.items() if name != DEFAULTS_KEY and _may_be_stated(name, first)})
        assert {**again, DEFAULTS_KEY: []} == {**first, DEFAULTS_KEY: []}


def _may_be_stated(name: str, checked: dict[str, Any]) -> bool:
    """A Python version is stated instead of the image that it chooses."""
    return name != "image" or "pythonVersion" not in checked


@bounded
@given(RESOURCES)
def test_what_was_created_and_read_is_no_change(made: tuple[str, dict[str, Any]]) -> None:
    """Nor is it after an import, in a process that knows nothing."""
    kind, program = made
    with world_of() as world:
        world.seed(registries=[{"id": "reg0"}])
        life = Life(world, kind)
        life.up(program)
        assert life.plan(program) == {}
        assert life.refresh() == {}
        assert life.plan(program) == {}
        world.restart()
        imported = Life(world, kind, "imported")
        stated = imported.take_over(life.id)
        assert imported.plan(stated) == {}
        assert imported.refresh() == {}
        assert imported.up(stated) == {}
        assert imported.refresh() == {}
        assert [line for line in world.writes if not line.startswith("POST")] == []


@bounded
@given(RESOURCES, RESOURCES)
def test_a_change_arrives_whatever_it_is(before: tuple[str, dict[str, Any]], after: tuple[str, dict[str, Any]]) -> None:
    """In place or by a replacement: afterwards nothing is left to do, and the server has what a new resource would have."""
    (kind, old), (other, new) = before, after
    if kind != other:
        return
    with world_of() as world:
        world.seed(registries=[{"id": "reg0"}])
        life, fresh = Life(world, kind), Life(world, kind, "fresh")
        if kind == "NetworkVolume":
            old, new = ({**each, "deletionProtection": False} for each in (old, new))
            old["size"] = min(old.get("size", 100), new.get("size", 100))
            new.setdefault("type", "STANDARD")
        old["name"] = new["name"] = "n"
        life.up(old)
        life.up(new)
        assert life.plan(new) == {}
        assert life.refresh() == {}
        assert life.plan(new) == {}
        fresh.up(new)
        compared = {
            "endpoints": "gpu cpu scaling workers disk env image ports args registry timeout flashboot dataCenterIds".split()
        }
        store = "endpoints" if kind == "Endpoint" else "networkVolumes"
        keys = compared.get(store, ["size", "dataCenter", "type"])
        one, two = (world.live(store, each.id) for each in (life, fresh))
        assert {key: one.get(key) for key in keys} == {key: two.get(key) for key in keys}


@bounded
@given(RESOURCES, st.data())
def test_a_part_that_is_not_known_yet_changes_nothing_else(made: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    """Check passes, the rest stays as it is, and a plan and a preview go through without a write."""
    kind, program = made
    with world_of() as world:
        world.seed(registries=[{"id": "reg0"}])
        life = Life(world, kind)
        life.up(program)
        partly = copy.deepcopy(program)
        if partly:
            partly[data.draw(st.sampled_from(sorted(partly)))] = UNKNOWN
        checked = life.checked(partly)
        assert {name: checked[name] for name in partly if name != "template"} == {
            name: value for name, value in partly.items() if name != "template"
        }
        world.forget()
        life.plan(partly)
        life.preview(partly)
        assert world.writes == []
