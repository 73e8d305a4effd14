"""The documents as their readers take them: by section and block, and on a machine of their own."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.harness import KEY, TIMEOUT_SECONDS


@dataclass(frozen=True)
class Block:
    """One fenced block; `file` is the file of this repository that it shows, if it shows one."""

    language: str
    text: str
    file: str = ""


def section(page: str, title: str) -> str:
    """Give the text below a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def blocks(page: str, title: str) -> Iterator[Block]:
    """Give the fenced blocks of a section."""
    for found in re.finditer(r"(?:<!-- file: (\S+) -->\n)?^```(\w+)\n(.*?)^```$", section(page, title), re.MULTILINE | re.DOTALL):
        yield Block(found[2], found[3], found[1] or "")


def installs(line: str) -> bool:
    """Is this a line that makes an environment, which these tests run in already?"""
    return line.startswith("python3 -m venv ") or " ".join(shlex.split(line)[:2]).removeprefix("venv/bin/") == "pip install"


def run(line: str, directory: Path, environment: Mapping[str, str]) -> str:
    """Run a line in a shell, and give what it prints."""
    done = subprocess.run(
        ["sh", "-ec", line],
        cwd=directory,
        env=environment,
        input=KEY,  # `config set --secret` asks for it
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout
