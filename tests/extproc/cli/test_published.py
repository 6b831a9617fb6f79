"""What Envoy is told of pools."""

from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.gateway import Files, Gateway, Pool, Upstream
from extproc.cli.published import joint, pool_of, shape
from extproc.policy.catalog import PoolPolicy

GPT = Upstream("api.example.com", 443)
RUNNING = Gateway(
    port=0,
    files=Files.under(Path("/srv/headgate")),
    worker_sockets=(Path("/srv/headgate/run/worker-0.sock"),),
    pools=(Pool("a", ("10.0.0.1:80",)), Pool("gpt", (), upstream=GPT)),
)
GPT_POOL = RUNNING.pools[1]


def wanted(*pools, **members):
    return replace(RUNNING, pools=pools or RUNNING.pools, **members)


@pytest.mark.parametrize(
    ("gateway", "same"),
    [
        (wanted(Pool("a", ("10.0.0.2:80",)), GPT_POOL), True),
        (wanted(Pool("a", ("10.0.0.1:80",), {"10.0.0.1:80": {"gpu": "l4"}}), GPT_POOL), True),
        (wanted(GPT_POOL), False),
        (wanted(*RUNNING.pools, Pool("b", ())), False),
        (
            wanted(RUNNING.pools[0], Pool("gpt", (), upstream=Upstream("other.example.com", 443))),
            False,
        ),
        (wanted(RUNNING.pools[0], Pool("gpt", (), {str(GPT): {"cluster": "us"}}, GPT)), False),
        (wanted(falls_back=True), False),
    ],
)
def test_endpoints_change_by_files_of_their_own(gateway, same):
    assert (shape(gateway) == shape(RUNNING)) is same


def test_pools_of_before_stay_beside_those_of_now():
    moved = Pool("gpt", (), upstream=Upstream("other.example.com", 443))
    assert joint(RUNNING.pools, (moved, Pool("b", ()))) == (moved, Pool("b", ()), RUNNING.pools[0])


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
