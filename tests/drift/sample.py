"""A report that has everything in it. `PYTHONPATH=tests python -m drift.sample` writes what each format makes of it into `golden/`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from runpod_serverless_provider.drift import (
    SECRET,
    Cause,
    CauseKind,
    PropertyDrift,
    Report,
    ResourceDrift,
    StackReport,
    Undeployed,
    Up,
)
from runpod_serverless_provider.drift.formats import Format, write

GOLDEN: Final = Path(__file__).parent / "golden"
FILES: Final = {Format.TABLE: "table.txt", Format.JSON: "report.json", Format.MARKDOWN: "report.md", Format.GITHUB: "github.txt"}
ENDPOINT: Final = "runpod-serverless:index:Endpoint"
VOLUME: Final = "runpod-serverless:index:NetworkVolume"


def _urn(stack: str, token: str, name: str) -> str:
    return f"urn:pulumi:{stack}::project::{token}::{name}"


REPORT: Final = Report(
    (
        StackReport(
            "prod",
            "project",
            resources=(
                ResourceDrift(
                    _urn("prod", ENDPOINT, "api"),
                    ENDPOINT,
                    "api",
                    "ep-1",
                    properties=(
                        PropertyDrift("env.ADDED", None, SECRET, is_secret=True, up=Up.UPDATE),
                        PropertyDrift('env["A.B"]', "a|b `c`", "\x1b[31mred\x1b[0m\n::error::forged, 100 %", up=Up.UPDATE),
                        PropertyDrift("env.TOKEN", SECRET, SECRET, is_secret=True, up=Up.UPDATE),
                        PropertyDrift("flashboot", "FLASHBOOT", "OFF", up=Up.RECREATE),
                        PropertyDrift("gpu", ["any"], ["ADA_24", "NVIDIA A40"], up=Up.RECREATE),
                        PropertyDrift("template.args", "--model " + "x" * 100, "", up=Up.RECREATE),
                        PropertyDrift("workers.max", 5, 2, up=Up.NOTHING),
                    ),
                    causes=(
                        Cause(CauseKind.WORKERS_LOWERED, "somebody lowered the workers, or Runpod itself"),
                        Cause(CauseKind.ENV_ADDED, "a variable that the program does not know was added by hand: ADDED"),
                    ),
                    up=Up.RECREATE,
                ),
                ResourceDrift(
                    _urn("prod", ENDPOINT, "lost"),
                    ENDPOINT,
                    "lost",
                    "ep-2",
                    is_gone=True,
                    causes=(Cause(CauseKind.DELETED, "it was deleted outside of Pulumi: Runpod has no endpoint 'ep-2' any more"),),
                    up=Up.CREATE,
                ),
                ResourceDrift(
                    _urn("prod", VOLUME, "models"),
                    VOLUME,
                    "models",
                    "vol-1",
                    properties=(PropertyDrift("size", 20, 40, up=Up.FAIL),),
                    up=Up.FAIL,
                    remark="size: a network volume cannot shrink: it has 40 GB, and 20 GB are asked for",
                ),
            ),
            undeployed=(
                Undeployed(_urn("prod", ENDPOINT, "api"), ENDPOINT, "api", Up.UPDATE, ("idleTimeout", "name")),
                Undeployed(_urn("prod", ENDPOINT, "new"), ENDPOINT, "new", Up.CREATE),
                Undeployed(_urn("prod", ENDPOINT, "wrong"), ENDPOINT, "wrong", Up.FAIL, remark="name: must not be empty"),
            ),
        ),
        StackReport("dev", "project"),
        StackReport(
            "test",
            "project",
            resources=(
                ResourceDrift(
                    _urn("test", ENDPOINT, "api"),
                    ENDPOINT,
                    "api",
                    "ep-3",
                    properties=(PropertyDrift("workers.min", 1, 0),),
                ),
            ),
            up_unknown="failed to load language plugin python: no language plugin 'pulumi-language-python' found",
        ),
        StackReport("old", "", error="error <b>: the API refused the key\n100 % of it"),
    )
)


def written(form: Format) -> str:
    """Give what a format makes of the report, where there is no terminal."""
    file = io.StringIO()
    write(REPORT, form, file, {})
    return file.getvalue()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for form, name in FILES.items():
        (GOLDEN / name).write_text(written(form), encoding="utf-8")
