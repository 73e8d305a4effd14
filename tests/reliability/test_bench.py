"""The benchmarks run, measure like with like, and can fail."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools.bench import __main__ as bench
from tools.bench.processes import peak_memory

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("go") is None, reason="Go absent: the plugin to compare with cannot be built")
def test_the_floor_sends_the_requests_of_the_provider(tmp_path: Path) -> None:
    """Each operation costs as many requests as the least that there could be; times depend on the machine and are not judged here."""
    written = tmp_path / "bench.json"
    parts = [argument for part in ("start", "once", "floor") for argument in ("--only", part)]
    command = [sys.executable, "-m", "tools.bench", "--sizes", "3", "--runs", "1", *parts]
    done = subprocess.run([*command, "--json", str(written)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(written.read_text())
    assert json.loads(done.stdout.splitlines()[-1]) == document
    assert all(document[name] for name in ("provider", "cli", "python", "commit"))
    figures = {one["metric"]: one for one in document["figures"]}
    requests = {name: (one["values"], one["target"], one["isMet"]) for name, one in figures.items() if ": requests" in name}
    assert requests == {
        f"{operation} 3{how}: requests, as the floor": ([count], f"= {count}", True)
        for operation, count in (("up", 4), ("preview", 0), ("refresh", 1), ("destroy", 3))
        for how in ("", ", stored once")
    }
    assert len(figures["start until the port is printed"]["values"]) >= 7


def test_a_row_is_held_against_its_target():
    """A time by its median; a number of requests in every run; what has no target misses none."""
    row = bench.Row("m", "s", (0.3, 9.0, 0.35), 0.35)
    assert (row.median, row.low, row.high, row.goal, row.is_met) == (0.35, 0.3, 9.0, "≤ 0.35 s", True)
    assert row.confidence == 0.75
    assert not bench.Row("m", "s", (0.3, 9.0, 0.36), 0.35).is_met
    assert bench.Row("m", "", (4, 4), 4, is_exact=True).is_met
    assert not bench.Row("m", "", (4, 4, 5), 4, is_exact=True).is_met
    assert not bench.Row("m", "", (3,), 4, is_exact=True).is_met
    assert (bench.Row("m", "s", (99.0,)).goal, bench.Row("m", "s", (99.0,)).is_met) == ("", True)


def test_the_provider_is_compared_run_by_run():
    """And what it may add grows with the resources, where a target says how much each may cost."""
    assert [bench.most_added(operation, 1) for operation in bench.OPERATIONS] == pytest.approx([0.61, 0.602, 0.6, 0.6])
    assert [bench.most_added(operation, 100) for operation in bench.OPERATIONS] == [
        pytest.approx(1.6),
        pytest.approx(0.8),
        None,
        None,
    ]
    rows = {row.metric: row for row in bench.compared("up 1", (2.0, 3.0), (1.0, 2.0), 0.5)}
    assert (rows["up 1: added"].values, rows["up 1: added"].is_met) == ((1.0, 1.0), False)
    assert rows["up 1: ratio"].values == (2.0, 1.5)
    assert bench.counted("up 1", (2, 2), (2, 2)).is_met and not bench.counted("up 1", (2, 3), (2, 2)).is_met
    with pytest.raises(RuntimeError, match="same number of requests"):
        bench.counted("up 1", (2, 2), (2, 3))


@pytest.fixture
def faked(monkeypatch):
    """Let a part that takes no time stand for the start, and give the list of its rows."""
    rows = []
    monkeypatch.setattr(bench, "start", lambda runs: iter(rows))
    monkeypatch.setenv("PATH", os.environ["PATH"])  # which the program extends
    return rows


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (bench.Row("m", "s", (0.3,) * 7, 0.35), 0),
        (bench.Row("m", "s", (0.4,) * 7, 0.35), 1),
        (bench.Row("m", "", (5,) * 7, 4, is_exact=True), 1),
    ],
)
def test_a_missed_target_fails_the_check_alone(faked, capsys, row, code):
    """Without `--check` it is only shown; and no part but the comparison builds the plugin to compare with."""
    faked.append(row)
    assert bench.main(["--only", "start"]) == 0
    assert bench.main(["--only", "start", "--check"]) == code
    printed = capsys.readouterr().out
    assert ("MISSED m: " in printed) == bool(code)
    (figure,) = json.loads(printed.splitlines()[-1])["figures"]
    assert figure == {
        "metric": "m",
        "n": 7,
        "values": list(row.values),
        "unit": row.unit,
        "target": row.goal,
        "isMet": not code,
        "median": row.median,
        "low": row.low,
        "high": row.high,
    }


@pytest.mark.parametrize(("only", "is_built"), [("start", False), ("floor", True)])
def test_the_floor_is_built_only_to_compare_with_it(faked, monkeypatch, only, is_built):
    """Everything else needs no Go."""
    built = []

    @contextlib.contextmanager
    def build():
        built.append(only)
        yield

    monkeypatch.setattr(bench, "floor_on_path", build)
    monkeypatch.setattr(bench, "against_the_floor", lambda *arguments: iter(()))
    bench.main(["--only", only])
    assert bool(built) == is_built


def test_few_runs_are_no_ground_to_fail(faked, capsys):
    """The check refuses them; without it they are shown, with a warning."""
    with pytest.raises(SystemExit) as refused:
        bench.main(["--check", "--runs", "6"])
    assert refused.value.code == 2 and "at least 7 runs" in capsys.readouterr().err
    assert bench.main(["--only", "start", "--runs", "6"]) == 0
    assert "the intervals mean little" in capsys.readouterr().err


def test_no_plugin_has_no_peak_of_memory(tmp_path):
    """Zero would meet every target."""
    with pytest.raises(RuntimeError, match="no plugin was seen"), peak_memory(str(tmp_path)):
        pass
