"""The filters together: their order, and whole requests under a small policy."""

import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

import extproc
from extproc.arrive import HEADERS, arrive
from extproc.budget import MAX_BODY_BYTES
from extproc.counting.lasting import Lasting
from extproc.decision import Relay, Reply
from extproc.errors import PolicyError, Reason
from extproc.filters import Outside, build
from extproc.filters.governance import Governance
from extproc.filters.salt import salt_of
from extproc.guards.guard import Guard
from extproc.guards.view import View
from extproc.identity.keys import digest
from extproc.pipeline import Pipeline
from extproc.policy.models import Policy
from extproc.request import Body, Identity, Model, Payload, Prompt, Route, Strip
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import (
    MemoryAuthority,
    MemoryEngines,
    MemoryGuardMeter,
    MemoryJournal,
    MemoryLimitMeter,
    MemoryMeter,
)

POLICY = Policy.model_validate(
    {
        "salt": "a salt of tests",
        "tenants": [{"name": "acme", "projects": ["support"]}],
        "keys": [
            {"id": "k1", "digest": digest("a salt of tests", "sk-1"), "tenant": "acme"},
            {
                "id": "k2",
                "digest": digest("a salt of tests", "sk-2"),
                "tenant": "acme",
                "models": ["none"],
            },
        ],
        "pools": [{"name": "p", "engine": "sim", "endpoints": ["127.0.0.1:1", "127.0.0.1:2"]}],
        "models": [{"name": "tiny", "pool": "p", "served_as": "org/tiny", "aliases": ["t"]}],
    }
).at("v1")
AUTHORITY = {"access": {"authority": {"url": "http://127.0.0.1:1/v1/data/x"}}}


class World:
    """The doubles around one pipeline."""

    def __init__(self, policy=POLICY):
        pools = {pool.name: pool.endpoints for pool in policy.pools}
        self.engines, self.journal = MemoryEngines(pools), MemoryJournal()
        self.meter = MemoryMeter()
        filters = build(policy, Outside(self.engines, self.journal))
        self.pipeline = Pipeline(filters, policy.version, self.meter)

    async def send(self, path="/v1/completions", method="POST", key="sk-1", body=None):
        pairs = [(":method", method), (":path", path), ("authorization", f"Bearer {key}")]
        judged = await self.pipeline.judge_head(arrive(pairs))
        if judged.stop:
            return judged
        raw = msgspec.json.encode(body or {"model": "t", "prompt": "hi", "stream": True})
        return await self.pipeline.judge_body(judged.request.having(Body(raw)))


def test_the_order_is_the_order_of_a_request():
    names = [each.name for each in build(POLICY, Outside(MemoryEngines(), MemoryJournal()))]
    assert names == [
        "surface", "identify", "relay", "catalog",
        "read", "resolve", "authorize", "served", "modality", "parameters", "context",
        "measure", "salt", "write", "elsewhere", "prefix", "pick", "settle",
    ]  # fmt: skip
    assert len(set(names)) == len(names), "names are metric labels"


async def test_what_leaves_is_written_when_all_changes_are_made():
    world = World()
    judged = await world.send()
    (noted,) = world.journal.requests
    assert noted.fact(Payload) is judged.request.fact(Payload)
    sent = msgspec.json.decode(judged.request.fact(Payload).raw)
    assert sent == judged.request.fact(Prompt).document
    assert sent["model"] == "org/tiny"


