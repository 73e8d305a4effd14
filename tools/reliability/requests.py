"""The economy of requests, the purity of what only looks, reads that are never stale, and plans that come to rest."""

from __future__ import annotations

import asyncio
import itertools
import runpy
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ..examples import SECRETS, configuration
from .report import ROOT, Result, Run
from .service import Service, serving
from .workspace import KINDS, LEAST, PATHS, Project, Workspace, stated, workspace

_THREE: Final = ("Endpoint", "NetworkVolume", "PodTemplate")
_CATALOG: Final = "GET /v2/catalog/gpus"


def measure(run: Run) -> Iterable[Result]:
    """Count over a large stack, look at a small one in every way, race reads with writes, and bring every example to rest."""
    with workspace(run, "requests") as place:
        yield from _economy(run, place)
        yield _purity(run, place)
        yield _omitted(run, place)
    with workspace(run, "staleness") as place:
        yield asyncio.run(_staleness(run, place))
    with workspace(run, "examples") as place:
        yield _perpetual(run, place)


def _sent(place: Workspace) -> dict[str, int]:
    return dict(Counter(f"{entry['method']} {entry['route']}" for entry in place.emulator.requests()))


def _economy(run: Run, place: Workspace) -> Iterator[Result]:
    each = run.scaled(10, 100)
    project = place.project("economy")
    project.write({f"{kind.lower()}{number}": stated(kind) for kind in _THREE for number in range(each)})
    posts = {f"POST {PATHS[kind]}": each for kind in _THREE}
    lists = {f"GET {PATHS[kind]}": 1 for kind in _THREE}
    steps: tuple[tuple[str, tuple[str, ...], Mapping[str, int], str], ...] = (
        (f"{3 * each} creations", ("up", "--yes", "--skip-preview"), {**posts, _CATALOG: 1}, "1 each, and 1 look at the GPUs"),
        ("a preview without changes", ("preview", "--expect-no-changes"), {}, "0"),
        ("an up without changes", ("up", "--yes", "--skip-preview", "--expect-no-changes"), {}, "0"),
        (f"a refresh of {3 * each} resources of three kinds", ("refresh", "--yes", "--skip-preview"), lists, "3"),
        ("a preview after it", ("preview", "--expect-no-changes"), {}, "0"),
    )
    for what, command, expected, target in steps:
        place.emulator.clear_requests()
        done = project.pulumi(*command)
        sent = _sent(place)
        wrong = [] if sent == expected else [str(sent)]
        wrong += [f"exit code {done.exit_code}: {done.tail}"] if done.exit_code else []
        yield Result(f"requests of {what}", target, 1, tuple(wrong), run.seed, str(sum(sent.values())))


def _purity(run: Run, place: Workspace) -> Result:
    """Look in every way there is, also at what is to change, and count what would change anything."""
    (existing,) = place.emulator.seed(endpoints=[{"name": "somebody's"}])["endpoints"]
    project = place.project("purity")
    resources = {kind.lower(): stated(kind) for kind in KINDS}
    project.write(resources)
    project.up()
    call = {"fn::invoke": {"function": "runpod-serverless:index:getEndpoint", "arguments": {"id": existing}}}
    changed = {
        "endpoint": stated("Endpoint", image="me/worker:2", workers=2),
        "networkvolume": stated("NetworkVolume", size=20),
        "podtemplate": stated("PodTemplate", category="CPU"),
        "registry": stated("Registry", username="another"),
        "more": stated("Endpoint", env={"SEEN": "${seen.name}"}),
    }
    broken = {**changed, "more": stated("Endpoint", workers=-1)}
    imported = (
        "import",
        "--yes",
        "--generate-code=false",
        "--protect=false",
        "runpod-serverless:index:Endpoint",
        "taken",
        existing,
    )
    looks: list[tuple[Mapping[str, Any], tuple[str, ...], bool]] = [
        (resources, ("preview", "--diff"), True),
        (resources, ("refresh", "--yes"), True),
        (resources, ("refresh", "--preview-only"), True),
        (changed, ("preview", "--diff"), True),
        (changed, ("preview", "--refresh", "--json"), True),
        (changed, imported, True),
        (broken, ("preview",), False),
        ({}, ("destroy", "--preview-only"), True),
    ]
    wrong = []
    for program, command, succeeds in looks:
        project.write(program, variables={"seen": call})
        place.emulator.clear_requests()
        done = project.pulumi(*command)
        mutating = [f"{entry['method']} {entry['path']}" for entry in place.emulator.requests() if entry["method"] != "GET"]
        wrong += [f"pulumi {' '.join(command)}: {mutating}"] if mutating else []
        wrong += (
            [f"pulumi {' '.join(command)} ends with {done.exit_code}: {done.tail}"] if succeeds != (done.exit_code == 0) else []
        )
    return Result("mutating requests of preview, refresh, import, check, diff, invoke", "0", len(looks), tuple(wrong), run.seed)


