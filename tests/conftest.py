"""Fixtures that every test can ask for, and the rule about skips."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any, Final, TypeVar

import pytest

ALLOWED_SKIPS: Final = (
    "shared reference absent",  # the API's own document lies beside the repository where we develop, not in it
    "RUNPOD_LIVE_TEST is not set",  # tests against the real API cost money
    "headless Chromium absent",
    "Node.js absent",  # .ci/run installs both where it can
    "npm registry unreachable",
    "Go absent",
)
"""How the reason of a skip begins that is no failure in CI: there, whatever else is skipped was meant to run."""

SHARING: Final = ("tests/engine/test_recreate_table.py", "tests/drift/test_drift_properties.py", "tests/drift/test_drift_story.py")
"""Modules whose tests share what is dear to set up, so that one process runs them all."""

pytest_plugins = ("engine.harness",)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session", autouse=True)
def pulumi_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what a provider in this process writes for Pulumi away from the user's own files."""
    before = os.environ.get("PULUMI_HOME")
    os.environ["PULUMI_HOME"] = str(tmp_path_factory.mktemp("pulumi"))
    yield
    if before is None:
        del os.environ["PULUMI_HOME"]
    else:
        os.environ["PULUMI_HOME"] = before


def _judged(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        longrepr = report.longrepr
        reason = (longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)).removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where only the skips of tests/conftest.py are allowed: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip that is not allowed into a failure."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself."""
    return _judged((yield))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each test to the next process that is free, but the modules that share to one each."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = lambda nodeid: module if (module := nodeid.partition("::")[0]) in SHARING else nodeid
    return scheduling