async def test_what_grew_too_large_is_refused_and_not_noted():
    world = World()
    judged = await world.send(
        body={"model": "t", "prompt": "hi", "x": [1e15] * (MAX_BODY_BYTES // 18)}
    )
    assert judged.stop.reason is Reason.TOO_LARGE
    assert not world.journal.requests


def test_an_authority_is_asked_before_anything_is_changed():
    asked = []

    def reach(named):
        asked.append(str(named.url))
        return MemoryAuthority()

    outside = Outside(MemoryEngines(), MemoryJournal(), authority=reach)
    filters = build(Policy.model_validate(AUTHORITY), outside)
    assert [each.name for each in filters][6:8] == ["authorize", "consult"]
    assert asked == ["http://127.0.0.1:1/v1/data/x"]


def test_an_authority_that_nobody_can_reach():
    with pytest.raises(PolicyError, match="no way to ask"):
        build(Policy.model_validate(AUTHORITY), Outside(MemoryEngines(), MemoryJournal()))


async def guarded(**guards):
    """Names of the filters under these guards, each with the one before it."""
    guard = Guard(MemoryCounters(), View(MemoryBans(), MemoryBans()), MemoryGuardMeter())
    lasting = Lasting()
    governance = Governance(MemoryCounters(), lasting, MemoryLimitMeter(), print)
    outside = Outside(MemoryEngines(), MemoryJournal(), governance=governance, guard=guard)
    policy = Policy.model_validate({**POLICY.model_dump(exclude_none=True), "guards": guards})
    filters = build(policy, outside)
    await lasting.close()
    Pipeline(filters, "v", MemoryMeter())
    return list(pairwise(["", *(each.name for each in filters)]))


async def test_the_banned_are_met_first():
    found = await guarded(refusals={})
    assert ("", "banned_address") in found
    assert ("identify", "banned_key") in found
    assert ("context", "measure") in found, "nothing is counted for it"


async def test_long_prompts_are_refused_once_they_are_counted():
    found = await guarded(long_prompts={})
    assert found[0] == ("", "surface")
    wanted = [("context", "count"), ("count", "long_prompts"), ("long_prompts", "measure")]
    at = found.index(wanted[0])
    assert found[at : at + 3] == wanted


@pytest.mark.parametrize("name", ["refusals", "long_prompts"])
def test_guards_that_nobody_can_keep(name):
    policy = Policy.model_validate({"guards": {name: {}}})
    with pytest.raises(PolicyError, match=r"nobody here|nothing here"):
        build(policy, Outside(MemoryEngines(), MemoryJournal()))


def test_an_empty_policy_makes_a_pipeline():
    assert World(Policy()).pipeline.version == ""


@pytest.mark.parametrize("missing", range(17))
def test_none_whose_facts_are_needed_may_be_missing(missing):
    filters = list(build(POLICY, Outside(MemoryEngines(), MemoryJournal())))
    gone = filters.pop(missing)
    if gone.provides:
        with pytest.raises(PolicyError, match="stands before what it needs"):
            Pipeline(filters, "v", MemoryMeter())
    else:
        assert gone.name in {
            "relay", "catalog", "authorize", "served", "modality", "parameters", "context",
            "measure", "elsewhere", "prefix", "settle",
        }  # fmt: skip


async def test_a_request_from_head_to_journal():
    world = World()
    judged = await world.send()
    assert judged.stop is None
    request = judged.request
    assert request.fact(Identity).key_id == "k1"
    assert request.fact(Model).name == "tiny"
    assert request.fact(Prompt).document == {
        "model": "org/tiny",
        "prompt": "hi",
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "cache_salt": salt_of("a salt of tests", "4:acme", ""),
    }
    assert request.fact(Strip).what == "usage"
    assert sorted(request.fact(Route).endpoints) == ["127.0.0.1:1", "127.0.0.1:2"]
    assert world.journal.requests == [request], "what is journalled is what leaves"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "/v1/x"}, Reason.UNKNOWN_URL),
        ({"method": "GET"}, Reason.METHOD),
        ({"key": "sk-0"}, Reason.INVALID_KEY),
        ({"path": "/v1/models/gone", "method": "GET"}, Reason.UNKNOWN_MODEL),
        ({"body": {"model": "t"}}, Reason.INVALID_REQUEST),
        ({"body": {"model": "gone", "prompt": "x"}}, Reason.UNKNOWN_MODEL),
        ({"key": "sk-2"}, Reason.MODEL_FORBIDDEN),
    ],
)
async def test_a_refused_one_leaves_no_entry(changes, reason):
    world = World()
    judged = await world.send(**changes)
    assert judged.stop.reason is reason
    assert world.journal.requests == []
    assert not world.meter.faults


async def test_without_engines_there_is_no_entry_either():
    world = World()
    world.engines.sick = {"127.0.0.1:1", "127.0.0.1:2"}
    assert (await world.send()).stop.reason is Reason.NO_ENDPOINT
    assert world.journal.requests == []


async def test_the_catalog_answers_at_the_head():
    judged = await World().send("/v1/models", "GET")
    assert isinstance(judged.stop, Reply)
    assert [card["id"] for card in msgspec.json.decode(judged.stop.body)["data"]] == ["tiny"]


async def test_usage_is_handed_over_at_the_head():
    judged = await World().send("/headgate/v1/usage", "GET")
    assert isinstance(judged.stop, Relay)
    assert judged.stop.headers["x-headgate-tenant"] == "acme"
    assert judged.outcome == "relay"


async def test_a_full_disk_does_not_stop_the_service():
    world = World()
    world.journal.broken = True
    assert (await world.send()).stop is None
    assert world.meter.faults == {"settle": 1}


def read_headers(paths):
    known = re.compile(r'headers(?:\.get\(|\[)\s*"([^"]+)"|_HEADER = "([^"]+)"')
    return {a or b for path in paths for a, b in known.findall(path.read_text())}


def test_no_source_reads_a_header_that_envoy_does_not_show():
    """`HEADERS` is what Envoy shows. A filter that reads another one would never see it. The endpoint
    picker of others is shown all of them, by their Envoy: what it reads ours must not show."""
    sources = list(Path(extproc.__file__).parent.rglob("*.py"))
    written = ("action.py", "standing.py")  # these are set, not read
    epp = [path for path in sources if path.parent.name == "epp"]
    ours = [path for path in sources if path not in epp and path.name not in written]
    assert {"authorization", "x-tenant-id"} <= read_headers(ours) <= set(HEADERS)
    assert "test-epp-endpoint-selection" in read_headers(epp)
    assert not read_headers(epp) & set(HEADERS)


async def test_what_is_refused_is_where_the_client_put_it():
    """A canary stands in a message of its own, before those of the client."""
    policy = Policy.model_validate(
        {
            **POLICY.model_dump(exclude_none=True),
            "firewall": [{"action": "tag", "canary": {"key": {"env": "K"}}}],
            "pii": {"key": {"env": "K"}, "rules": [{"types": {"email": "deny"}}]},
        }
    )
    for secret in (policy.firewall[0].canary.key, policy.pii.key):
        secret.found("k" * 32)
    world = World(policy)
    body = {"model": "t", "messages": [{"role": "user", "content": "mail ann.lee@example.com"}]}
    judged = await world.send("/v1/chat/completions", body=body)
    assert judged.stop.param == "messages[0].content"
    body["messages"][0]["content"] = "hi"
    judged = await world.send("/v1/chat/completions", body=body)
    assert [each["role"] for each in judged.request.fact(Prompt).document["messages"]] == [
        "system",
        "user",
    ]
