"""The cache's filters, as a policy wants them."""

from pathlib import Path

import pytest

from extproc.cache.flights import Flights
from extproc.cache.keeper import Keeper
from extproc.errors import PolicyError
from extproc.filters.cache import Caching
from extproc.filters.caching import cache, collect, keys_of, serve
from extproc.policy.load import load_sources
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.memory import MemoryCacheMeter

BASE = "tenants: [{name: acme}]\npools: [{name: p, endpoints: ['10.0.0.1:80']}]\nmodels: [{name: m, pool: p}]\n"


def policy(more=""):
    return load_sources({Path("p.yaml"): (BASE + more).encode()})


def caching(likeness=None):
    meter, answers = MemoryCacheMeter(), MemoryAnswers()
    return Caching(answers, Flights(), Keeper(answers, meter, likeness), meter)


def build(more, given):
    return [each.name for each in cache(policy(more), given, None, lambda: 0.0)]


def test_it_is_there_where_a_rule_is():
    assert build("", None) == []
    assert build("cache: {rules: [{}]}", caching()) == ["cache"]
    assert serve(policy("cache: {rules: [{}]}")) == ()
    assert collect(policy(), caching()) == ()
    assert [each.name for each in collect(policy("cache: {rules: [{}]}"), caching())] == ["collect"]
    assert len(serve(policy("cache: {rules: [{charge_limits: true}]}"))) == 1


@pytest.mark.parametrize("given", [None, caching()])
def test_what_is_missing_is_told(given):
    with pytest.raises(PolicyError, match="cache"):
        build("cache: {rules: [{semantic: {}}]}", given)


def test_keys_change_with_what_answers_depend_on():
    keys = {
        keys_of(policy(more))._rules
        for more in (
            "",
            "limits: [{name: x, requests: 1, every: 1m}]",
            "cache: {rules: [{ttl: 5}]}",
        )
    }
    assert len(keys) == 1
    other = policy().model_copy(update={"models": ()})
    assert keys_of(other)._rules not in keys
