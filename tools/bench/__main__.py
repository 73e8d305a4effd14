"""`python -m tools.bench`: measure the provider against a plugin that makes the same HTTP calls and nothing else.

Prints one table, and the raw numbers as JSON in the last line. Times depend on the machine, and on what else it does: targets are shown
beside them, and only `--check` makes a failure of one that is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..reliability.report import ROOT, Run, publish, versions
from ..reliability.workspace import Project, Workspace, stated, workspace
from .processes import peak_memory

LEAST_RUNS: Final = 7
SIZES: Final = (1, 100, 1000)
FIXED_SECONDS: Final = 0.6
EACH_SECONDS: Final = {"preview": 0.002, "up": 0.010}
"""What may be added for each resource, beside the fixed part for each operation. Without an entry, only one resource has a target."""
START_SECONDS: Final = 0.35
MEMORY_MEGABYTES: Final = 80
MOST_OF_OPTIMUM: Final = 1.05
OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "up": ("up", "--yes", "--skip-preview"),
    "preview": ("preview",),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
}
"""In this order; `preview` finds nothing to do."""
STORED_ONCE: Final = {"PULUMI_SKIP_CHECKPOINTS": "true"}
"""Lets the CLI write the state at the end alone. Else it writes the whole of it after each step, which takes most of the time of an `up` of
1,000 resources, and the more the larger each of them is: what a resource has to say for itself is no work of its plugin."""
CATALOG: Final = "/catalog/gpus"
"""The one look-up that creating endpoints may cost beside the POSTs: once a process."""
CREATES_UNDER_QUOTA: Final = 200
QUOTA: Final = 60
WINDOW_SECONDS: Final = 6


@dataclass(frozen=True)
class Row:
    """One line of the table. `values` are the raw numbers, one a run; an empty `unit` means that they count.

    `target` is the most that their median may be or, where `is_exact`, what each of them has to be; None: nothing is promised.
    """

    metric: str
    unit: str
    values: tuple[float, ...]
    target: float | None = None
    is_exact: bool = False

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lower end of the median's interval."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The upper end of the median's interval."""
        return max(self.values)

    @property
    def confidence(self) -> float:
        """How sure it is that the true median lies in the interval: 98 % for 7 values, nothing for 1."""
        return 1 - 2.0 ** (1 - len(self.values))

    @property
    def goal(self) -> str:
        """The target in words; empty without one."""
        return "" if self.target is None else f"{'=' if self.is_exact else '≤'} {self.target:.4g} {self.unit}".rstrip()

    @property
    def is_met(self) -> bool:
        """Do the values meet the target, if there is one?"""
        if self.target is None:
            return True
        return {*self.values} == {self.target} if self.is_exact else self.median <= self.target

    def document(self) -> dict[str, Any]:
        """Write the row for programs."""
        return {
            "metric": self.metric,
            "n": len(self.values),
            "values": list(self.values),
            "unit": self.unit,
            "target": self.goal or None,
            "isMet": self.is_met,
            "median": self.median,
            "low": self.low,
            "high": self.high,
        }


def most_added(operation: str, size: int) -> float | None:
    """Give the seconds that the provider may add to the floor's; None where nothing is promised."""
    each = EACH_SECONDS.get(operation)
    if each is None:
        return FIXED_SECONDS if size == 1 else None
    return FIXED_SECONDS + each * size


def things(count: int, sample: Mapping[str, Any]) -> dict[str, Any]:
    """State `count` resources of the floor plugin, whose requests are those that the provider sends for as many endpoints."""
    properties = {"path": "/serverless", "key": "endpoints", "first": sample["first"]}
    return {
        f"e{number}": {
            "type": "floor:index:Thing",
            "properties": {**properties, "body": {**sample["body"], "name": f"e{number}-1234567"}},
        }
        for number in range(count)
    }


def endpoints(count: int) -> dict[str, Any]:
    """State `count` endpoints."""
    return {f"e{number}": stated("Endpoint") for number in range(count)}


def sampled(space: Workspace) -> dict[str, Any]:
    """Bring one endpoint up, and return what the floor has to do for it: the body of its POST, and before it the look at the catalog."""
    project = space.project("sample")
    project.write(endpoints(1))
    space.emulator.clear_requests()
    project.up()
    log = space.emulator.requests()
    project.pulumi("destroy", "--yes", "--skip-preview", must_succeed=True)
    look = next((f"{CATALOG}?{one['query']}" for one in log if one["method"] == "GET" and one["path"] == f"/v2{CATALOG}"), "")
    return {"first": look.removesuffix("?"), "body": next(one["body"] for one in log if one["method"] == "POST")}


