"""No other model serves a request under fewer rules than its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.filters.safeguards import Safeguarded, Safeguards, Scope, all_under, scopes_of
from extproc.policy.models import Policy
from extproc.request import Identity, Model
from tests.extproc.requests import bare

EVERYBODY = frozenset()
SCOPES = [
    Scope("pii", 0, EVERYBODY, frozenset({"big"})),
    Scope("pii", 1, EVERYBODY, EVERYBODY),
    Scope("firewall", 0, frozenset({"globex"}), EVERYBODY),
    Scope("moderation", 0, EVERYBODY, frozenset({"strict"})),
]


def asked(model):
    return bare().having(Identity("acme", "k1")).having(Model(model, "p", model))


@pytest.mark.parametrize(
    ("first", "other", "may"),
    [
        ("big", "big", True),
        ("big", "small", False),  # its own rule comes first
        ("small", "big", False),
        ("small", "tiny", True),
        ("small", "strict", False),
        ("strict", "small", True),
    ],
)
async def test_who_may_stand_in(first, other, may):
    guards = Safeguards(SCOPES)
    request = await guards.decide(asked(first))
    assert ("firewall", 0) not in request.fact(Safeguarded).rules
    found = await guards.decide(request.having(Model(other, "p", other)))
    assert isinstance(found, Deny) is not may


RULES = st.frozensets(st.tuples(st.sampled_from("ab"), st.integers(0, 2)))


@given(RULES, RULES)
def test_whatever_is_wanted_was_applied(applied, wanted):
    assert all_under(applied, applied)
    assert all_under(applied, frozenset())
    if all_under(applied, wanted):
        assert wanted <= applied


def test_where_rules_name_no_model_nothing_is_compared():
    rule = {"types": {"all": "tag"}}
    assert not scopes_of(Policy.model_validate({"pii": {"rules": [rule]}}))
    both = Policy.model_validate({"pii": {"rules": [rule | {"models": ["m"]}, rule]}})
    assert [(each.section, each.index) for each in scopes_of(both)] == [("pii", 0), ("pii", 1)]
