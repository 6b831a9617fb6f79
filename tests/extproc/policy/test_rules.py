"""Rules for parameters that no engine would take are found before they are live."""

import pytest

from extproc.policy.catalog import ParameterRule
from extproc.policy.models import Policy
from extproc.policy.rules import check_rule


@pytest.mark.parametrize(
    "rule",
    [
        {"defaults": {"temperature": 0.2, "max_tokens": 100, "stop": ["x"], "top_k": 5}},
        {"clamp": {"max_tokens": {"min": 1, "max": 100}, "temperature": {"max": 1}}},
        {"clamp": {"own_extension": {"min": -5.5}}},
        {"operations": ["completions"], "defaults": {"max_tokens": 0}},
        {"operations": ["chat"], "defaults": {"tools": []}},
        {"forbid": ["logprobs"]},
    ],
)
def test_good_rules(rule):
    assert list(check_rule(ParameterRule.model_validate(rule))) == []


@pytest.mark.parametrize(
    ("rule", "place", "said"),
    [
        ({"defaults": {"temperature": "hot"}}, ("defaults", "temperature"), "no chat request"),
        ({"defaults": {"max_tokens": 0}}, ("defaults", "max_tokens"), "no chat request"),
        (
            {"defaults": {"top_logprobs": "x"}, "operations": ["responses"]},
            ("defaults", "top_logprobs"),
            "no responses request",
        ),
        ({"clamp": {"max_tokens": {"max": 0}}}, ("clamp", "max_tokens", "max"), "no chat request"),
        (
            {"clamp": {"max_tokens": {"max": 0}}, "operations": ["responses"]},
            ("clamp", "max_tokens", "max"),
            "no responses request",
        ),
        ({"clamp": {"temperature": {"min": -1}}}, ("clamp", "temperature", "min"), ">= 0"),
        ({"clamp": {"n": {"max": 1.5}}}, ("clamp", "n", "max"), "got 'float'"),
        ({"clamp": {"stop": {"max": 1}}}, ("clamp", "stop", "max"), "got 'int'"),
    ],
)
def test_wrong_rules(rule, place, said):
    ((found, message),) = check_rule(ParameterRule.model_validate(rule))
    assert found == place
    assert said in message


def test_a_mistake_stands_where_it_was_made():
    policy = Policy.model_validate(
        {
            "pools": [{"name": "p", "endpoints": ["10.0.0.1:80"]}],
            "models": [
                {"name": "m", "pool": "p"},
                {
                    "name": "n",
                    "pool": "p",
                    "parameters": [{"forbid": ["seed"]}, {"defaults": {"n": "two"}}],
                },
            ],
        }
    )
    ((place, _),) = policy.dangling()
    assert place == ("models", 1, "parameters", 1, "defaults", "n")