def timed(project: Project, operation: str) -> float:
    """Run one operation of the CLI and return its seconds."""
    began = time.perf_counter()
    project.pulumi(*OPERATIONS[operation], must_succeed=True)
    return time.perf_counter() - began


def against_the_floor(
    run: Run, sizes: Sequence[int], runs: int, say: Callable[[str], None], *, is_stored_once: bool = False
) -> Iterator[Row]:
    """Measure (a) requests and (b) time of each operation, in pairs: the one follows upon the other, so both meet the same machine."""
    how = ", stored once" if is_stored_once else ""
    for size in sizes:
        with workspace(run, f"floor-{size}{'-once' if is_stored_once else ''}") as space:
            sample = sampled(space)
            programs = {"provider": endpoints(size), "floor": things(size, sample)}
            projects = {name: space.project(name) for name in programs}
            for name, project in projects.items():
                project.write(programs[name])
                project.environment.update(STORED_ONCE if is_stored_once else {})
            seconds: dict[tuple[str, str], list[float]] = {}
            requests: dict[tuple[str, str], list[int]] = {}
            for number in range(runs):
                order = list(projects.items())[:: 1 if number % 2 else -1]
                for operation in OPERATIONS:
                    for name, project in order:
                        space.emulator.clear_requests()
                        seconds.setdefault((operation, name), []).append(timed(project, operation))
                        requests.setdefault((operation, name), []).append(sum(space.emulator.counters().values()))
                say(f"{size} resources{how}: {number + 1} of {runs} runs")
            for operation in OPERATIONS:
                ours, floor = seconds[operation, "provider"], seconds[operation, "floor"]
                yield counted(f"{operation} {size}{how}", requests[operation, "provider"], requests[operation, "floor"])
                yield from compared(f"{operation} {size}{how}", ours, floor, most_added(operation, size))


def counted(what: str, ours: Sequence[int], floor: Sequence[int]) -> Row:
    """Hold the provider's numbers of requests against the floor's. Raises RuntimeError where the floor's differ from run to run."""
    if len({*floor}) != 1:
        raise RuntimeError(f"{what}: the floor has to send the same number of requests in each run, but sent {list(floor)}")
    return Row(f"{what}: requests, as the floor", "", tuple(ours), floor[0], is_exact=True)


def compared(what: str, ours: Sequence[float], floor: Sequence[float], most: float | None) -> Iterator[Row]:
    """Hold the provider's seconds against the floor's, run by run."""
    yield Row(f"{what}: provider", "s", tuple(ours))
    yield Row(f"{what}: floor", "s", tuple(floor))
    yield Row(f"{what}: added", "s", tuple(one - other for one, other in zip(ours, floor, strict=True)), most)
    yield Row(f"{what}: ratio", "×", tuple(one / other for one, other in zip(ours, floor, strict=True)))


