"""Files of keys, changed while others would change them too."""

import fcntl
import os
import shutil

import pytest

from extproc.cli.keyfiles import changing, is_entry, with_digest, write
from extproc.cli.plan import DEMO_POLICY
from extproc.policy.keyfile import EditError


@pytest.fixture
def directory(tmp_path):
    return shutil.copytree(DEMO_POLICY, tmp_path / "policy")


def test_whoever_changes_keys_waits_for_others(directory):
    held = os.open(directory, os.O_RDONLY)
    try:
        with changing([directory, directory]), pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(held)


def test_a_key_that_nobody_has_is_found_nowhere(directory):
    with changing([directory]) as files:
        key, path = files.key("acme-support")
        assert (key.tenant, path.parent) == ("acme", directory)
        with pytest.raises(EditError, match="no key"):
            files.key("nobody's")


def test_nothing_is_written_that_means_something_else(directory):
    with changing([directory]) as files:
        _, path = files.key("acme-support")
        before = path.read_bytes()
        with pytest.raises(EditError, match="cannot be changed from here"):
            files.change(path, lambda text: text, [])
    assert path.read_bytes() == before
    assert not list(directory.glob(".*"))


def test_only_the_entry_that_is_named_gets_a_new_digest():
    one, other = {"id": "a", "digest": "old"}, {"id": "b", "digest": "old"}
    retired = {"digest": "old", "until": "then"}
    assert with_digest(other, "a", "new", retired) is other
    assert with_digest(one, "a", "new", retired) == {
        "id": "a", "digest": "new", "retiring": [retired],
    }  # fmt: skip
    assert is_entry(one, "a")
    assert not is_entry("a", "a")


def test_a_power_cut_leaves_the_old_file_or_the_new_one(tmp_path):
    """On disk is the new one before it takes the place of the old, and then its name."""
    path = tmp_path / "keys.yaml"
    path.write_text("old")
    found = []

    def sync(synced):
        found.append((synced.read_text() if synced.is_file() else synced, path.read_text()))
        if synced == tmp_path:
            raise OSError("it does not do that")

    write(path, "new", sync)
    assert found == [("new", "old"), (tmp_path, "new")]
    assert list(tmp_path.iterdir()) == [path]
