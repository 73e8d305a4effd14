"""The backend is found as the CLI finds it."""

from __future__ import annotations

import json

import pytest

from runpod_serverless_provider.backend import find_backend, pulumi_home

SERVICE = "https://api.pulumi.com"
ALONE = {"accessToken": "t", "username": "ann", "organizations": ["ann"]}


@pytest.fixture
def place(tmp_path):
    """Give a home and a folder within a project."""
    folder = tmp_path / "project" / "src"
    folder.mkdir(parents=True)
    return tmp_path, folder


def project(place, text, name="Pulumi.yaml"):
    """Write the project's file."""
    (place[1].parent / name).write_text(text)


def login(place, text, directory=".pulumi"):
    """Write the CLI's credentials."""
    (place[0] / directory).mkdir(exist_ok=True)
    (place[0] / directory / "credentials.json").write_text(text)


def test_the_order_is_that_of_the_cli(place):
    """Variable, project, login."""
    home, folder = place
    assert find_backend({}, folder, home) is None
    login(place, json.dumps({"current": "s3://bucket"}))
    assert find_backend({"PULUMI_ACCESS_TOKEN": "t"}, folder, home) == "s3://bucket"
    project(place, "name: x\nbackend:\n  url: gs://bucket\n")
    assert find_backend({}, folder, home) == "gs://bucket"
    assert find_backend({"PULUMI_BACKEND_URL": "azblob://bucket"}, folder, home) == "azblob://bucket"


def test_whoever_has_only_a_token_is_at_the_service(place):
    """At the usual one, or at the one that a variable names."""
    home, folder = place
    login(place, json.dumps({"accounts": {SERVICE: ALONE, "https://pulumi.example": {**ALONE, "organizations": ["acme"]}}}))
    assert find_backend({}, folder, home) is None
    assert find_backend({"PULUMI_ACCESS_TOKEN": "t"}, folder, home) == f"{SERVICE}/ann"
    elsewhere = {"PULUMI_ACCESS_TOKEN": "t", "PULUMI_API": "https://pulumi.example"}
    assert find_backend(elsewhere, folder, home) == "https://pulumi.example/acme"


@pytest.mark.parametrize(
    ("account", "found"),
    [
        (ALONE, "ann"),
        ({**ALONE, "organizations": ["acme"]}, "acme"),
        ({**ALONE, "organizations": []}, "ann"),
        ({"accessToken": "t", "username": "ann"}, "ann"),
        ({**ALONE, "organizations": ["ann", "acme"]}, None),
        ({"accessToken": "t"}, None),
        ({"accessToken": "t", "username": ""}, None),
        ({**ALONE, "organizations": [5]}, None),
        ({**ALONE, "organizations": {"ann": {}}}, None),
        ({**ALONE, "accessToken": "of somebody else"}, None),
        ("ann", None),
        (None, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("spelled", [SERVICE, f"{SERVICE}/"])
def test_a_service_is_known_with_the_only_organization(place, account, found, spelled):
    """URNs name none, so that the stacks of two organizations are told apart by nothing else."""
    home, folder = place
    login(place, json.dumps({"current": "s3://bucket", "accounts": {SERVICE: account}}))
    expected = found and f"{SERVICE}/{found}"
    assert find_backend({"PULUMI_BACKEND_URL": spelled, "PULUMI_ACCESS_TOKEN": "t"}, folder, home) == expected


@pytest.mark.parametrize("text", ["null", "[]", '{"accounts": []}', '{"accounts": null}', '{"securestore": 1}'])
def test_of_a_service_without_a_readable_login_nothing_is_known(place, text):
    """The CLI may have its credentials from elsewhere."""
    home, folder = place
    login(place, text)
    assert find_backend({"PULUMI_BACKEND_URL": SERVICE}, folder, home) is None


def test_without_a_token_the_login_counts_as_it_is(place):
    """And so does a service in the project's file."""
    home, folder = place
    login(place, json.dumps({"current": SERVICE, "accounts": {SERVICE: ALONE, "http://localhost:1": ALONE}}))
    assert find_backend({}, folder, home) == f"{SERVICE}/ann"
    project(place, "name: x\nbackend: {url: 'http://localhost:1/'}\n")
    assert find_backend({}, folder, home) == "http://localhost:1/ann"


@pytest.mark.parametrize(
    "spelled",
    [
        "file://{0}/state",
        "file://{0}/state/",
        "file://{0}/x/../state",
        "file:///{0}/state",
        "file://{0}/s%74ate",
        "file://{0}/state?no_tmp_dir=true",
        "file://{0}/link",
        "file://~/state",
        "file://../../state",
        "file://src/../../../state",
    ],
)
def test_all_spellings_of_a_directory_are_one_backend(place, spelled):
    """The CLI takes them for the same."""
    home, folder = place
    (home / "state").mkdir()
    (home / "link").symlink_to(home / "state")
    assert find_backend({"PULUMI_BACKEND_URL": spelled.format(home)}, folder, home) == (home / "state").as_uri()


def test_the_home_itself_is_a_directory_too(place):
    """`file://~` is where most keep their state without a service."""
    home, folder = place
    assert find_backend({"PULUMI_BACKEND_URL": "file://~"}, folder, home) == home.as_uri()


def test_what_leads_elsewhere_is_another_backend(place):
    """A prefix within the directory, or the same bucket elsewhere; a slash at the end is nothing."""
    home, folder = place

    def find(url):
        return find_backend({"PULUMI_BACKEND_URL": url}, folder, home)

    assert find("file:///state?prefix=a/&no_tmp_dir=true") == find("file:///state?prefix=a/") != find("file:///state")
    assert find("s3://bucket/?region=eu") == find("s3://bucket?region=eu") != find("s3://bucket?region=us")


def test_a_relative_path_is_that_of_the_working_directory(place):
    """Two projects with `file://.` have two backends. Where the CLI was called elsewhere, it is not known which."""
    home, folder = place
    for spelled in ("file://./state", "file://state"):
        assert find_backend({"PULUMI_BACKEND_URL": spelled}, folder, home) == (folder / "state").as_uri()
        assert find_backend({"PULUMI_BACKEND_URL": spelled, "PWD": str(folder)}, folder, home) == (folder / "state").as_uri()
        assert find_backend({"PULUMI_BACKEND_URL": spelled, "PWD": str(home)}, folder, home) is None
    assert find_backend({"PULUMI_BACKEND_URL": "file:///state", "PWD": str(home)}, folder, home) == "file:///state"


def test_the_home_of_pulumi_can_be_elsewhere(place):
    """`PULUMI_HOME` holds the login, too, unless `PULUMI_CREDENTIALS_PATH` does."""
    home, folder = place
    login(place, json.dumps({"current": "s3://bucket"}))
    elsewhere = {"PULUMI_HOME": str(home / "elsewhere")}
    assert pulumi_home(elsewhere, home) == home / "elsewhere" and pulumi_home({}, home) == home / ".pulumi"
    assert find_backend(elsewhere, folder, home) is None
    login(place, json.dumps({"current": "gs://bucket"}), "credentials")
    assert find_backend({**elsewhere, "PULUMI_CREDENTIALS_PATH": str(home / "credentials")}, folder, home) == "gs://bucket"


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"backend": 5}', '{"backend": {"url": 5}}', '{"current": {}}'])
def test_files_that_tell_nothing_are_no_backend(place, text):
    """They are the CLI's to complain about."""
    home, folder = place
    project(place, text, "Pulumi.json")
    login(place, text)
    assert find_backend({}, folder, home) is None
