"""What Envoy is told of pools."""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from dataplane.gateway import Upstream
from extproc.cli.admin import TIMEOUT_S
from extproc.cli.layout import Layout
from extproc.cli.processes import Plan
from extproc.cli.published import RETRY_S, Published, pool_of
from extproc.policy.catalog import PoolPolicy
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader, resolve
from extproc.policy.status import StatusFile

GPT = Upstream("api.example.com", 443)


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


@pytest.mark.parametrize(
    ("members", "silence_s"),
    [
        ({"endpoints": ["10.0.0.1:80"]}, 600),
        ({"endpoints": ["10.0.0.1:80"], "silence_s": 45}, 45),
        ({"upstream": {"url": "https://api.example.com/v1"}}, 600),
        ({"upstream": {"url": "https://api.example.com/v1", "silence_s": 0.5}}, 0.5),
    ],
)
def test_silence_is_of_the_pool_wherever_it_is(members, silence_s):
    assert pool_of(PoolPolicy.model_validate({"name": "p", **members})).silence_s == silence_s


GUARD_S = 30
LINGER_S = 0.3
LONG_S = 3600.0
TAKEN_S = TIMEOUT_S + 1
KEYS = {"OLD": "sk-old", "NEW": "sk-new"}


class Envoy:
    """Reads what it follows when it is asked for its counters, and has read it well; `refuses` makes its
    check fail, `slow_s` its next answer late. What is `warming` is never ready, nor anything while nothing
    leads to the pool `missed`."""

    def __init__(self, layout):
        self.layout = layout
        self.binary = layout.root / "envoy.sh"
        self.refusal = layout.root / "refuse"
        self.binary.write_text(f"#!/bin/sh\n[ ! -e {self.refusal} ]\n")
        self.binary.chmod(0o700)
        self.slow_s = self.warming = 0
        self.missed, self.pictures = "", []
        self._taken, self._seen = Counter(), {}

    def refuses(self, whether):
        self.refusal.touch() if whether else self.refusal.unlink()

    async def stats(self, request):
        slow_s, self.slow_s = self.slow_s, 0
        await asyncio.sleep(slow_s)
        name = request.query["filter"].strip("^$")
        self.pictures.append(tuple(self.read(each) for each in ("routes", "pools")))
        if "warming" in name:
            warming = self.warming or int(self.missed != "" and not self.leads_to(self.missed))
            return web.Response(text=f"{name}: {warming}\n")
        for what, path in (("cluster_manager.cds", "pools"), ("http.clients.rds.pools", "routes")):
            text = (self.layout.envoy / f"{path}.yaml").stat().st_mtime_ns
            if self._seen.get(what) != text:
                self._seen[what] = text
                self._taken[f"{what}.update_success"] += 1
        return web.Response(text=f"{name}: {self._taken[name]}\n")

    def leads_to(self, pool):
        return f'exact: "{pool}"' in self.read("routes")

    def goes_to(self, host):
        return f'address: "{host}"' in self.read("pools")

    def read(self, what):
        return (self.layout.envoy / f"{what}.yaml").read_text()

    @property
    def looked_at(self):
        config = json.loads(self.layout.watch_config.read_text())
        return {pool["name"] for pool in config["pools"]}

    @property
    def named(self):
        return json.loads(self.layout.pools.read_text())


def keyed(models=(), **places):
    """A policy with these pools: engines of ours, or a host elsewhere and the name of its key."""
    pools = [
        {"name": name, "endpoints": ["10.0.0.1:80"]}
        if place is None
        else {
            "name": name,
            "upstream": {"url": f"https://{place[0]}/v1", "key": {"env": place[1]}},
        }
        for name, place in places.items()
    ]
    policy = Policy.model_validate({"pools": pools, "models": models}).at(str(sorted(places)))
    assert not list(resolve(policy, SecretReader(KEYS)))
    return policy


