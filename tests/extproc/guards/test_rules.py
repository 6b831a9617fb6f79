"""What counts, and against whom."""

from ipaddress import ip_network

import msgspec
import pytest

from extproc.errors import Reason
from extproc.guards.rules import COUNTED
from tests.extproc.guards.cases import PROMPT_RULE, REFUSAL_RULE, answered, refused

KNOWN = {"tenant": "acme", "key_id": "acme-1"}


@pytest.mark.parametrize("reason", Reason)
def test_refusals_count_when_the_client_is_at_fault(reason):
    counts = reason.value.status < 500 and reason is not Reason.BANNED
    assert (reason.value.code in COUNTED) == counts
    blamed = REFUSAL_RULE.blame(refused(reason.value.code, status=reason.value.status))
    assert blamed == ("address:192.0.2.1" if counts else "")


@pytest.mark.parametrize(
    ("outcome", "subject"),
    [
        (refused(**KNOWN), "key:acme-1"),
        (refused(tenant="acme", key_id="jwt:sso", user="alice"), "user:acme/alice"),
        (refused(tenant="acme", key_id="jwt:sso"), "address:192.0.2.1"),
        (refused(tenant="acme", key_id="service:rag"), ""),
        (refused(ip="2001:db8::1"), "address:2001:db8::/64"),
        (refused(ip=""), ""),
        (refused(ip="10.1.2.3"), ""),
        (refused(ip="10.1.2.3", **KNOWN), ""),
        (refused(ip="::ffff:10.1.2.3"), ""),
        (answered(), ""),
    ],
)
def test_who_is_blamed(outcome, subject):
    rule = msgspec.structs.replace(REFUSAL_RULE, exempt=(ip_network("10.0.0.0/8"),))
    assert rule.blame(outcome) == subject


@pytest.mark.parametrize(
    ("outcome", "measured"),
    [
        (answered(100), ("key:acme-1", 0)),
        (answered(5000), ("key:acme-1", 0)),
        (answered(5001), ("key:acme-1", 1)),
        (answered(None, estimate=5001), ("key:acme-1", 1)),
        (answered(100, estimate=9000), ("key:acme-1", 0)),
        (answered(operation="count_tokens"), None),
        (answered(deny="model_forbidden"), None),
        (answered(key_id="service:rag"), None),
        (refused(), None),
    ],
)
def test_what_a_prompt_counts(outcome, measured):
    assert PROMPT_RULE.measure(outcome) == measured


@pytest.mark.parametrize(
    ("requests", "long", "much"),
    [(19, 19, False), (20, 6, False), (20, 7, True), (1000, 300, False), (1000, 301, True)],
)
def test_how_many_long_prompts_are_too_many(requests, long, much):
    assert PROMPT_RULE.is_too_much(requests, long) == much
