"""The backend is found as the CLI finds it."""

from __future__ import annotations

import json

import pytest

from runpod_serverless_provider.backend import find_backend, pulumi_home


@pytest.fixture
def place(tmp_path):
    """Give a home and a folder within a project."""
    folder = tmp_path / "project" / "src"
    folder.mkdir(parents=True)
    return tmp_path, folder


def project(place, text, name="Pulumi.yaml"):
    """Write the project's file."""
    (place[1].parent / name).write_text(text)


def login(place, text):
    """Write the CLI's credentials."""
    (place[0] / ".pulumi").mkdir(exist_ok=True)
    (place[0] / ".pulumi" / "credentials.json").write_text(text)


def test_the_order_is_that_of_the_cli(place):
    """Variable, project, login, token."""
    home, folder = place
    assert find_backend({}, folder, home) is None
    assert find_backend({"PULUMI_ACCESS_TOKEN": "t"}, folder, home) == "https://api.pulumi.com"
    login(place, json.dumps({"current": "s3://bucket"}))
    assert find_backend({"PULUMI_ACCESS_TOKEN": "t"}, folder, home) == "s3://bucket"
    project(place, "name: x\nbackend:\n  url: gs://bucket\n")
    assert find_backend({}, folder, home) == "gs://bucket"
    assert find_backend({"PULUMI_BACKEND_URL": "https://pulumi.example"}, folder, home) == "https://pulumi.example"


def test_a_relative_path_is_that_of_the_working_directory(place):
    """Two projects with `file://.` have two backends."""
    home, folder = place
    assert find_backend({"PULUMI_BACKEND_URL": "file://./state"}, folder, home) == (folder / "state").as_uri()
    assert find_backend({"PULUMI_BACKEND_URL": "file:///state"}, folder, home) == "file:///state"


def test_the_home_of_pulumi_can_be_elsewhere(place):
    """`PULUMI_HOME` holds the login, too."""
    home, folder = place
    login(place, json.dumps({"current": "s3://bucket"}))
    elsewhere = {"PULUMI_HOME": str(home / "elsewhere")}
    assert pulumi_home(elsewhere, home) == home / "elsewhere" and pulumi_home({}, home) == home / ".pulumi"
    assert find_backend(elsewhere, folder, home) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"backend": 5}', '{"backend": {"url": 5}}', '{"current": {}}'])
def test_files_that_tell_nothing_are_no_backend(place, text):
    """They are the CLI's to complain about."""
    home, folder = place
    project(place, text, "Pulumi.json")
    login(place, text)
    assert find_backend({}, folder, home) is None
