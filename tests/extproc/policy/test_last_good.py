"""A worker that starts while the files are broken serves what was served last."""

import pytest

from extproc.errors import PolicyError
from extproc.policy.last_good import LastGood
from extproc.policy.secrets import SecretReader

GOOD = "tenants: [{name: acme}]\n"
BAD = "tenantz: []\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "p.yaml").write_text(GOOD)
    return tmp_path / "policy"


@pytest.fixture
def last_good(tmp_path):
    return LastGood(tmp_path / "kept.json")


def load(last_good, files):
    return last_good.load([files], SecretReader({}))


def test_what_is_on_disk_comes_first(last_good, files):
    last_good.keep(load(last_good, files))
    (files / "p.yaml").write_text(GOOD.replace("acme", "globex"))
    assert [tenant.name for tenant in load(last_good, files).tenants] == ["globex"]


@pytest.mark.parametrize("broken", [BAD, "{", "", "[1]"])
def test_broken_files_leave_what_was_served(last_good, files, broken):
    served = load(last_good, files)
    last_good.keep(served)
    (files / "p.yaml").write_text(broken)
    again = load(last_good, files)
    if broken:
        assert (again, again.version) == (served, served.version)


def test_a_directory_that_is_gone(last_good, files):
    last_good.keep(load(last_good, files))
    (files / "p.yaml").unlink()
    assert [tenant.name for tenant in load(last_good, files).tenants] == ["acme"]


def test_without_anything_kept_it_is_an_error(last_good, files):
    (files / "p.yaml").write_text(BAD)
    with pytest.raises(PolicyError, match="tenantz"):
        load(last_good, files)


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"p.yaml": 7}', b"\xff"])
def test_rubbish_kept_is_nothing_kept(last_good, files, tmp_path, rubbish):
    (tmp_path / "kept.json").write_bytes(rubbish)
    (files / "p.yaml").write_text(BAD)
    with pytest.raises(PolicyError):
        load(last_good, files)


def test_a_disk_that_takes_nothing_is_no_reason_not_to_serve(files, tmp_path):
    nowhere = LastGood(tmp_path / "gone" / "kept.json")
    nowhere.keep(load(nowhere, files))
    assert load(nowhere, files).tenants
