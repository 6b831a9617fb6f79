"""What Envoy must be started anew for."""

from dataclasses import replace
from pathlib import Path

from dataplane.gateway import Files, Gateway, Pool, Upstream
from extproc.cli.up import find_new, pool_of
from extproc.policy.catalog import PoolPolicy

GPT = Upstream("api.example.com", 443)
RUNNING = Gateway(
    port=0,
    files=Files.under(Path("/srv/headgate")),
    worker_sockets=(Path("/srv/headgate/run/worker-0.sock"),),
    pools=(Pool("a", ("10.0.0.1:80",)), Pool("gpt", (), upstream=GPT)),
)


def wanted(*pools, **members):
    return replace(RUNNING, pools=pools or RUNNING.pools, **members)


def test_endpoints_come_and_go():
    gpt = RUNNING.pools[1]
    assert not find_new(RUNNING, wanted(Pool("a", ("10.0.0.2:80",)), gpt))
    assert not find_new(RUNNING, wanted(gpt))


def test_pools_that_are_new_or_elsewhere_now():
    moved = Pool("gpt", (), upstream=Upstream("other.example.com", 443))
    assert find_new(RUNNING, wanted(*RUNNING.pools, Pool("b", ()))) == ["b"]
    assert find_new(RUNNING, wanted(RUNNING.pools[0], moved)) == ["gpt"]


def test_the_first_chain_concerns_all():
    chained = wanted(falls_back=True)
    assert find_new(RUNNING, chained) == ["a", "gpt"]
    assert not find_new(chained, chained)
    assert not find_new(chained, RUNNING)


def test_labels_reach_the_log_from_elsewhere_too():
    policy = PoolPolicy.model_validate(
        {
            "name": "gpt",
            "upstream": {"url": "https://api.example.com/v1"},
            "labels": {"cluster": "us"},
        }
    )
    pool = pool_of(policy)
    assert pool.upstream == GPT
    assert pool.endpoints == ()
    assert pool.labels == {"api.example.com:443": {"cluster": "us"}}
