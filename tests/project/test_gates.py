"""The whole tree held against its tools and house rules, so that `make test` covers `make check`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from runpod_serverless_provider import cli
from runpod_serverless_provider.core.version import plugin_version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SUFFIX = b".org"
REGISTRIES = (
    (8, "a4aa2ac280bb8d1a0ce7a1be5a7bfb10292b49fe9435ad5cff19f421f3c70e41"),
    (16, "8b5bb5eb9d758455b8635855cf8aaf05b68775e3f83f0291e800ef338fb9783c"),
    (16, "00a7dc5a0cc388586b8665846e7d8ae94a6dd096f2aa1aa3b4aab4ac484f998a"),
    (9, "8743857e3ea00fd1c64bbc68b8af241954ad2c285e7a60340eec7ea5dcb200db"),
)
"""Lengths and digests of the hosts of package registries, all of which end in `SUFFIX`: to spell them here would be to name them."""


def _make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # These tests run in the environment that `env` would bring up to date, and several at once.
    command = ["make", "--silent", "--assume-old", ".venv/.stamp", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "COV_"))}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _hosts(content: bytes, wanted: tuple[tuple[int, str], ...] = REGISTRIES) -> list[str]:
    """Find the hosts that are known by length and digest, wherever they stand in `content`."""
    ends = [found.end() for found in re.finditer(re.escape(SUFFIX), content)]
    words = {content[max(0, end - length) : end] for end in ends for length, _ in wanted}
    return sorted(word.decode() for word in words if (len(word), hashlib.sha256(word).hexdigest()) in wanted)


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.gate
@pytest.mark.parametrize("target", ["lint", "types", "layers", "generated", "smoke"])
def test_the_tree_passes(target: str) -> None:
    """Each target that only checks succeeds."""
    done = _make(target)
    assert done.returncode == 0, f"make {target}:\n{done.stdout}{done.stderr}"


def test_help_lists_every_target() -> None:
    """Every target has a description and is phony, so that no file of its name hides it."""
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    listed = {line.split()[0] for line in _make("help").stdout.splitlines()}
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert listed == targets == set(phony[1].split())
    assert _make().stdout == _make("help").stdout


def test_no_file_names_this_machine_or_a_registry() -> None:
    """What is committed works elsewhere: no path of one machine, no host of a package registry."""
    places = [word for place in (ROOT.parent, Path.home(), Path(sys.base_prefix)) if len(word := str(place) + os.sep) > 5]
    found = []
    for path in _files():
        content = path.read_bytes()
        words = [*_hosts(content), *(place for place in places if place.encode() in content)]
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words]
    assert found == []


def test_a_host_is_found_by_its_digest() -> None:
    """Within another word, too, and not where only its end stands."""
    wanted = tuple((len(word), hashlib.sha256(word).hexdigest()) for word in (b"registry.example.org", b"example.org"))
    assert _hosts(b"org .org see https://www.example.organic/", wanted) == ["example.org"]
    assert _hosts(b"https://www.example.org/") == []


def test_the_version_is_stated_once() -> None:
    """The project file states it; schema, SDK and plugin follow; no other source repeats it."""
    stated = PROJECT["project"]["version"]
    assert plugin_version().startswith(stated.partition("rc")[0])
    generated = {ROOT / "schema.json", ROOT / "sdk/python/pulumi_runpod_serverless/pulumi-plugin.json"}
    for path in generated:
        assert yaml.safe_load(path.read_text())["version"] == plugin_version()
    sources = [path for path in _files() if path.suffix in (".py", ".go") and not path.is_relative_to(ROOT / "tests")]
    assert [path for path in sources if f'"{stated}"' in path.read_text()] == []


def test_all_agree_on_the_oldest_engine() -> None:
    """The SDK's requirement, `make engine` and `install-plugin` accept the same engines."""
    (required,) = (line for line in PROJECT["project"]["dependencies"] if line.startswith("pulumi>"))
    oldest = tuple(map(int, f"{required.removeprefix('pulumi>=').partition(',')[0]}.0".split(".")))
    assert oldest == cli.OLDEST_CLI == _tool("engine").OLDEST_VERSION


@pytest.mark.parametrize("where", ["in the test", "in the module"])
@pytest.mark.parametrize(("reason", "code"), [("headless Chromium absent: not installed", 0), ("it is Tuesday", 1)])
def test_in_ci_only_known_skips_pass(tmp_path: Path, where: str, reason: str, code: int) -> None:
    """A skip that nobody allowed fails the run in CI, and only there."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    skip = f"pytest.skip({reason!r}, allow_module_level=True)\n"
    test = f"import pytest\ndef test_a():\n    {skip}" if where == "in the test" else f"import pytest\n{skip}"
    (tmp_path / "test_it.py").write_text(f"{test}\ndef test_b():\n    pass\n")
    (tmp_path / "test_other.py").write_text("def test_c():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "--rootdir", tmp_path, "-c", os.devnull, tmp_path]
    for is_ci in (True, False):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "CI": "true" if is_ci else ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == (is_ci and code != 0), done.stdout
        assert (reason in done.stdout) == (is_ci and code != 0)