def _omitted(run: Run, place: Workspace) -> Result:
    """Refresh while every list leaves out everything."""
    project = place.project("omitted")
    project.write({kind.lower(): stated(kind) for kind in KINDS})
    project.up()
    known = project.ids()
    place.emulator.fault("omit-from-list", "GET", times=None)
    done = project.pulumi("refresh", "--yes", "--skip-preview")
    place.emulator.clear_faults()
    left = project.ids()
    wrong = [] if left == known and not done.exit_code else [f"{left} of {known}: {done.tail}"]
    return Result("lists that omit what is there", "nothing leaves the state", len(known), tuple(wrong), run.seed)


async def _staleness(run: Run, place: Workspace) -> Result:
    """Begin reads before, during and after writes, with lists that are old when they arrive: what follows a write knows it."""
    count, rounds = 8, run.scaled(5, 50)
    chance = run.random("staleness")
    wrong: list[str] = []
    async with serving(place.emulator.url, place.directory) as service:
        volumes = [await _Volume.made(service, number) for number in range(count)]
        for number in range(rounds):
            place.emulator.clear_faults()
            for _ in range(2 * count):
                late = chance.uniform(0.0, 0.05)
                place.emulator.fault("commit-then-delay", "GET", PATHS["NetworkVolume"], seconds=late)
                place.emulator.fault(chance.choice(("delay", "commit-then-delay")), "PATCH", seconds=chance.uniform(0.0, 0.05))
            starts = [(chance.uniform(0.0, 0.1), chance.uniform(0.0, 0.1)) for _ in volumes]
            found = await asyncio.gather(*(each.raced(service, *when) for each, when in zip(volumes, starts, strict=True)))
            wrong += [f"round {number}: {text}" for text in itertools.chain(*found)]
    return Result("reads that follow a write of ours", "never stale", count * rounds * 2, tuple(wrong), run.seed)


class _Volume:
    """A network volume that grows."""

    def __init__(self, id: str, urn: str, inputs: dict[str, Any]) -> None:
        self._id, self._urn, self._inputs = id, urn, inputs

    @staticmethod
    async def made(service: Service, number: int) -> _Volume:
        """Create it."""
        urn = f"urn:pulumi:dev::staleness::runpod-serverless:index:NetworkVolume::v{number}"
        inputs = await service.check("NetworkVolume", urn, LEAST["NetworkVolume"], bytes(32))
        return _Volume((await service.create("NetworkVolume", urn, inputs)).id, urn, inputs)

    async def raced(self, service: Service, write_at: float, read_at: float) -> list[str]:
        """Grow while somebody reads; then read twice, and give what was stale."""
        grown = {**self._inputs, "size": int(self._inputs["size"]) + 1}

        async def look() -> int:
            return int((await service.refreshed("NetworkVolume", self._urn, self._id, self._inputs)).get("size", 0))

        async def look_meanwhile() -> int:
            await asyncio.sleep(read_at)
            return await look()

        meanwhile = asyncio.ensure_future(look_meanwhile())
        await asyncio.sleep(write_at)
        await service.update("NetworkVolume", self._urn, self._id, self._inputs, grown)
        seen = [await look(), await look()]
        await meanwhile
        self._inputs = grown
        return [f"{size} GB were read after a write of {grown['size']}" for size in seen if size != grown["size"]]


def _perpetual(run: Run, place: Workspace) -> Result:
    """Bring up every example, and ask three times in three ways for changes."""
    folders = sorted(path.parent for path in (ROOT / "examples").glob("*/Pulumi.yaml"))
    wrong, asked = [], 0
    for folder in run.scaled(folders[:3:2], folders):  # one in YAML, one in Python
        place.emulator.reset()
        place.emulator.set(worker_quota=1_000_000)
        try:
            questions = _of_yaml(place, folder) if _project(folder)["runtime"] == "yaml" else _of_python(place, folder)
            for question, _ in itertools.product(questions, range(run.scaled(1, 3))):
                asked += 1
                question()
        except Exception as problem:  # noqa: BLE001 - the CLI's and the Automation API's: the text tells
            wrong.append(f"{folder.name}: {str(problem)[-800:]}")
    return Result("perpetual diff of the examples", "0 changes", asked, tuple(wrong), run.seed)


def _project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    return found


_ASKED: Final = (
    ("preview", "--expect-no-changes"),
    ("refresh", "--preview-only", "--expect-no-changes"),
    ("up", "--yes", "--skip-preview", "--refresh", "--expect-no-changes"),
)


def _of_yaml(place: Workspace, folder: Path) -> list[Callable[[], object]]:
    project: Project = place.project(folder.name)
    shutil.copytree(folder, project.directory, dirs_exist_ok=True)
    for name, value in configuration(folder.name).items():
        project.pulumi("config", "set", *(["--secret"] if name in SECRETS else []), name, value, must_succeed=True)
    project.up()
    return [lambda command=command: project.pulumi(*command, must_succeed=True) for command in _ASKED]  # type: ignore[misc]


def _of_python(place: Workspace, folder: Path) -> list[Callable[[], object]]:
    def program() -> None:
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    config = {f"{folder.name}:{name}": value for name, value in configuration(folder.name).items()}
    stack = place.local.stack(program, project=folder.name, config=config)
    stack.up()
    return [
        lambda: stack.preview(expect_no_changes=True),
        lambda: stack.refresh(expect_no_changes=True),
        lambda: stack.up(refresh=True, expect_no_changes=True),
    ]
