"""The state file, which outlives the process."""

import sqlite3

import pytest

from emulator.conftest import in_process
from runpod_emulator.store import Store, UnusableFileError


def test_everything_is_there_again(tmp_path):
    """Resources in their order, workers, the catalog, the clock, and the ids that come next."""
    path = tmp_path / "state.db"
    with in_process(state=path) as api:
        volume, made = api.volume(), api.create(workers={"min": 1, "max": 1})
        gone = api.volume()
        api.delete(f"/v2/network-volumes/{gone['id']}")
        api.control("seed", {"catalog": {"gpus": [{"id": "NVIDIA X1", "pool": "X_24"}], "remove": {"gpus": ["NVIDIA L4"]}}})
        api.control("resources/networkVolumes/" + volume["id"], {"size": 11}, "PATCH")
        api.wait(100)
        workers = api.get(f"/v2/serverless/{made['id']}/workers")
    with in_process(state=path) as api:
        assert api.get("/v2/serverless") == {"endpoints": [made]}
        assert api.get("/v2/network-volumes") == {"networkVolumes": [{**volume, "size": 11}]}
        assert api.get(f"/v2/serverless/{made['id']}/workers") == workers
        api.get("/v2/catalog/gpus/NVIDIA%20X1")
        api.get("/v2/catalog/gpus/NVIDIA%20L4", 404)
        assert api.control("time", method="GET")["offsetSeconds"] == 100
        assert api.volume()["id"] not in (volume["id"], gone["id"])


def test_a_reset_empties_the_file(tmp_path):
    """What comes after is as from the first day."""
    path = tmp_path / "state.db"
    with in_process(state=path) as api:
        first = api.volume()["id"]
        api.control("reset")
    with in_process(state=path) as api:
        assert api.get("/v2/network-volumes") == {"networkVolumes": []}
        assert api.volume()["id"] == first


def test_what_was_committed_survives_a_crash(tmp_path):
    """A process that is killed closes nothing."""
    path = tmp_path / "state.db"
    store = Store(path)
    store.put("networkVolumes", "v", {"id": "v"})
    for suffix in ("", "-wal"):
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"state.db{suffix}").read_bytes())
    store.close()
    copy = Store(tmp_path / "copy.db")
    assert copy.get("networkVolumes", "v") == {"id": "v"}
    copy.close()


def test_one_file_serves_one_emulator(tmp_path):
    """Two would write over each other."""
    store = Store(tmp_path / "state.db")
    with pytest.raises(UnusableFileError, match=r"state\.db' cannot be opened: another emulator uses it"):
        Store(tmp_path / "state.db")
    store.close()
    Store(tmp_path / "state.db").close()


@pytest.mark.parametrize("version", [0, 99])
def test_a_file_of_another_version_or_program_is_refused(tmp_path, version):
    """Its documents could lack what this version reads, and somebody's own database stays as it is."""
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE documents (id TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UnusableFileError, match="not written by this version"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """And left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but a text of more than a few words\n" * 30)
    before = path.read_bytes()
    with pytest.raises(UnusableFileError, match="file is not a database"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_in_a_folder_that_is_not_there_is_refused(tmp_path):
    """The folder is not made."""
    with pytest.raises(UnusableFileError, match="unable to open database file"):
        Store(tmp_path / "nowhere" / "state.db")