@asynccontextmanager
async def publishing(root, policy, taken_s=TAKEN_S, linger_s=LINGER_S):
    layout = Layout(root)
    layout.make()
    envoy = Envoy(layout)
    plan = Plan(
        layout=layout, envoy=envoy.binary, address="127.0.0.1", port=0, metrics_port=0, workers=1,
        policy=(), policy_poll_s=1, processes=(), redis="", valkey=None, ledger=None,
        trusted_proxies=0, sidecars=False,
    )  # fmt: skip
    published = Published(plan, policy, linger_s, taken_s)
    await published.begin()
    app = web.Application()
    app.router.add_get("/stats", envoy.stats)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(layout.admin_socket)).start()
    following = asyncio.ensure_future(published.follow())
    try:
        async with asyncio.timeout(GUARD_S):
            yield published, envoy
        assert not following.done()
    finally:
        following.cancel()
        await asyncio.wait([following])
        await runner.cleanup()


async def until(condition):
    while not condition():  # noqa: ASYNC110 - files tell nobody
        await asyncio.sleep(0.01)


async def test_nobody_chooses_anew_what_is_gone_from_the_policy(tmp_path):
    both = keyed(a=None, b=None)
    async with publishing(tmp_path, both, linger_s=LONG_S) as (published, envoy):
        assert envoy.named == {"a": "", "b": ""}
        published.tell(keyed(a=None))
        await until(lambda: envoy.named == {"a": ""})
        assert envoy.leads_to("b"), "who has chosen it may still come"
        published.tell(keyed(a=None, b=None))
        await until(lambda: envoy.named == {"a": "", "b": ""})
        published.tell(keyed(a=None))
        published._linger_s = LINGER_S
        await until(lambda: not envoy.leads_to("b"))
        assert envoy.leads_to("a")


async def test_what_was_refused_at_first_takes_nothing_away_when_it_is_taken(tmp_path, caplog):
    """Workers wait for the new pool and choose the old one until then."""
    async with publishing(tmp_path, keyed(a=None), linger_s=LONG_S) as (published, envoy):
        envoy.refuses(True)
        published.tell(keyed(b=None))
        await until(lambda: "pools_refused" in caplog.text)
        assert envoy.named == {}
        assert envoy.looked_at == {"a", "b"}
        envoy.refuses(False)
        await until(lambda: envoy.named == {"b": ""})
        assert envoy.leads_to("a")
        published._linger_s = LINGER_S
        await until(lambda: envoy.looked_at == {"b"})
        assert not envoy.leads_to("a")
        assert envoy.leads_to("b")


async def test_one_slow_answer_refuses_nothing(tmp_path, caplog):
    """A machine under load, or one that swaps: waiting a little longer beats doing all of it again."""
    async with publishing(tmp_path, keyed(a=None)) as (published, envoy):
        envoy.slow_s = TIMEOUT_S + 0.2
        published.tell(keyed(a=None, b=None))
        await until(lambda: envoy.named == {"a": "", "b": ""})
        assert envoy.slow_s == 0
        assert "pools_refused" not in caplog.text


async def test_no_place_gets_the_key_of_another(tmp_path):
    def keys():
        """By what stands in the pools that Envoy has."""
        pools = (tmp_path / "envoy" / "pools.yaml").read_text()
        files = {path: path.read_text() for path in (tmp_path / "envoy" / "secrets").iterdir()}
        return [next(k for k in KEYS.values() if k in files[p]) for p in files if str(p) in pools]

    async with publishing(tmp_path, keyed(gpt=("old.example.com", "OLD"))) as (published, envoy):
        assert envoy.named == {"gpt": "old.example.com:443"}
        assert keys() == ["sk-old"]
        envoy.refuses(True)
        published.tell(keyed(gpt=("new.example.com", "NEW")))
        await asyncio.sleep(RETRY_S)
        assert keys() == ["sk-old"]
        assert envoy.named == {"gpt": "old.example.com:443"}
        envoy.refuses(False)
        await until(lambda: envoy.named == {"gpt": "new.example.com:443"})
        assert keys() == ["sk-new"]
        published.tell(keyed(a=None))
        await until(lambda: not list((tmp_path / "envoy" / "secrets").iterdir()))


async def test_engines_of_ours_do_not_become_a_service_elsewhere(tmp_path, caplog):
    """Some workers would send it what was meant for engines of ours."""
    async with publishing(tmp_path, keyed(a=None)) as (published, envoy):
        published.tell(keyed(a=("api.example.com", "NEW")))
        await until(lambda: "pools_refused" in caplog.text)
        assert "give it another name" in caplog.records[-1].reason
        assert "api.example.com" not in (tmp_path / "envoy" / "pools.yaml").read_text()
        assert envoy.named == {"a": ""}
        published.tell(keyed(b=("api.example.com", "NEW")))
        await until(lambda: envoy.named == {"b": "api.example.com:443"})


