"""Keys, issuers and services as a policy says them."""

import pytest
from pydantic import ValidationError

from extproc.policy.identities import IssuerPolicy, Jwks, KeyPolicy

DIGEST = "0" * 64
ISSUER = {"name": "sso", "issuer": "https://sso", "audiences": ["headgate"], "tenant": "acme"}
FILE = {"file": "/etc/headgate/jwks.json"}


@pytest.mark.parametrize(
    "changed",
    [
        {"jwks": FILE},
        {"jwks": {"url": "http://sso/certs"}},
        {"jwks": {"url": "https://sso/certs", "refresh_s": 1}, "algorithms": ["ES512"]},
        {"verified_by": "envoy"},
        {"verified_by": "envoy", "leeway_s": 0},
        {"jwks": FILE, "tenant": None, "claims": {"tenant": "https://acme.com/tenant"}},
    ],
)
def test_issuers(changed):
    assert IssuerPolicy.model_validate({**ISSUER, **changed})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "say in jwks where its keys are"),
        ({"verified_by": "envoy", "jwks": FILE}, "Envoy's to know"),
        ({"verified_by": "envoy", "algorithms": ["RS256"]}, "Envoy's to know"),
        ({"verified_by": "nobody"}, "'headgate' or 'envoy'"),
        ({"jwks": FILE, "algorithms": ["HS256"]}, "algorithms"),
        ({"jwks": FILE, "algorithms": ["none"]}, "algorithms"),
        ({"jwks": FILE, "algorithms": []}, "algorithms"),
        ({"jwks": FILE, "audiences": []}, "audiences"),
        ({"jwks": FILE, "leeway_s": 301}, "leeway_s"),
        ({"jwks": FILE, "claims": {"tenant": "t"}}, "exactly one of tenant and claims.tenant"),
        ({"jwks": FILE, "tenant": None}, "exactly one of tenant and claims.tenant"),
        ({"jwks": FILE, "groups": ["staff"]}, "groups needs claims.groups"),
        ({"jwks": {**FILE, "url": "https://sso"}}, "exactly one of url and file"),
        ({"jwks": {"file": "jwks.json"}}, "the whole path"),
        ({"jwks": {"url": "ftp://sso"}}, "url"),
        ({"jwks": {"url": "https://me:secret@sso"}}, "user and password"),
        ({"jwks": FILE, "claims": {"groups": "a..b"}}, "groups"),
    ],
)
def test_wrong_issuers(changed, said):
    with pytest.raises(ValidationError) as raised:
        IssuerPolicy.model_validate({**ISSUER, **changed})
    assert said in str(raised.value)


def test_keys_are_looked_up_every_five_minutes_unless_said_otherwise():
    assert Jwks.model_validate(FILE).refresh_s == 300


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"expires": "2027-01-01T00:00:00"}, "timezone"),
        ({"cidrs": ["10.0.0.1/8"]}, "cidrs.0"),
        ({"cidrs": ["10.0.0.0/33"]}, "cidrs"),
        ({"retiring": [{"digest": DIGEST}]}, "until"),
        ({"retiring": [{"digest": DIGEST, "until": "soon"}]}, "until"),
    ],
)
def test_wrong_keys(changed, said):
    with pytest.raises(ValidationError) as raised:
        KeyPolicy.model_validate({"id": "k", "digest": DIGEST, "tenant": "acme", **changed})
    assert said in str(raised.value)
