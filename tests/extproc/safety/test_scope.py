"""Which rules are for whom."""

import pytest

from extproc.request import Identity, Model
from extproc.safety.outbound import OutboundRule
from extproc.safety.pii.rules import Rule
from extproc.safety.scope import check_scope, covers, may_cover, rules_for, tenant_rules
from tests.extproc.requests import bare

ALL = Rule({"all": "mask"})
ACME = Rule({"all": "tag"}, frozenset({"acme"}))
ACME_SMALL = OutboundRule({"email"}, "cut", frozenset({"acme"}), frozenset({"small"}))
SMALL = OutboundRule({"email"}, "tag", models=frozenset({"small"}))
RULES = (ALL, ACME, ACME_SMALL, SMALL)


@pytest.mark.parametrize(
    ("tenant", "model", "by_tenant", "found"),
    [
        ("acme", "small", [ALL, ACME, ACME_SMALL, SMALL], [ALL, ACME, ACME_SMALL, SMALL]),
        ("acme", "big", [ALL, ACME, ACME_SMALL, SMALL], [ALL, ACME]),
        ("globex", "small", [ALL, SMALL], [ALL, SMALL]),
        ("globex", "big", [ALL, SMALL], [ALL]),
    ],
)
def test_rules_of_a_request(tenant, model, by_tenant, found):
    request = bare().having(Identity(tenant, "k1")).having(Model(model, "pool", model))
    assert tenant_rules(RULES, request) == by_tenant
    assert rules_for(RULES, request) == found
    assert [each for each in RULES if may_cover(each, tenant)] == by_tenant
    assert [each for each in RULES if covers(each, tenant, model)] == found


def test_names_that_point_nowhere():
    rule = OutboundRule({"email"}, "cut", frozenset({"acme", "b", "a"}), frozenset({"x"}))
    known = {"models": {"small"}, "tenants": {"acme"}, "pools": {"p"}}
    assert list(check_scope(("outbound", 3), rule, known)) == [
        (("outbound", 3, "tenants"), "there is no tenant 'a'"),
        (("outbound", 3, "tenants"), "there is no tenant 'b'"),
        (("outbound", 3, "models"), "there is no model 'x'"),
    ]
    assert not list(check_scope((), ACME_SMALL, known))