async def test_whoever_goes_back_after_half_a_change_is_where_he_was(tmp_path, caplog):
    """What Envoy has by then nobody knows: it may send to either host."""
    old, new = ("old.example.com", "OLD"), ("new.example.com", "NEW")
    async with publishing(tmp_path, keyed(gpt=old), taken_s=0.2) as (published, envoy):
        envoy.warming = 1
        published.tell(keyed(gpt=new))
        await until(lambda: "pools_refused" in caplog.text and envoy.goes_to("new.example.com"))
        assert envoy.named == {}, "nobody is to be told either place"
        published.tell(keyed(gpt=old))
        envoy.warming = 0
        await until(lambda: envoy.named == {"gpt": "old.example.com:443"})
        assert envoy.goes_to("old.example.com")
        assert not envoy.goes_to("new.example.com")


async def test_a_pool_moves_once_all_else_is_ready(tmp_path, caplog):
    old, new = ("old.example.com", "OLD"), ("new.example.com", "NEW")
    async with publishing(tmp_path, keyed(gpt=old), taken_s=0.2) as (published, envoy):
        envoy.warming = 1
        published.tell(keyed(gpt=new, slow=("slow.example.com", "NEW")))
        await until(lambda: "pools_refused" in caplog.text and envoy.goes_to("slow.example.com"))
        assert envoy.goes_to("old.example.com")
        assert not envoy.goes_to("new.example.com")
        assert envoy.named == {"gpt": "old.example.com:443"}
        envoy.warming = 0
        await until(lambda: envoy.named.get("gpt") == "new.example.com:443")


async def test_the_last_step_is_tried_again_too(tmp_path, caplog):
    both = keyed(a=None, gpt=("old.example.com", "OLD"))
    async with publishing(tmp_path, both, taken_s=0.2) as (published, envoy):
        envoy.missed = "gpt"  # when its routes are gone, and its pool is about to go
        published.tell(keyed(a=None))
        await until(lambda: "pools_refused" in caplog.text)
        envoy.missed = ""
        await until(lambda: not list((tmp_path / "envoy" / "secrets").iterdir()))
        assert not envoy.goes_to("old.example.com")


def serve(layout, version):
    """What a worker says of itself; this process is as good as any."""
    return StatusFile.begin(layout.run, f"unix:{layout.worker_socket(0)}", [layout.policy], version)


async def test_nothing_goes_that_a_worker_may_choose(tmp_path):
    """It looks for its policy seldom, or has refused it."""
    before, now = keyed(a=None, b=None), keyed(a=None)
    async with publishing(tmp_path, before) as (published, envoy):
        status = serve(envoy.layout, before.version)
        published.tell(now)
        await until(lambda: envoy.named == {"a": ""})
        await asyncio.sleep(LINGER_S * 2)
        assert envoy.leads_to("b")
        status.serve(now.version)
        await until(lambda: not envoy.leads_to("b"))


async def test_nothing_goes_together_with_a_move(tmp_path):
    """Until workers are told of the new place they serve the policy before."""
    before = keyed(b=None, gpt=("old.example.com", "OLD"))
    async with publishing(tmp_path, before) as (published, envoy):
        envoy.refuses(True)
        published.tell(keyed(gpt=("new.example.com", "NEW")))
        await asyncio.sleep(LINGER_S * 2)
        envoy.refuses(False)
        await until(lambda: not envoy.leads_to("b"))
        assert envoy.named == {"gpt": "new.example.com:443"}
        moved = [routes for routes, pools in envoy.pictures if "new.example.com" in pools]
        assert 'exact: "b"' in moved[0]


async def test_chains_stay_as_long_as_pools(tmp_path):
    pools = {"a": None, "b": None}
    models = [{"name": "m", "pool": "a", "fallback": ["o"]}, {"name": "o", "pool": "b"}]
    before = keyed(models, **pools)
    async with publishing(tmp_path, before, linger_s=LONG_S) as (published, envoy):
        published.tell(keyed(**pools))
        await asyncio.sleep(LINGER_S / 2)
        assert "fallback/sent" in envoy.read("routes")
        published._linger_s = LINGER_S
        await until(lambda: "fallback/sent" not in envoy.read("routes"))
