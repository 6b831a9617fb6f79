"""Which filters a policy needs for models that stand in for each other."""

import pytest

from extproc.errors import PolicyError
from extproc.filters.standins import Standing, cascade, checks_of, fit, hedge, leave, stand_in
from extproc.policy.models import Policy
from extproc.stores.memory import MemoryEngines

ASKER = object()


def policy(access=None, **members):
    return Policy.model_validate(
        {
            "pools": [
                {"name": "a", "endpoints": ["10.0.0.1:80"]},
                {"name": "b", "endpoints": ["10.0.0.2:80"]},
            ],
            "models": [{"name": "big", "pool": "a", **members}, {"name": "small", "pool": "b"}],
            "access": access or {},
        }
    )


def names(filters):
    return [each.name for each in filters]


def fitted(given):
    return names(fit(given, MemoryEngines(), lambda: 0.0))


def test_nothing_is_added_for_nothing():
    given = policy()
    assert not stand_in(given, MemoryEngines(), None, Standing())
    assert not hedge(given, MemoryEngines())
    assert not cascade(given, Standing())
    assert fitted(given) == ["measure", "salt"]


def test_a_chain():
    given = policy(fallback=["small"])
    found = stand_in(given, MemoryEngines(), None, Standing())
    assert names(found) == ["downgrade", "fallback"]
    assert fitted(given) == ["keep", "measure", "salt", "alternatives"]


def test_an_authority_is_asked_about_one_model_only():
    authority = {"authority": {"url": "http://opa.example/v1/data/x"}}
    assert fitted(policy(authority, fallback=["small"])) == ["measure", "salt"]


def test_steps_down_hedges_and_cascades():
    steps = [{"to": "small", "when": "saturated"}]
    assert stand_in(policy(downgrade=steps), MemoryEngines(), None, Standing())
    assert names(hedge(policy(hedge={}), MemoryEngines())) == ["hedge"]
    given = policy(cascade={"first": "small"})
    assert names(cascade(given, Standing(asker=ASKER))) == ["cascade"]
    with pytest.raises(PolicyError, match="HEADGATE_URL"):
        cascade(given, Standing())


def test_what_leaves_and_what_stands_in_is_looked_at():
    upstream = {"name": "x", "upstream": {"url": "https://api.example.com/v1"}}
    here = {"name": "a", "endpoints": ["10.0.0.1:80"]}
    rules = {"rules": [{"types": {"all": "tag"}, "models": ["big"]}]}

    def given(pools, fallback):
        models = [{"name": "big", "pool": "a", "fallback": fallback}, {"name": "o", "pool": "a"}]
        return Policy.model_validate({"pools": pools, "models": models, "pii": rules})

    def left(*members):
        return names(leave(given(*members), MemoryEngines(), None, lambda: 0.0))

    assert left([here], []) == []
    assert left([here], ["o"]) == ["safeguards"]
    assert left([here, upstream], []) == ["egress"]
    assert left([here, upstream], ["o"]) == ["safeguards", "egress"]
    assert "egress" in names(checks_of(given([here, upstream], ["o"]), lambda: 0.0))
