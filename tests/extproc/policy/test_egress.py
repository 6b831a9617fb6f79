"""Egress rules in a policy."""

import pytest
from pydantic import ValidationError

from extproc.policy.egress import EgressPolicy
from extproc.policy.models import Policy
from extproc.safety.egress import Gate


def policy(**egress):
    upstream = {"url": "https://api.example.com/v1", "egress": egress}
    return Policy.model_validate(
        {
            "tenants": [{"name": "acme"}],
            "pools": [{"name": "p", "upstream": upstream}],
            "pii": {"patterns": [{"name": "staff", "expression": "EMP-[0-9]{6}"}]},
        }
    )


def test_nothing_is_allowed_by_silence():
    assert EgressPolicy().gate() == Gate()
    given = {"types": ["email"], "fields": ["user"], "regions": ["eu"], "tenants": ["acme"]}
    names = [frozenset(each) for each in given.values()]
    assert EgressPolicy(**given, on_violation="next").gate() == Gate(*names, goes_on=True)


def test_types_and_tenants_must_be_known():
    assert not list(policy(types=["all", "email", "staff"], tenants=["acme"]).dangling())
    wrong = dict(policy(types=["emial", "person"], tenants=["nobody"]).dangling())
    assert wrong == {
        ("pools", 0, "upstream", "egress", "types"): "no pattern finds 'person'",
        ("pools", 0, "upstream", "egress", "tenants"): "there is no tenant 'nobody'",
    }


@pytest.mark.parametrize(
    "members", [{"fields": ["User"]}, {"on_violation": "allow"}, {"region": ["eu"]}]
)
def test_mistakes(members):
    with pytest.raises(ValidationError):
        EgressPolicy(**members)
