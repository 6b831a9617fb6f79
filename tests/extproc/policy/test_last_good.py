"""A worker that starts while the files are broken serves what was served last."""

import msgspec
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


def names_of(policy):
    return [tenant.name for tenant in policy.tenants]


class Pools:
    """Those of policies with these tenants are missing, or lead elsewhere."""

    def __init__(self, missing, elsewhere=()):
        self.missing, self.elsewhere = set(missing), set(elsewhere)

    def has(self, policy):
        return (self.missing | self.elsewhere).isdisjoint(names_of(policy))

    def contradicts(self, policy):
        return not self.elsewhere.isdisjoint(names_of(policy))


def load_unless(last_good, files, pools):
    return last_good.load([files], SecretReader({}), pools=pools)


def test_what_must_wait_is_not_served_by_who_starts_meanwhile(last_good, files, caplog):
    """But what it takes away is gone."""
    (files / "p.yaml").write_text("tenants: [{name: acme}, {name: left}]\n")
    before = load(last_good, files)
    last_good.keep(before)
    (files / "p.yaml").write_text("tenants: [{name: acme}, {name: new}]\n")
    now = load(last_good, files)
    served = load_unless(last_good, files, Pools({"new", "acme"}))
    assert (names_of(served), served.version) == (["acme"], f"{before.version}-{now.version}")
    assert [record.message for record in caplog.records] == ["policy_held_back"]
    assert names_of(load_unless(last_good, files, Pools({}))) == ["acme", "new"]


@pytest.mark.parametrize("kept", [None, BAD, "tenants: [{name: old}]\n"])
def test_it_is_served_where_nothing_better_is_there(last_good, files, tmp_path, kept):
    if kept:
        (tmp_path / "kept.json").write_bytes(msgspec.json.encode({"p.yaml": kept.encode()}))
    served = load_unless(last_good, files, Pools({"acme"}, {"old"}))
    assert names_of(served) == ["acme"]
