"""The file that says what to look at."""

import pytest

from engines.watch.config import (
    NAME,
    Config,
    ConfigFile,
    Dns,
    Kubernetes,
    KvEvents,
    Pool,
    Static,
    replace_file,
    write_config,
)

ONE = Config("v1", (Pool("p", "vllm", (Static("10.0.0.1:1"),)),))
TWO = Config(
    "v2",
    (
        Pool(
            "q",
            "sim",
            dns=(Dns("vllm.llm.svc", 8000, 1.0, "prefill"),),
            kubernetes=(Kubernetes("llm", "vllm", "http"), Kubernetes("llm", "vllm", 8000)),
            kv_events=KvEvents(5557, 5558, 2),
        ),
    ),
)


def test_it_is_read_again_when_it_was_replaced(tmp_path):
    path = tmp_path / "run" / NAME
    file = ConfigFile(path)
    assert file.current() == Config(), "before there is one"
    for config in (ONE, TWO):
        write_config(path, config)
        assert file.current() == config
        assert file.current() is file.current(), "a stat, when nothing has changed"
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert [each.name for each in path.parent.iterdir()] == [NAME]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pools": 3}', b"\xff"])
def test_what_makes_no_sense_changes_nothing_and_is_told_once(tmp_path, caplog, text):
    path = tmp_path / NAME
    file = ConfigFile(path)
    write_config(path, ONE)
    assert file.current() == ONE
    replace_file(path, text)
    assert [file.current(), file.current()] == [ONE, ONE]
    assert [record.message for record in caplog.records] == ["config_rejected"]
    path.unlink()
    assert file.current() == ONE


def test_a_pool_knows_whether_others_name_its_endpoints():
    assert not ONE.pools[0].discovered
    assert TWO.pools[0].discovered
