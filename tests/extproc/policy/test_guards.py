"""Guards as they are written, and what they come to."""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from extproc.guards.base import Growth
from extproc.policy.guards import GuardsPolicy, LongPromptsPolicy, RefusalsPolicy


def test_nothing_is_on_unless_it_stands_there():
    assert not GuardsPolicy().on
    assert not GuardsPolicy.model_validate({}).on


@pytest.mark.parametrize("written", [{}, None])
def test_a_guard_that_is_named_has_the_usual_figures(written):
    policy = GuardsPolicy.model_validate({"refusals": written, "long_prompts": written})
    assert policy.on
    refusals, prompts = policy.refusals.rule(), policy.long_prompts.rule()
    assert (refusals.limit.amount, refusals.limit.period_s) == (100, 60)
    assert (refusals.growth, refusals.exempt) == (Growth(60, 2, 86400), ())
    assert (prompts.tokens, prompts.share, prompts.least_requests) == (5000, 0.3, 20)
    assert (prompts.all.period_s, prompts.long.period_s, prompts.for_s) == (300, 300, 600)
    assert not refusals.shadow
    assert not prompts.shadow


def test_all_of_it():
    written = {
        "most": 20, "every": "12h", "ban_s": 5, "factor": 1.5, "longest_s": 60,
        "exempt": ["10.0.0.0/8", "2001:db8::/32"], "shadow": True,
    }  # fmt: skip
    rule = RefusalsPolicy.model_validate(written).rule()
    assert (rule.limit.amount, rule.limit.period_s) == (20, 12 * 3600)
    assert (rule.growth, rule.shadow) == (Growth(5, 1.5, 60), True)
    assert rule.exempt == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    written = {"tokens": 9, "share": 0, "least_requests": 1, "every": "hour", "for_s": 7}
    rule = LongPromptsPolicy.model_validate({**written, "shadow": True}).rule()
    assert (rule.tokens, rule.share, rule.least_requests, rule.for_s) == (9, 0, 1, 7)
    assert (rule.all.period_s, rule.shadow) == (3600, True)


@pytest.mark.parametrize(
    ("section", "written", "said"),
    [
        ("refusals", {"most": 0}, "most"),
        ("refusals", {"every": "month"}, "write 30d"),
        ("refusals", {"every": "soon"}, "is second, minute"),
        ("refusals", {"ban_s": 61, "longest_s": 60}, "cannot be above longest_s"),
        ("refusals", {"ban_s": 0}, "ban_s"),
        ("refusals", {"factor": 0.5}, "factor"),
        ("refusals", {"factor": float("inf")}, "factor"),
        ("refusals", {"longest_s": 32 * 86400}, "longest_s"),
        ("refusals", {"exempt": ["10.0.0.1/8"]}, "exempt"),
        ("refusals", {"banned": 1}, "banned"),
        ("long_prompts", {"share": 1}, "share"),
        ("long_prompts", {"tokens": -1}, "tokens"),
        ("long_prompts", {"for_s": 0}, "for_s"),
    ],
)
def test_what_is_no_guard(section, written, said):
    with pytest.raises(ValidationError) as caught:
        GuardsPolicy.model_validate({section: written})
    assert said in str(caught.value)
