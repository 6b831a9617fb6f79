import json
from pathlib import Path

import pytest
import yaml

from bench.upstream import POOL, STREAM_POOL
from bench.variants import (
    BARE,
    BENCH_POOL_HEADER,
    EXT_PROC,
    GRPC_LOG,
    JSON_LOG,
    LOGGED,
    LUA,
    POOL_HEADER,
    THEIR_LOGS,
    VARIANTS,
    WORKERS,
    Variant,
    VariantError,
    names,
    prune,
    rename,
    take_out,
)
from dataplane.gateway import Files, Gateway, Pool
from dataplane.render import render


@pytest.fixture(scope="module")
def rendered():
    gateway = Gateway(
        port=8080,
        files=Files.under(Path("/s")),
        worker_sockets=(Path("/s/run/worker-0.sock"),),
        pools=(Pool(POOL, ("127.0.0.1:1",)), Pool(STREAM_POOL, ("127.0.0.1:2",))),
    )
    return render(gateway)


def manager(tree):
    return tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0][
        "typed_config"
    ]


def named(entries):
    return [entry["name"] for entry in entries]


def test_bare_has_neither_our_filters_nor_logs_nor_workers(rendered):
    tree = take_out(rendered, BARE)
    assert named(manager(tree)["http_filters"]) == ["envoy.filters.http.router"]
    assert manager(tree)["access_log"] == []
    assert not set(names(tree)) & {EXT_PROC, LUA, GRPC_LOG, JSON_LOG, WORKERS, THEIR_LOGS}
    assert f"pool/{POOL}" in named(tree["static_resources"]["clusters"])


def test_logged_keeps_the_lua_filter_and_the_json_log(rendered):
    tree = take_out(rendered, LOGGED)
    assert named(manager(tree)["http_filters"]) == [LUA, "envoy.filters.http.router"]
    assert named(manager(tree)["access_log"]) == [JSON_LOG]


def test_the_rest_stays_as_it_was(rendered):
    whole, bare = yaml.safe_load(rendered), take_out(rendered, BARE)
    for part in ("http_filters", "access_log", "route_config"):
        manager(whole).pop(part)
        manager(bare).pop(part)
    assert whole["static_resources"]["listeners"] == bare["static_resources"]["listeners"]
    assert whole["overload_manager"] == bare["overload_manager"]


def test_clients_choose_the_pool_where_nobody_decides(rendered):
    routes = manager(take_out(rendered, BARE))["route_config"]["virtual_hosts"][0]["routes"]
    headers = [route["match"]["headers"][0] for route in routes if "headers" in route["match"]]
    assert [header["name"] for header in headers] == [BENCH_POOL_HEADER] * 2
    assert POOL_HEADER not in json.dumps(routes)


def test_nobody_is_probed(rendered):
    assert "health_checks" not in json.dumps(take_out(rendered, LOGGED))


def test_a_part_that_is_not_there_is_named(rendered):
    with pytest.raises(VariantError, match="has no nonsense"):
        take_out(rendered, Variant("x", "", frozenset({"nonsense", LUA})))


def test_a_configuration_that_routes_in_another_way_is_refused(rendered):
    with pytest.raises(VariantError, match=POOL_HEADER):
        take_out(rendered.replace(POOL_HEADER, "x-other"), BARE)


def test_only_list_entries_are_pruned_by_name():
    tree = {"name": "a", "b": [{"name": "a", "x": 1}, {"name": "c", "d": [{"name": "a"}, 3]}]}
    assert prune(tree, {"a"}, "x") == {"name": "a", "b": [{"name": "c", "d": [3]}]}


def test_renaming_takes_whole_strings():
    assert rename({"a": ["old", "older", 1, None]}, "old", "new") == {
        "a": ["new", "older", 1, None]
    }


def test_names_and_titles_are_told_apart():
    assert len({v.name for v in VARIANTS}) == len({v.title for v in VARIANTS}) == len(VARIANTS)