def start(runs: int) -> Iterator[Row]:
    """Measure (c) how long the plugin takes until it prints its port."""
    program = Path(sys.executable).with_name("pulumi-resource-runpod-serverless")
    seconds = []
    for _ in range(max(runs, 15)):
        began = time.perf_counter()
        with subprocess.Popen([program], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
            assert process.stdout is not None and process.stdout.readline()
            seconds.append(time.perf_counter() - began)
            process.terminate()
    yield Row("start until the port is printed", "s", tuple(seconds), START_SECONDS)


def memory(run: Run, size: int, runs: int) -> Iterator[Row]:
    """Measure (c) the most memory that the plugin takes while it serves an `up` and a refresh, whose engine asks as fast as it can."""
    peaks = []
    with workspace(run, f"memory-{size}") as space:
        project = space.project("memory")
        project.write(endpoints(size))
        project.environment.update(STORED_ONCE)
        for _ in range(runs):
            with peak_memory(project.environment["PULUMI_HOME"]) as peak:
                project.up()
                timed(project, "refresh")
            peaks.append(peak.megabytes)
            timed(project, "destroy")
    yield Row(f"peak memory, {size} resources", "MB", tuple(peaks), MEMORY_MEGABYTES)


def under_quota(run: Run, runs: int) -> Iterator[Row]:
    """Measure (d) how long the requests of many creates take under a quota, against the least that the quota allows."""
    what = f"{CREATES_UNDER_QUOTA} creates, q={QUOTA};w={WINDOW_SECONDS}"
    needed = CREATES_UNDER_QUOTA + 1  # the look at the catalog
    least = (needed - 1) // QUOTA * WINDOW_SECONDS
    took, answered, refused = [], [], []
    for number in range(runs):
        with workspace(run, f"quota-{number}") as space:  # each with an emulator of its own, whose windows begin with it
            project = space.project("quota")
            project.write(endpoints(CREATES_UNDER_QUOTA))
            project.command()  # the stack is there before the clock starts
            space.emulator.set(quota=QUOTA, minute_seconds=WINDOW_SECONDS)
            space.emulator.clear_requests()
            project.up("--parallel", "64")
            log = space.emulator.requests()
        took.append(max(one["at"] + (one["tookMs"] or 0) / 1000 for one in log) - min(one["at"] for one in log))
        refused.append(sum(one["status"] == 429 for one in log))
        answered.append(len(log) - refused[-1])
    yield Row(f"{what}: requests that were not refused", "", tuple(answered), needed, is_exact=True)
    yield Row(f"{what}: requests that were refused", "", tuple(refused))
    yield Row(f"{what}: optimum", "s", (least,))
    yield Row(f"{what}: took", "s", tuple(took))
    yield Row(f"{what}: ratio", "×", tuple(seconds / least for seconds in took), MOST_OF_OPTIMUM)


@contextmanager
def floor_on_path() -> Iterator[None]:
    """Build the floor plugin and put it on PATH. Raises CalledProcessError where that fails."""
    directory = ROOT / ".engine" / "floor"
    program = directory / "pulumi-resource-floor"
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(program), "./floor"]
    subprocess.run(command, cwd=ROOT / "tools" / "engine", check=True)
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([str(directory), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def as_table(rows: Sequence[Row]) -> str:
    """Write the rows as a Markdown table, with the missed targets below it."""
    lines = ["| figure | median | interval | n | target |", "| --- | ---: | --- | ---: | --- |"]
    for row in rows:
        interval = f"{row.low:.3g} … {row.high:.3g} ({int(100 * row.confidence)} %)" if len(row.values) > 1 else ""
        goal = row.goal if row.is_met else f"{row.goal}, MISSED"
        lines.append(f"| {row.metric} | {_figure(row)} | {interval} | {len(row.values)} | {goal} |")
    missed = [row for row in rows if not row.is_met]
    return "\n".join([*lines, *([""] if missed else []), *(f"MISSED {row.metric}: {_figure(row)} ({row.goal})" for row in missed)])


def _figure(row: Row) -> str:
    return f"{row.median:.4g} {row.unit}" if row.unit else f"{row.median:,g}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--sizes", type=_positive, nargs="+", default=list(SIZES), metavar="N", help="numbers of resources")
    parser.add_argument("--runs", type=_positive, default=LEAST_RUNS, help=f"pairs of runs for each size (default {LEAST_RUNS})")
    parser.add_argument(
        "--only", choices=["floor", "once", "start", "memory", "quota"], action="append", help="this part; repeatable"
    )
    parser.add_argument("--check", action="store_true", help=f"exit with 1 where a target is missed; takes {LEAST_RUNS} runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there, too")
    arguments = parser.parse_args(argv)
    if arguments.check and arguments.runs < LEAST_RUNS:
        parser.error(f"--check takes at least {LEAST_RUNS} runs: what fewer say of a median is no ground to fail")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    arguments = _arguments(argv)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if arguments.runs < LEAST_RUNS:
        say(f"fewer than {LEAST_RUNS} runs: the intervals mean little")
    where = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "engine.py"), "--where"], stdout=subprocess.PIPE, text=True, check=True
    )
    engine = Path(where.stdout.strip())
    os.environ["PATH"] = os.pathsep.join([str(engine), os.environ["PATH"]])
    rows: list[Row] = []
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
        run = Run(seed=0, is_full=True, directory=Path(directory), engine=engine)
        parts: Mapping[str, Callable[[], Iterable[Row]]] = {
            "start": lambda: start(arguments.runs),
            "quota": lambda: under_quota(run, arguments.runs),
            "memory": lambda: memory(run, max(arguments.sizes), arguments.runs),
            "once": lambda: against_the_floor(run, [max(arguments.sizes)], arguments.runs, say, is_stored_once=True),
            "floor": lambda: against_the_floor(run, arguments.sizes, arguments.runs, say),
        }
        chosen = [name for name in parts if arguments.only is None or name in arguments.only]
        if not {"floor", "once"}.isdisjoint(chosen):
            stack.enter_context(floor_on_path())
        for name in chosen:
            say(f"{name} …")
            rows += parts[name]()
        made_with = versions(engine)
    print(as_table(rows))
    print("\n" + ", ".join(f"{name} {text}" for name, text in made_with.items()))
    publish({**made_with, "figures": [row.document() for row in rows]}, arguments.json)
    return 1 if arguments.check and not all(row.is_met for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
