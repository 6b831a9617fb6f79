"""How Envoy's pools and routes change over."""

from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.gateway import ConfigError, Files, Gateway, Pool, Upstream
from extproc.cli.admin import Taken
from extproc.cli.changeover import Changeover, check_sides, joint, places

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
        (wanted(replace(RUNNING.pools[0], silence_s=30), GPT_POOL), False),
        (wanted(RUNNING.pools[0], replace(GPT_POOL, silence_s=30)), False),
    ],
)
def test_endpoints_change_by_files_of_their_own(gateway, same):
    nowhere = Path("/nowhere")
    assert Changeover(RUNNING, Taken(nowhere), nowhere, nowhere).is_at(gateway) is same


def test_pools_of_before_stay_beside_those_of_now():
    moved = Pool("gpt", (), upstream=Upstream("other.example.com", 443))
    assert joint(RUNNING.pools, (moved, Pool("b", ()))) == (moved, Pool("b", ()), RUNNING.pools[0])


def test_sides_are_not_changed_under_a_name():
    check_sides(RUNNING, wanted(RUNNING.pools[0], Pool("new", (), upstream=GPT)))
    with pytest.raises(ConfigError, match="give it another name"):
        check_sides(RUNNING, wanted(Pool("a", (), upstream=GPT)))


def test_engines_of_ours_lead_nowhere_else():
    assert places(RUNNING.pools) == {"a": "", "gpt": "api.example.com:443"}
