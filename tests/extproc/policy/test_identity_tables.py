"""From the policy's keys, services and issuers to what the filter looks things up in."""

from datetime import UTC, datetime

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.identity.jwks import KeyRings
from extproc.identity.keys import digest
from extproc.policy.load import load
from extproc.policy.secrets import SecretReader
from extproc.policy.tables import issuer, key_source, tenant_table, token_table
from extproc.request import Identity

SERVICE = "a-service-of-our-own-0123456789"
POLICY = f"""\
salt: a salt of tests
tenants:
  - {{name: acme, projects: [support], region: eu}}
  - {{name: globex}}
keys:
  - id: whole
    digest: {digest("a salt of tests", "sk-new")}
    tenant: acme
    project: support
    user: ann
    groups: [a, b]
    models: [llama]
    expires: 2030-06-01T00:00:00Z
    cidrs: [10.0.0.0/8]
    retiring:
      - {{digest: {digest("a salt of tests", "sk-old")}, until: 2030-01-01T00:00:00Z}}
      - {{digest: {digest("a salt of tests", "sk-oldest")}, until: 2031-01-01T00:00:00Z}}
  - {{id: plain, digest: {digest("a salt of tests", "sk-plain")}, tenant: globex}}
services:
  - {{name: rag, token: {{env: RAG}}, tenants: [acme]}}
  - {{name: agents, token: {{env: AGENTS}}}}
issuers:
  - name: sso
    issuer: https://sso/acme
    audiences: [headgate]
    jwks: {{url: "https://sso/certs", refresh_s: 60}}
    leeway_s: 5
    claims: {{tenant: org, project: proj, user: email, groups: realm.roles, region: zone}}
    models: [llama]
    groups: [staff]
  - {{name: istio, issuer: https://sso/istio, audiences: [x], verified_by: envoy, tenant: globex}}
pools: [{{name: p, endpoints: ["127.0.0.1:8000"]}}]
models: [{{name: llama, pool: p}}]
"""
WHOLE = Identity(
    "acme", "whole", "support", "ann", frozenset({"llama"}), frozenset({"a", "b"}), "eu"
)


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "a.yaml").write_text(POLICY)
    return load([tmp_path], SecretReader({"RAG": SERVICE, "AGENTS": f"{SERVICE}-2"}))


def judge(policy, key, year, month=1, client_ip="10.0.0.1"):
    keys = key_source(policy)
    now_s = datetime(year, month, 1, tzinfo=UTC).timestamp()
    judged = keys.find(keys.mark(key)).judge(now_s, client_ip)
    return judged.reason if isinstance(judged, Deny) else judged


def test_everything_a_key_says(policy):
    assert judge(policy, "sk-new", 2029) == WHOLE
    assert judge(policy, "sk-new", 2029, client_ip="11.0.0.1") is Reason.WRONG_ADDRESS
    assert judge(policy, "sk-new", 2030, 6) is Reason.EXPIRED_KEY
    assert judge(policy, "sk-plain", 2100, client_ip="") == Identity("globex", "plain")


def test_an_old_digest_stands_for_the_same_until_its_overlap_is_over(policy):
    assert judge(policy, "sk-old", 2029, 12) == WHOLE
    assert judge(policy, "sk-old", 2029, client_ip="11.0.0.1") is Reason.WRONG_ADDRESS
    assert judge(policy, "sk-old", 2030, 1) is Reason.EXPIRED_KEY
    assert judge(policy, "sk-oldest", 2030, 5) == WHOLE
    assert judge(policy, "sk-oldest", 2030, 6) is Reason.EXPIRED_KEY, "as the key itself"


def test_services_act_for_those_named_or_for_all(policy):
    keys = key_source(policy)
    rag, agents = (keys.find(keys.mark(token)) for token in (SERVICE, f"{SERVICE}-2"))
    assert (rag.name, rag.tenants) == ("rag", {"acme"})
    assert (agents.name, agents.tenants) == ("agents", {"acme", "globex"})


def test_everything_an_issuer_says(policy):
    sso, istio = (issuer(each) for each in policy.issuers)
    assert (sso.name, sso.issuer, sso.audiences) == ("sso", "https://sso/acme", {"headgate"})
    assert sso.algorithms == {"RS256", "ES256", "EdDSA"}
    assert (sso.leeway_s, sso.models, sso.by_envoy) == (5, {"llama"}, False)
    names = sso.names
    assert (names.tenant, names.project, names.user) == ("org", "proj", "email")
    assert (names.groups, names.region) == ("realm.roles", "zone")
    assert (sso.groups, istio.groups) == ({"staff"}, {"*"})
    assert (istio.by_envoy, istio.tenant, istio.names.tenant) == (True, "globex", "")


async def test_each_issuer_has_its_ring_unless_envoy_verifies(policy):
    rings = KeyRings()
    tokens = token_table(policy, rings)
    (source,) = (ring.source for ring in list(rings._rings.values()))
    assert (source.issuer, source.url, source.refresh_s) == ("sso", "https://sso/certs", 60)
    seen = {"iss": "https://sso/istio", "aud": "x", "exp": 2000, "sub": "bob"}
    assert tokens.accept(seen, 1000) == Identity("globex", "jwt:istio", user="bob")


def test_tenants(policy):
    known = tenant_table(policy)
    assert (known["acme"].projects, known["acme"].region) == ({"support"}, "eu")
    assert (known["globex"].projects, known["globex"].region) == (set(), "")
