"""Each example lives its whole life: up, nothing to do, refresh, nothing to do, and away without a trace."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pulumi import automation
from tools.examples import NEEDED

from engine.harness import ROOT, Stack
from engine.programs import configure

if TYPE_CHECKING:
    from runpod_emulator.running import Running

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/Pulumi.yaml"))
KINDS = ("endpoints", "boundTemplates", "templates", "networkVolumes", "registries")


class Example:
    """One example in a project of its own; a Python program runs in this process, as it stands there."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        shutil.copytree(folder, stack.directory, dirs_exist_ok=True)
        self.project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        self._stack = stack
        self._main = folder / "__main__.py"

    def _inline(self) -> automation.Stack | None:
        if self.project["runtime"] == "yaml":
            return None
        return self._stack.inline(lambda: runpy.run_path(str(self._main), run_name="__main__") and None)

    def up(self) -> Mapping[str, int]:
        """Bring it up, and give how many resources were created, changed and so on."""
        inline = self._inline()
        return self._stack.up().summary if inline is None else inline.up().summary.resource_changes or {}

    def outputs(self) -> Mapping[str, object]:
        """Give its outputs."""
        return self._stack.outputs()

    def refresh(self) -> Mapping[str, int]:
        """Refresh it."""
        inline = self._inline()
        return self._stack.refresh().summary if inline is None else inline.refresh().summary.resource_changes or {}

    def expect_no_changes(self) -> None:
        """Fail where a preview with a refresh finds anything to do."""
        inline = self._inline()
        if inline is None:
            self._stack.expect_no_changes()
        else:
            inline.preview(refresh=True, expect_no_changes=True)


@pytest.mark.parametrize("folder", EXAMPLES, ids=[folder.name for folder in EXAMPLES])
def test_an_example_lives_its_whole_life(stack: Stack, emulator: Running, folder: Path) -> None:
    """An example runs on the emulator as its files stand there, with protection lifted so that it can go."""
    example = Example(folder, stack)
    configure(stack, folder.name)
    created = example.up()
    assert set(created) == {"create"}
    assert all(example.outputs().values())
    assert set(example.up()) == {"same"}
    assert set(example.refresh()) == {"same"}
    example.expect_no_changes()
    stack.destroy()
    assert [emulator.state()[kind] for kind in KINDS if emulator.state()[kind]] == []


@pytest.mark.parametrize("missing", NEEDED["vllm"])
def test_an_example_deploys_nothing_in_the_place_of_what_it_needs(stack: Stack, emulator: Running, missing: str) -> None:
    """Credentials, an image or a token of nobody's would come up, cost money and serve nothing; the error says how to set them."""
    example = Example(ROOT / "examples" / "vllm", stack)
    configure(stack, "vllm", without=missing)
    with pytest.raises(Exception, match=f"Missing required configuration variable 'vllm:{missing}'"):
        example.up()
    assert [emulator.state()[kind] for kind in KINDS if emulator.state()[kind]] == []


@pytest.mark.parametrize("folder", EXAMPLES, ids=[folder.name for folder in EXAMPLES])
def test_an_example_says_what_it_is(folder: Path) -> None:
    """Its project has its folder's name and a description, and a README stands beside it."""
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    assert project["name"] == folder.name
    assert project["description"]
    assert (folder / "README.md").read_text().startswith("# ")


def test_the_three_first_examples_are_there() -> None:
    """No example goes unnoticed."""
    assert {"quickstart-python", "quickstart-yaml", "flash-parameters"} <= {folder.name for folder in EXAMPLES}
