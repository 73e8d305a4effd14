"""What two accounts answered to the same requests, side by side, and what of it differs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_TIMES: Final = frozenset({"createdAt"})
_BOUND: Final = re.compile(r"__template__.*")


@dataclass
class Record:
    """What one account answered: by step, then by what was asked. `problems` are what the suite itself found wrong there."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def note(self, step: str, answers: Mapping[str, Any]) -> None:
        """Keep the answers of one step."""
        self.steps.setdefault(step, {}).update(answers)


def anonymous(value: Any, names: Mapping[str, str]) -> Any:
    """Put names for what differs from account to account: `names` by id or prefix."""
    if isinstance(value, Mapping):
        return {key: "<time>" if key in _TIMES else anonymous(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [anonymous(item, names) for item in value]
    if isinstance(value, str):
        for text, name in names.items():
            value = value.replace(text, name)
        return _BOUND.sub("__template__<own>", value)
    return value


@dataclass(frozen=True)
class Difference:
    """One place where the two answers differ; None where one has nothing."""

    step: str
    path: str
    real: Any
    emulator: Any


def differences(real: Record, emulator: Record) -> list[Difference]:
    """Find what differs in the steps that both took."""
    found = []
    for step in [name for name in real.steps if name in emulator.steps]:
        ours, theirs = dict(_leaves(real.steps[step], "")), dict(_leaves(emulator.steps[step], ""))
        paths = dict.fromkeys([*ours, *theirs])
        found += [Difference(step, path, ours.get(path), theirs.get(path)) for path in paths if ours.get(path) != theirs.get(path)]
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def write(directory: Path, real: Record, emulator: Record) -> Path:
    """Write `comparison.json` and `comparison.md`, and return the latter's path."""
    directory.mkdir(parents=True, exist_ok=True)
    found = differences(real, emulator)
    content = {
        "differences": [vars(item) for item in found],
        "real": {"problems": real.problems, "steps": real.steps},
        "emulator": {"problems": emulator.problems, "steps": emulator.steps},
    }
    (directory / "comparison.json").write_text(json.dumps(content, indent=2) + "\n")
    lines = ["# What Runpod answered beside what the emulator answers", ""]
    for name, record in (("Runpod", real), ("the emulator", emulator)):
        lines += [f"- {name}: {problem}" for problem in record.problems]
    lines += [
        "",
        f"{len(real.steps)} steps, {len(found)} differences.",
        "",
        "| step | where | Runpod | emulator |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {item.step} | `{item.path}` | {_cell(item.real)} | {_cell(item.emulator)} |" for item in found]
    report = directory / "comparison.md"
    report.write_text("\n".join(lines) + "\n")
    return report


def _cell(value: Any) -> str:
    return "–" if value is None else f"`{json.dumps(value)}`".replace("|", "\\|")
