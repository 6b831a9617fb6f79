"""What is recorded of requests, and how long records are kept."""

import pytest
from pydantic import ValidationError

from audit.record import LEAST_DAYS
from extproc.errors import PolicyError
from extproc.policy.audit import AuditPolicy, AuditRequestsPolicy
from extproc.policy.load import load


def test_nothing_of_requests_and_half_a_year_unless_somebody_says_so():
    assert AuditPolicy().days == LEAST_DAYS == 180
    assert AuditRequestsPolicy() == AuditRequestsPolicy(tenants=(), sample=None, content=None)


@pytest.mark.parametrize(
    "given",
    [
        {"retention_days": 179},
        {"retention_days": 0, "retention_by_law": "shorter"},
        {"retention_by_law": "longer"},
        {"requests": {"sample": 0}},
        {"requests": {"sample": 1.5}},
        {"requests": {"content": "all"}},
        {"more": 1},
    ],
)
def test_mistakes(given):
    with pytest.raises(ValidationError):
        AuditPolicy.model_validate(given)


def test_a_law_may_want_less():
    assert AuditPolicy(retention_days=30, retention_by_law="shorter").days == 30


def test_tenants_must_be_there(tmp_path):
    (tmp_path / "p.yaml").write_text("audit: {requests: {tenants: [acme]}}\n")
    with pytest.raises(PolicyError, match="there is no tenant 'acme'"):
        load([tmp_path])
