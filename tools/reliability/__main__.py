"""`python -m tools.reliability`: run the measurements, print the scorecard, and exit with 1 where a target is missed.

The scorecard is a table, and the same as JSON in the last line.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .report import ROOT, Result, Run, as_document, as_table, publish, versions


@dataclass(frozen=True)
class Measurement:
    """One module beside this one. `is_quick`: does it belong to the quick form, too?"""

    name: str
    is_quick: bool = True


MEASUREMENTS: Final = (
    Measurement("creations"),
    Measurement("pairs"),
    Measurement("requests"),
    Measurement("storms"),
    Measurement("fuzz"),
    Measurement("lifecycles"),
    Measurement("kills"),
    Measurement("adoptions"),
    Measurement("secrets"),
)
"""In the order in which they run; `secrets` stays last, because it also judges what the others printed and stored."""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="some minutes' worth instead of the nightly numbers")
    parser.add_argument("--seed", type=int, help="repeat the run with this seed")
    parser.add_argument("--only", action="append", choices=[one.name for one in MEASUREMENTS], help="this measurement; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there, too")
    return parser.parse_args(argv)


def _measured(name: str, run: Run) -> list[Result]:
    """Run one measurement; one that breaks is a missed target, and the others go on."""
    module = importlib.import_module(f".{name}", __package__)
    results: list[Result] = []
    try:
        found: Iterable[Result] = module.measure(run)
        for each in found:
            result = each.repeatable(run.repeat(name))
            results.append(result)
            said = "\n    - ".join((f"  {'met   ' if result.is_met else 'MISSED'} {result.metric}", *result.failures))
            print(said, file=sys.stderr, flush=True)  # now: a run of hours may not live to its table
    except Exception:  # noqa: BLE001 - whatever it is, the scorecard has to show it
        broken = Result(f"{name} runs to its end", "no error", 1, (traceback.format_exc(),), run.seed)
        results.append(broken.repeatable(run.repeat(name)))
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    arguments = _arguments(argv)
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    where = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "engine.py"), "--where"], stdout=subprocess.PIPE, text=True, check=True
    )
    chosen = [
        one.name for one in MEASUREMENTS if (one.name in arguments.only if arguments.only else one.is_quick or not arguments.quick)
    ]
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="reliability-", ignore_cleanup_errors=True) as directory:
        run = Run(seed, not arguments.quick, Path(directory), Path(where.stdout.strip()))
        os.environ["PATH"] = os.pathsep.join([str(run.engine), os.environ["PATH"]])
        for name in chosen:
            print(f"{name} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            results += _measured(name, run)
            print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        made_with = versions(run.engine)
    print(as_table(results, made_with))
    publish(as_document(results, made_with, is_full=not arguments.quick), arguments.json)
    return 0 if results and all(result.is_met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
