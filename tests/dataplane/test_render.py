from pathlib import Path

import pytest
import yaml

from dataplane.gateway import ConfigError, Files, Pool, Timeouts, Upstream
from dataplane.render import (
    LUA_PARTS,
    clusters,
    endpoints,
    quoted,
    render,
    resolve,
    routes,
    seconds,
    secret,
    write,
)
from dataplane.validate import DISCOVERY_RESPONSE, check_types
from tests.dataplane.golden import GATEWAY, GOLDEN, without_lua
from tests.dataplane.test_gateway import STATE, gateway


def test_the_golden_bootstrap():
    assert without_lua(render(GATEWAY)) == GOLDEN.read_text(), (
        f"see {GOLDEN.with_name('golden.py')}"
    )


def test_the_bootstrap_is_of_envoys_types():
    check_types(render(GATEWAY))


def test_every_lua_file_is_part_of_a_filter():
    folder = Path(__file__).parents[2] / "dataplane"
    of_requests = "upstream.lua"
    assert sorted((*LUA_PARTS, of_requests)) == sorted(path.name for path in folder.glob("*.lua"))


def test_a_key_stands_in_a_file_of_its_own(tmp_path):
    pool = Pool("gpt", (), upstream=Upstream("h.example", 443, key_header="authorization"))
    with_key = gateway(files=Files.under(tmp_path), pools=(pool,))
    path = with_key.secret_file(pool)
    path.parent.mkdir(parents=True)
    write(secret(pool, 'sk-"odd"'), path, 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    check_types(path.read_text(), DISCOVERY_RESPONSE)
    [named] = yaml.safe_load(path.read_text())["resources"]
    assert named["name"] == "key/gpt"
    assert named["generic_secret"]["secret"]["inline_string"] == 'sk-"odd"'
    assert "sk-" not in render(with_key)
    assert str(path) in render(with_key)


def test_requests_are_rewritten_only_where_something_needs_it():
    pools = (Pool("a", ()),)
    plain = render(gateway(pools=pools))
    assert "headgate.upstream" not in plain
    assert "fallback/sent" not in plain
    chained = render(gateway(pools=pools, falls_back=True))
    assert "headgate.upstream" in chained
    assert chained.count('name: "fallback/') == 2


def test_chains_may_be_silent_as_long_as_their_most_patient_pool():
    pools = (Pool("a", (), silence_s=30), Pool("b", ()), Pool("c", (), silence_s=90))
    assert gateway(pools=pools).chain_silences == ()
    chained = gateway(pools=pools, falls_back=True)
    assert chained.chain_silences == ((30, ("b", "c")), (90, ("b",)), (600, ()))
    [routing] = yaml.safe_load(routes(chained))["resources"]
    [virtual] = routing["virtual_hosts"]
    found = {
        each["name"]: each["route"].get("idle_timeout")
        for each in virtual["routes"]
        if each["name"] != "undecided"
    }
    assert found == {
        "fallback/sent/30s": "30s", "fallback/unsent/30s": "30s",
        "fallback/sent/90s": "90s", "fallback/unsent/90s": "90s",
        "fallback/sent/600s": "600s", "fallback/unsent/600s": "600s",
        "a": "30s", "b": "600s", "c": "90s",
    }  # fmt: skip
    assert list(found)[:2] == ["fallback/sent/30s", "fallback/unsent/30s"], "the shortest first"


def test_values_are_data_whatever_they_hold():
    hostile = STATE / 'a"b: {c}\n- d #{{ e }} %F% \u2028'
    bootstrap = yaml.safe_load(render(gateway(files=Files.under(hostile))))
    assert bootstrap["admin"]["address"]["pipe"]["path"] == str(hostile / "run/envoy-admin.sock")
    assert set(bootstrap) == {"node", "admin", "overload_manager", "static_resources"}


def test_every_timeout_reaches_envoy():
    odd = Timeouts(
        request_headers_s=1.25,
        request_s=2.25,
        keepalive_s=3.25,
        stream_idle_s=4.25,
        decision_ms=5250,
        decision_max_ms=6250,
        worker_connect_ms=7250,
        engine_connect_ms=8250,
        engine_keepalive_s=9.25,
        worker_silent_ms=10250,
    )
    text = render(gateway(timeouts=odd))
    for i in range(1, 11):
        assert text.count(f" {i}.25s") == (2 if i == 7 else 1), "workers are two clusters"


def test_a_gateway_without_pools_can_be_rendered():
    check_types(render(gateway(pools=())))


def test_pools_and_routes_apart_are_those_of_the_whole():
    whole = yaml.safe_load(render(GATEWAY))
    apart = yaml.safe_load(render(GATEWAY, apart=True))
    for text in (clusters(GATEWAY), routes(GATEWAY)):
        check_types(text, DISCOVERY_RESPONSE)
    pools = yaml.safe_load(clusters(GATEWAY))["resources"]
    [routing] = yaml.safe_load(routes(GATEWAY))["resources"]
    for resource in (*pools, routing):
        assert resource.pop("@type")

    listener = apart["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    assert listener["typed_config"].pop("rds")["route_config_name"] == routing["name"]
    listener["typed_config"]["route_config"] = routing
    apart["static_resources"]["clusters"] += pools
    assert apart.pop("dynamic_resources")
    assert apart == whole


def test_without_pools_there_are_no_resources():
    assert yaml.safe_load(clusters(gateway(pools=()))) == {"resources": []}


def test_endpoints_are_a_discovery_response():
    pool = Pool("tiny", ("127.0.0.1:8000", "[::1]:8001"))
    text = endpoints(pool)
    check_types(text, DISCOVERY_RESPONSE)
    [assignment] = yaml.safe_load(text)["resources"]
    assert assignment["cluster_name"] == "pool/tiny"
    hosts = [
        h["endpoint"]["address"]["socket_address"]
        for h in assignment["endpoints"][0]["lb_endpoints"]
    ]
    assert hosts == [
        {"address": "127.0.0.1", "port_value": 8000},
        {"address": "::1", "port_value": 8001},
    ]


def test_labels_go_with_their_endpoint():
    labels = {"127.0.0.1:8000": {"gpu": "L4", "gpus": 2}, "127.0.0.1:8001": {}}
    text = endpoints(Pool("tiny", ("127.0.0.1:8000", "127.0.0.1:8001"), labels))
    check_types(text, DISCOVERY_RESPONSE)
    first, second = yaml.safe_load(text)["resources"][0]["endpoints"][0]["lb_endpoints"]
    assert first["metadata"] == {"filter_metadata": {"headgate": {"gpu": "L4", "gpus": 2}}}
    assert "metadata" not in second


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "tiny.yaml"
    write("old", path)
    with path.open() as reader:
        write("new", path)
        assert reader.read() == "old", "who had it open still reads the old file"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_is_resolved_to_an_address():
    assert resolve("localhost:8000") in ("127.0.0.1:8000", "[::1]:8000")
    assert resolve("127.0.0.1:8000") == "127.0.0.1:8000"
    assert resolve("[::1]:8000") == "[::1]:8000"


@pytest.mark.parametrize("text", ["localhost", "localhost:http", "no-such-host.invalid:80", ":80x"])
def test_what_cannot_be_resolved(text):
    with pytest.raises(ConfigError, match="cannot be resolved"):
        resolve(text)


@pytest.mark.parametrize(
    ("value_s", "text"), [(0, "0s"), (10, "10s"), (0.25, "0.25s"), (620, "620s")]
)
def test_durations(value_s, text):
    assert seconds(value_s) == text


def test_a_quoted_line_is_one_yaml_string():
    for text in ("it's", '{"a": "b"}', "# no comment", "- x: y"):
        assert yaml.safe_load(quoted(text)) == text
