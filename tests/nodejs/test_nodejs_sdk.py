"""The SDK for Node.js is generated from the same schema: it compiles, and a program in TypeScript says with it what one in Python says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest

from engine.harness import ROOT

PROGRAM: Final = Path(__file__).with_name("program.ts")
PACKAGE: Final = "runpod-serverless:index:"
INSTALL_SECONDS: Final = 120


def _secret(value: Any) -> dict[str, Any]:
    """Give a value as the SDK marks it for secret."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def _run(command: list[str], directory: Path, *, seconds: float = 120) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}:\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def _modules(sdk: Path) -> Path:
    """Install what the SDK's own package.json asks for, once for each of its versions."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js absent: neither node nor npm can be found")
    content = (sdk / "package.json").read_bytes()
    kept = ROOT / ".engine" / "nodejs" / hashlib.sha256(content).hexdigest()[:16] / "node_modules"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            (Path(scratch) / "package.json").write_bytes(content)
            command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
            try:
                done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm registry unreachable: npm did not end within {INSTALL_SECONDS} s")
            if done.returncode:
                pytest.skip(f"npm registry unreachable: {done.stderr.strip().splitlines()[:1]}")
            Path(scratch, "node_modules").rename(kept)
    return kept


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory, engine_directory: Path) -> Path:
    """Generate the SDK with what it needs beside it."""
    gensdk = ROOT / ".engine" / "bin" / ("gensdk.exe" if os.name == "nt" else "gensdk")
    folder = tmp_path_factory.mktemp("nodejs") / "sdk"
    _run([str(gensdk), str(ROOT / "schema.json"), "nodejs", str(folder)], ROOT)
    (folder.parent / "node_modules").symlink_to(_modules(folder), target_is_directory=True)
    return folder


def _compile(sdk: Path) -> Path:
    """Check the types of SDK and program together, and compile both."""
    folder = sdk.parent
    shutil.copy(PROGRAM, folder)
    settings = json.loads(
        "".join(line for line in (sdk / "tsconfig.json").read_text().splitlines() if not line.strip().startswith("//"))
    )
    options: dict[str, Any] = {
        **settings["compilerOptions"],
        "outDir": "out",
        "rootDir": ".",
        "baseUrl": ".",
        "paths": {"pulumi-runpod-serverless": ["sdk/index.ts"]},
    }
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": [PROGRAM.name]}))
    _run(["node", str(folder / "node_modules" / "typescript" / "bin" / "tsc"), "--project", "."], folder)
    return folder / "out"


def test_a_program_in_typescript_is_checked_and_says_what_is_meant(sdk: Path) -> None:
    """Right uses pass and wrong ones are refused, each where the program says so; what then is registered has the schema's names."""
    out = _compile(sdk)
    shutil.copy(sdk / "package.json", out / "sdk")
    module = out / "node_modules" / "pulumi-runpod-serverless"
    module.parent.mkdir(exist_ok=True)
    module.symlink_to(out / "sdk", target_is_directory=True)
    (out / "sdk" / "package.json").write_text(json.dumps({**json.loads((sdk / "package.json").read_text()), "main": "index.js"}))
    told = json.loads(_run(["node", "program.js"], out))
    registered = {name.removeprefix(PACKAGE): inputs for name, inputs in told["registered"].items()}
    assert (told["run"], told["found"]) == ("https://run", "https://found")
    assert registered["Registry registry"] == {"username": "me", "password": _secret("sesame")}
    assert registered["Endpoint llm"] | {"volume": None} == {
        "gpu": ["NVIDIA A100 80GB PCIe", "ADA_24", "SOME_NEW_POOL"],
        "gpuCount": 2,
        "volume": None,
        "template": {"image": "me/worker:1"},
        "workers": {"min": 1, "max": 3},
        "env": _secret({"TOKEN": "sesame", "MODELS": "models-id"}),
        "flashboot": True,
        "updateStrategy": "inPlace",
    }
    assert registered["Endpoint api"]["template"] == {"ports": ["8000/http"], "env": {"PORT": "8000"}, "containerDiskInGb": 10}
    assert registered["PodTemplate common"]["registryAuthId"] == "registry-id"


def test_the_package_asks_for_an_engine_that_is_recent_enough(sdk: Path) -> None:
    """Its version is the plugin's, and its Pulumi is not older than the oldest engine that the provider works with."""
    package = json.loads((sdk / "package.json").read_text())
    schema = json.loads((ROOT / "schema.json").read_text())
    assert package["version"] == package["pulumi"]["version"] == schema["version"]
    assert package["name"] == "pulumi-runpod-serverless"
    assert package["dependencies"] == {
        "@pulumi/pulumi": "^" + schema["language"]["python"]["requires"]["pulumi"][2:].partition(",")[0] + ".0"
    }
