"""Rights in policies: what may be written, and the table that is made of it."""

import pytest
from pydantic import ValidationError

from extproc.policy.access import MOST_DENY_RULES, AccessPolicy, AllowRule, DenyRule
from extproc.policy.models import Policy

ALLOW = {"groups": ["staff"], "models": ["m"]}
RULE = {"name": "r", "when": "true"}


def complaint(make):
    with pytest.raises(ValidationError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"allow": [{"groups": [], "models": ["m"]}]}, "groups"),
        ({"allow": [{"groups": ["g"], "models": []}]}, "models"),
        ({"allow": [{**ALLOW, "operations": ["models"]}]}, "operations"),
        ({"deny": [{"name": "r", "when": ""}]}, "when"),
        ({"deny": [{"name": "r", "when": "identity.tenent == 'x'"}]}, "undeclared reference"),
        ({"deny": [{"name": "r", "when": "identity.tenant"}]}, "neither true nor false"),
        ({"deny": [{"name": "r", "when": "true" + " " * 2000}]}, "2000"),
        ({"deny": [{"name": "a b", "when": "true"}]}, "name"),
        ({"deny": [{**RULE, "message": ""}]}, "message"),
        ({"deny": [RULE] * (MOST_DENY_RULES + 1)}, "64"),
        ({"authority": {"url": "ftp://x"}}, "url"),
        ({"authority": {"url": "http://u:p@x"}}, "url"),
        ({"authority": {"url": "http://x", "deadline_ms": 4001}}, "deadline_ms"),
        ({"authority": {"url": "http://x", "token": "sk-secret"}}, "token"),
        ({"authority": {"url": "http://x", "on_fault": "allow"}}, "on_fault"),
    ],
)
def test_what_is_no_right(members, said):
    assert said in complaint(lambda: AccessPolicy.model_validate(members))


def test_an_authority_is_closed_unless_it_says_so():
    authority = AccessPolicy.model_validate({"authority": {"url": "http://x"}}).authority
    assert (authority.on_fault, authority.deadline_ms, authority.token) == ("deny", 50, None)


def test_two_conditions_of_one_name():
    policy = Policy(access=AccessPolicy(deny=(DenyRule(**RULE), DenyRule(**RULE))))
    assert list(policy.dangling()) == [(("access", "deny", 1, "name"), "'r' stands twice")]


def test_a_right_to_what_is_not_there():
    policy = Policy(access=AccessPolicy(allow=(AllowRule(**ALLOW),)))
    assert list(policy.dangling()) == [(("access", "allow", 0, "models"), "there is no model 'm'")]
