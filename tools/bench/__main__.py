"""`python -m tools.bench`: measure the provider against a plugin that makes the same HTTP calls and nothing else.

Prints one table, and with `--json` the raw numbers. Nothing here passes or fails by itself: figures depend on the machine, and on what
else it does, so targets are only shown beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..reliability.report import ROOT, Run, versions
from ..reliability.workspace import Project, Workspace, stated, workspace
from .processes import peak_memory

LEAST_RUNS: Final = 7
SIZES: Final = (1, 100, 1000)
FIXED_SECONDS: Final = 0.6
EACH_SECONDS: Final = {"preview": 0.002, "up": 0.010}
"""What may be added for each resource, beside the fixed part for each operation."""
OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "up": ("up", "--yes", "--skip-preview"),
    "preview": ("preview",),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
}
"""In this order; `preview` finds nothing to do."""
CREATES_UNDER_QUOTA: Final = 200
QUOTA: Final = 60
WINDOW_SECONDS: Final = 6


@dataclass(frozen=True)
class Row:
    """One line of the table. `values` are the raw numbers, `low` and `high` the interval of their median (its confidence is 98 % for 7)."""

    name: str
    unit: str
    values: tuple[float, ...]
    target: str = ""

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return max(self.values)


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
    """Bring one endpoint up, and return what it took: the body of its POST, and the path of the GET before."""
    project = space.project("sample")
    project.write(endpoints(1))
    space.emulator.clear_requests()
    project.up()
    log = space.emulator.requests()
    project.pulumi("destroy", "--yes", "--skip-preview", must_succeed=True)
    first = next((f"{one['path'].removeprefix('/v2')}?{one['query']}" for one in log if one["method"] == "GET"), "")
    return {"first": first.removesuffix("?"), "body": next(one["body"] for one in log if one["method"] == "POST")}


def timed(project: Project, operation: str) -> float:
    """Run one operation of the CLI and return its seconds."""
    began = time.perf_counter()
    project.pulumi(*OPERATIONS[operation], must_succeed=True)
    return time.perf_counter() - began


def against_the_floor(run: Run, sizes: Sequence[int], runs: int, say: Callable[[str], None]) -> Iterator[Row]:
    """Measure (a) requests and (b) time of each operation, in pairs: the one follows upon the other, so both meet the same machine."""
    for size in sizes:
        with workspace(run, f"floor-{size}") as space:
            sample = sampled(space)
            programs = {"provider": endpoints(size), "floor": things(size, sample)}
            projects = {name: space.project(name) for name in programs}
            for name, project in projects.items():
                project.write(programs[name])
            seconds: dict[tuple[str, str], list[float]] = {}
            requests: dict[tuple[str, str], int] = {}
            for number in range(runs):
                order = list(projects.items())[:: 1 if number % 2 else -1]
                for operation in OPERATIONS:
                    for name, project in order:
                        space.emulator.clear_requests()
                        seconds.setdefault((operation, name), []).append(timed(project, operation))
                        requests[operation, name] = sum(space.emulator.counters().values())
                say(f"{size} resources: {number + 1} of {runs} runs")
            for operation in OPERATIONS:
                ours, floor = seconds[operation, "provider"], seconds[operation, "floor"]
                added = tuple(one - other for one, other in zip(ours, floor, strict=True))
                allowed = EACH_SECONDS.get(operation)
                target = f"≤ {FIXED_SECONDS + allowed * size:.1f}" if allowed else ""
                yield Row(
                    f"{operation} {size}: requests",
                    "",
                    (requests[operation, "provider"],),
                    f"{requests[operation, 'floor']} of the floor",
                )
                yield Row(f"{operation} {size}: provider", "s", tuple(ours))
                yield Row(f"{operation} {size}: floor", "s", tuple(floor))
                yield Row(f"{operation} {size}: added", "s", added, target)
                yield Row(f"{operation} {size}: ratio", "×", tuple(one / other for one, other in zip(ours, floor, strict=True)))


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
    yield Row("start until the port is printed", "s", tuple(seconds), "≤ 0.35")


def memory(run: Run, size: int) -> Iterator[Row]:
    """Measure (c) the most memory that the plugin takes while it serves an `up` and a refresh."""
    with workspace(run, f"memory-{size}") as space:
        project = space.project("memory")
        project.write(endpoints(size))
        with peak_memory(project.environment["PULUMI_HOME"]) as peak:
            project.up()
            timed(project, "refresh")
        yield Row(f"peak memory, {size} resources", "MB", (peak.megabytes,), "≤ 80")
        project.pulumi("destroy", "--yes", "--skip-preview", must_succeed=True)


def under_quota(run: Run) -> Iterator[Row]:
    """Measure (d) how long the requests of many creates take under a quota, against the least that the quota allows."""
    with workspace(run, "quota") as space:
        project = space.project("quota")
        project.write(endpoints(CREATES_UNDER_QUOTA))
        project.pulumi("config", "set", "nothing", "x", must_succeed=True)  # the stack is there before the clock starts
        space.emulator.set(quota=QUOTA, minute_seconds=WINDOW_SECONDS)
        space.emulator.clear_requests()
        project.up("--parallel", "64")
        log = space.emulator.requests()
        answered = [one for one in log if one["status"] != 429]
        took = max(one["at"] + (one["tookMs"] or 0) / 1000 for one in log) - min(one["at"] for one in log)
        least = (len(answered) - 1) // QUOTA * WINDOW_SECONDS
        yield Row(f"{CREATES_UNDER_QUOTA} creates, q={QUOTA};w={WINDOW_SECONDS}: optimum", "s", (least,))
        yield Row(f"{CREATES_UNDER_QUOTA} creates, q={QUOTA};w={WINDOW_SECONDS}: took", "s", (took,))
        yield Row(f"{CREATES_UNDER_QUOTA} creates, q={QUOTA};w={WINDOW_SECONDS}: ratio", "×", (took / least,), "≤ 1.05")
        yield Row(
            f"{CREATES_UNDER_QUOTA} creates, q={QUOTA};w={WINDOW_SECONDS}: refused", "", (len(log) - len(answered),), "0 is best"
        )


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
    """Write the rows as a Markdown table."""
    lines = ["| figure | median | interval | n | target |", "| --- | ---: | --- | ---: | --- |"]
    for row in rows:
        interval = f"{row.low:.3g} … {row.high:.3g}" if len(row.values) > 1 else ""
        value = f"{row.median:,.0f}" if not row.unit else f"{row.median:.3g} {row.unit}"
        lines.append(f"| {row.name} | {value} | {interval} | {len(row.values)} | {row.target} |")
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N", help="numbers of resources")
    parser.add_argument("--runs", type=int, default=LEAST_RUNS, help=f"pairs of runs for each size (default {LEAST_RUNS})")
    parser.add_argument("--only", choices=["floor", "start", "memory", "quota"], action="append", help="this part; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw numbers there")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    arguments = _arguments(argv)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    where = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "engine.py"), "--where"], stdout=subprocess.PIPE, text=True, check=True
    )
    engine = Path(where.stdout.strip())
    os.environ["PATH"] = os.pathsep.join([str(engine), os.environ["PATH"]])
    rows: list[Row] = []
    with floor_on_path(), tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        run = Run(seed=0, is_full=True, directory=Path(directory), engine=engine)
        parts: Mapping[str, Callable[[], Iterator[Row]]] = {
            "start": lambda: start(arguments.runs),
            "quota": lambda: under_quota(run),
            "memory": lambda: memory(run, max(arguments.sizes)),
            "floor": lambda: against_the_floor(run, arguments.sizes, arguments.runs, say),
        }
        for name, part in parts.items():
            if arguments.only is None or name in arguments.only:
                say(f"{name} …")
                rows += part()
        made_with = versions(engine)
    print(as_table(rows))
    print("\n" + ", ".join(f"{name} {text}" for name, text in made_with.items()))
    if arguments.json is not None:
        listed = [{**asdict(row), "median": row.median, "low": row.low, "high": row.high} for row in rows]
        arguments.json.write_text(
            json.dumps({**made_with, "figures": listed}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
