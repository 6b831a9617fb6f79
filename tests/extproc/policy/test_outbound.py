"""The section that says what answers may not tell."""

import pytest

from extproc.policy.models import Policy
from extproc.policy.outbound import OutboundPolicy, check_outbound
from extproc.safety.outbound import OutboundRule

KNOWN = {"tenants": {"acme"}, "models": {"demo"}}


def policy(**rule):
    return OutboundPolicy.model_validate(
        {"rules": [{"types": ["email"], "action": "mask", **rule}]}
    )


def test_off_by_default():
    assert Policy().outbound == OutboundPolicy()
    assert not OutboundPolicy().compiled_rules()
    assert OutboundPolicy.model_validate({"on_fault": "continue"}).on_fault == "continue"


def test_rules():
    found = policy(tenants=["acme"], models=["demo"]).compiled_rules()
    assert found == [
        OutboundRule(frozenset({"email"}), "mask", frozenset({"acme"}), frozenset({"demo"}))
    ]


@pytest.mark.parametrize(
    ("rule", "place", "said"),
    [
        ({"types": ["staff_id"]}, "types", "no pattern finds 'staff_id'"),
        ({"types": ["person"]}, "types", "no pattern finds 'person'"),
        ({"tenants": ["nobody"]}, "tenants", "there is no tenant 'nobody'"),
        ({"models": ["none"]}, "models", "there is no model 'none'"),
    ],
)
def test_what_points_nowhere(rule, place, said):
    assert list(check_outbound(policy(**rule), set(), KNOWN)) == [
        (("outbound", "rules", 0, place), said)
    ]


def test_what_is_known():
    rule = policy(types=["all", "staff_id", "iban"], tenants=["acme"], models=["demo"])
    assert not list(check_outbound(rule, {"staff_id"}, KNOWN))


@pytest.mark.parametrize("rule", [{"action": "deny"}, {"types": []}, {"more": 1}])
def test_what_is_refused(rule):
    with pytest.raises(ValueError, match="rules"):
        policy(**rule)
