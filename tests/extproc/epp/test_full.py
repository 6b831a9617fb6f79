import pytest

from extproc.epp.full import LEFT_OUT, build_full, within
from extproc.errors import PolicyError
from extproc.filters import Outside
from extproc.pipeline import Pipeline
from extproc.policy.models import Policy
from extproc.stores.memory import MemoryEngines, MemoryJournal, MemoryMeter

TRACKS = [
    {"track": "stable", "pool": "p", "version": "1"},
    {"track": "canary", "pool": "q", "version": "2"},
]
POLICY = Policy.model_validate(
    {
        "pools": [
            {"name": "p", "endpoints": ["10.0.0.1:80"]},
            {"name": "q", "endpoints": ["10.0.0.2:80"]},
        ],
        "models": [
            {"name": "here", "pool": "p", "fallback": ["there"], "hedge": {}},
            {"name": "both", "tracks": TRACKS},
            {"name": "there", "pool": "q"},
        ],
    }
).at("v7")


def test_the_rest_of_a_policy_does_not_exist_here():
    only = within(POLICY, "p")
    assert [pool.name for pool in only.pools] == ["p"]
    (model,) = only.models
    assert (model.name, model.fallback, model.hedge) == ("here", (), None)
    assert only.version == "v7"
    with pytest.raises(PolicyError):
        within(POLICY, "r")


def test_the_filters_are_our_own_and_need_nothing_of_our_envoy():
    built = build_full(POLICY, "p", Outside(MemoryEngines({"p": []}), MemoryJournal()))
    names = [each.name for each in Pipeline(built, "v", MemoryMeter())._filters]
    assert {"surface", "identify", "read", "resolve", "authorize", "pick"} <= set(names)
    assert not {each.name for each in LEFT_OUT} & set(names)
