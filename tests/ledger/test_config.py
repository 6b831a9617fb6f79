import pytest

from alerts.webhook import Shape, Webhook
from ledger.config import Config, ConfigFile, CostRule, Endpoint, write_config

CONFIG = Config(
    policy="v1",
    endpoints=(Endpoint("127.0.0.1:8000", "p"),),
    webhooks=(Webhook("ops", "http://h/verysecret", Shape.SLACK),),
)


def events(caplog):
    return [record.msg for record in caplog.records]


def test_what_is_written_is_in_force(tmp_path):
    path = tmp_path / "run" / "settle.json"
    file = ConfigFile(path)
    assert file.current() == Config()
    write_config(path, CONFIG)
    assert file.current() == CONFIG
    assert file.current() is file.current()
    write_config(path, Config(policy="v2"))
    assert file.current() == Config(policy="v2")


def test_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "settle.json"
    path.write_text("{}")
    path.chmod(0o644)
    write_config(path, CONFIG)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["settle.json"]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"drift":{"tokens":"many"}}'])
def test_what_makes_no_sense_changes_nothing_and_is_told_once(tmp_path, caplog, text):
    path = tmp_path / "settle.json"
    write_config(path, CONFIG)
    file = ConfigFile(path)
    assert file.current() == CONFIG
    path.unlink()
    path.write_bytes(text)
    assert [file.current() for _ in range(3)] == [CONFIG] * 3
    assert events(caplog) == ["config_rejected"]
    assert "verysecret" not in caplog.text


def test_a_file_that_goes_away_changes_nothing(tmp_path, caplog):
    path = tmp_path / "settle.json"
    write_config(path, CONFIG)
    file = ConfigFile(path)
    file.current()
    path.unlink()
    assert [file.current() for _ in range(3)] == [CONFIG] * 3
    assert events(caplog) == ["config_rejected"]


def test_members_of_a_later_version_are_ignored(tmp_path):
    path = tmp_path / "settle.json"
    path.write_text('{"policy":"v9","what_is_new":1}')
    assert ConfigFile(path).current() == Config(policy="v9")


def test_whom_a_rule_is_for():
    assert CostRule("r", 1).is_for("acme")
    assert CostRule("r", 1).is_for(None)
    assert CostRule("r", 1, tenants=frozenset({"acme"})).is_for("acme")
    assert not CostRule("r", 1, tenants=frozenset({"acme"})).is_for(None)
