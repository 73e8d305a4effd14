"""What a measurement is given and what it gives, and the scorecard that is made of it: one table for people, one JSON for programs."""

from __future__ import annotations

import json
import platform
import random
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from runpod_serverless_provider.core.version import plugin_version

from .canaries import Canaries

ROOT: Final = Path(__file__).resolve().parents[2]
_Value = TypeVar("_Value")
_REPEAT: Final = "repeat: python -m tools.reliability "


@dataclass(frozen=True)
class Result:
    """One line of the scorecard: `n` trials, of which `failures` missed the target.

    Each failure says what was wrong; what repeats it, the scorecard adds. `detail` is for figures that are worth reading also where the
    target is met.
    """

    metric: str
    target: str
    n: int
    failures: tuple[str, ...]
    seed: int
    detail: str = ""

    @property
    def is_met(self) -> bool:
        """Did every trial meet the target, and was there one at all?"""
        return self.n > 0 and not self.failures

    def repeatable(self, command: str) -> Result:
        """Let each failure that does not say by itself what repeats it end with `command`."""
        return replace(self, failures=tuple(text if _REPEAT in text else f"{text}; {command}" for text in self.failures))


@dataclass(frozen=True)
class Run:
    """One run of the scorecard. `is_full` asks for the nightly numbers, else for some seconds' worth.

    `directory` is scratch space that goes with the run, `engine` the directory of the Pulumi CLI. What programs print and store is shown
    to `canaries`.
    """

    seed: int
    is_full: bool
    directory: Path
    engine: Path
    canaries: Canaries = field(default_factory=Canaries)

    def scaled(self, quick: _Value, full: _Value) -> _Value:
        """Choose by the form of the run."""
        return full if self.is_full else quick

    def random(self, *names: object) -> random.Random:
        """Make a source of chance that is the same in each run with this seed, and another one for other `names`."""
        return random.Random(f"{self.seed} {names}")

    def at(self, seed: int) -> Run:
        """Return the part of this run that has a `seed` of its own: the first of the run that has it for its seed."""
        return replace(self, seed=seed)

    def repeat(self, name: str, seed: int | None = None) -> str:
        """Word the command that runs the measurement `name` again, or the part of it that has a `seed` of its own."""
        form = "" if self.is_full else "--quick "
        return f"{_REPEAT}{form}--only {name} --seed {self.seed if seed is None else seed}"


def versions(engine: Path) -> dict[str, str]:
    """Name what was measured: provider, CLI, Python and commit."""
    return {
        "provider": plugin_version(),
        "cli": _said([str(engine / "pulumi"), "version"]),
        "python": platform.python_version(),
        "commit": _said(["git", "rev-parse", "--short=12", "HEAD"]) + ("+" if _said(["git", "status", "--porcelain"]) else ""),
    }


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip()


def as_table(results: Iterable[Result], made_with: Mapping[str, str]) -> str:
    """Write the scorecard as a Markdown table, with all failures below it."""
    results = list(results)
    rows = [["metric", "target", "n", "missed", "detail"], ["---", "---", "---:", "---:", "---"]]
    rows += [[one.metric, one.target, f"{one.n:,}", str(len(one.failures)), one.detail] for one in results]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    seeds = ", ".join(map(str, sorted({one.seed for one in results}))) or "none"
    lines += ["", f"seed {seeds}; " + ", ".join(f"{name} {text}" for name, text in made_with.items())]
    for one in results:
        lines += [f"\nMISSED {one.metric} ({one.target}):"] if not one.is_met else []
        lines += [] if one.n else ["  - nothing was tried"]
        lines += [f"  - {text}" for text in one.failures]
    return "\n".join(lines)


def as_document(results: Iterable[Result], made_with: Mapping[str, str], *, is_full: bool) -> dict[str, Any]:
    """Write the scorecard as one JSON document."""
    listed = [{**asdict(one), "failures": list(one.failures), "isMet": one.is_met} for one in results]
    return {"form": "full" if is_full else "quick", **made_with, "results": listed}


def publish(document: Mapping[str, Any], file: Path | None) -> None:
    """Print a JSON document as the last line of the output, and write it to `file` for people, too."""
    print("\n" + json.dumps(document, ensure_ascii=False))
    if file is not None:
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
