"""Health in the policy: the documented defaults, and marks that make no sense."""

import pytest
from pydantic import ValidationError

from extproc.policy.catalog import PoolPolicy
from extproc.policy.health import HealthPolicy
from extproc.routing.condition import HealthRules


def test_defaults_are_those_of_the_rules():
    assert HealthPolicy().rules() == HealthRules()
    pool = PoolPolicy(name="p", endpoints=("10.0.0.1:8000",))
    assert pool.health.rules() == HealthRules()


def test_what_is_set_arrives():
    given = HealthPolicy(
        errors=0.2, errors_over_s=20, errors_least=7, ttft_p99_s=3, ttft_for_s=30, kv_usage=0.9,
        kv_usage_back=0.8, waiting=50, waiting_back=5, stale_s=2, silent_s=1, open_s=1,
        open_most_s=9, trials=2, slow_start_s=0, slow_start_from=0.5, most_out=0.3,
    )  # fmt: skip
    rules = given.rules()
    breaker, pressure, slowness = rules.breaker, rules.pressure, rules.slowness
    assert (breaker.errors, breaker.over_s, breaker.least) == (0.2, 20, 7)
    assert (breaker.open_s, breaker.open_most_s, breaker.trials) == (1, 9, 2)
    assert (slowness.ttft_p99_s, slowness.for_s, slowness.least) == (3, 30, 7)
    assert (pressure.kv_usage, pressure.kv_usage_back) == (0.9, 0.8)
    assert (pressure.waiting, pressure.waiting_back, pressure.stale_s) == (50, 5, 2)
    assert (rules.warmth.over_s, rules.warmth.least) == (0, 0.5)
    assert (rules.silent_s, rules.most_out) == (1, 0.3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kv_usage": 0.5}, "kv_usage_back is above"),
        ({"waiting": 10}, "waiting_back is above"),
        ({"open_s": 100}, "open_s is the shortest"),
        ({"errors": 1.0}, "less than 1"),
        ({"most_out": 1.0}, "less than 1"),
        ({"slow_start_from": 0}, "greater than 0"),
        ({"trials": 0}, "greater than or equal"),
        ({"gpu_cache": 0.9}, "Extra inputs"),
    ],
)
def test_mistakes_are_told(given, said):
    with pytest.raises(ValidationError, match=said):
        HealthPolicy(**given)


def test_null_switches_a_condition_off():
    rules = HealthPolicy(errors=None, ttft_p99_s=None, kv_usage=None, waiting=None, silent_s=None)
    compiled = rules.rules()
    assert compiled.breaker.errors is compiled.pressure.waiting is compiled.silent_s is None
