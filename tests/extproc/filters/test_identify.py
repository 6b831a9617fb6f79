"""Who is asking: credentials in every odd spelling, and headers that claim too much."""

import json
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.arrive import arrive
from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.identify import Identify
from extproc.identity.claims import ClaimNames, Issuer, Tenant
from extproc.identity.keys import Key, KeySource, Service, digest
from extproc.identity.keyset import read_key_set
from extproc.identity.tokens import Tokens, Trusted
from extproc.request import Identity
from tests.issuer import SigningKey

SALT = "a salt of tests"
NOW_S = 1_800_000_000.0
FIXED = Identity("acme", "fixed", project="support", user="ann", models=frozenset({"m"}))
FREE = Identity("acme", "free")
OTHER = Identity("globex", "other")
IDENTITIES = {"sk-fixed": FIXED, "sk-free": FREE, "sk-other": OTHER}
SERVICE = "a-service-of-our-own-0123456789"
KNOWN = {
    **{digest(SALT, key): Key(who) for key, who in IDENTITIES.items()},
    digest(SALT, "sk-old"): Key(FREE, until_s=NOW_S),
    digest(SALT, "sk-home"): Key(FREE, networks=(ip_network("10.0.0.0/8"),)),
    digest(SALT, SERVICE): Service("rag", frozenset({"acme"}), frozenset({"internal"})),
}
TENANTS = {
    "acme": Tenant(frozenset({"support", "search"}), "eu"),
    "globex": Tenant(frozenset({"research"})),
}
URL, ENVOYS = "https://sso/acme", "https://sso/istio"
CLAIMS = {"iss": URL, "aud": "headgate", "sub": "alice", "exp": NOW_S + 60, "tenant": "acme"}
SEEN = {**CLAIMS, "iss": ENVOYS}
SIGNING = SigningKey("key-1", "EdDSA")
TOKEN = SIGNING.sign(CLAIMS)


class FixedRing:
    """One key, for good; counts how often it was asked for."""

    def __init__(self):
        self._keys = read_key_set(json.dumps({"keys": [SIGNING.jwk()]}).encode())
        self.asked = 0
        self.is_stale = False

    @property
    def keys(self):
        self.asked += 1
        return self._keys

    async def refresh(self):
        raise AssertionError("the key is known")


def make(ring=None):
    names = ClaimNames(tenant="tenant")
    sso = Issuer("sso", URL, frozenset({"headgate"}), frozenset({"EdDSA"}), names=names)
    istio = Issuer("istio", ENVOYS, frozenset({"headgate"}), names=names, by_envoy=True)
    tokens = Tokens([Trusted(sso, ring or FixedRing()), Trusted(istio, None)], TENANTS)
    return Identify(KeySource(SALT, KNOWN), tokens, TENANTS, lambda: NOW_S)


async def decide(*pairs, client_ip="", claims=None):
    return await make().decide(arrive(pairs, client_ip, claims))


async def claim(key, **headers):
    named = ((name.replace("_", "-"), value) for name, value in headers.items())
    return await decide(("authorization", f"Bearer {key}"), *named)


@pytest.mark.parametrize(("key", "identity"), IDENTITIES.items())
async def test_a_known_key(key, identity):
    assert (await claim(key)).fact(Identity) == identity
    assert (await decide(("x-api-key", key))).fact(Identity) == identity


@pytest.mark.parametrize(
    "value",
    ["bearer sk-free", "BEARER sk-free", "bEaReR sk-free", "Bearer  sk-free", "Bearer sk-free "],
)
async def test_the_scheme_has_no_case_and_spaces_around_a_key_do_not_count(value):
    assert (await decide(("authorization", value))).fact(Identity) == FREE


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], Reason.MISSING_KEY),
        ([""], Reason.MISSING_KEY),
        (["Bearer"], Reason.INVALID_KEY),
        (["Bearer "], Reason.INVALID_KEY),
        (["Bearer  "], Reason.INVALID_KEY),
        (["sk-headgate-as-it-is"], Reason.INVALID_KEY),
        (["Basic sk-free"], Reason.INVALID_KEY),
        (["Basic c2stZnJlZTo="], Reason.INVALID_KEY),
        (["Bearer: sk-free"], Reason.INVALID_KEY),
        (["Bearer=sk-free"], Reason.INVALID_KEY),
        (["Bearer\tsk-free"], Reason.INVALID_KEY),
        (["Bearersk-free"], Reason.INVALID_KEY),
        (["XBearer sk-free"], Reason.INVALID_KEY),
        (["Bearer Bearer sk-free"], Reason.INVALID_KEY),
        (["Bearer sk-free sk-free"], Reason.INVALID_KEY),
        (["Bearer 'sk-free'"], Reason.INVALID_KEY),
        (['Bearer "sk-free"'], Reason.INVALID_KEY),
        (["Bearer SK-FREE"], Reason.INVALID_KEY),
        (["Bearer sk-fre"], Reason.INVALID_KEY),
        (["Bearer sk-free\x00"], Reason.INVALID_KEY),
        (["Bearer sk-free\t"], Reason.INVALID_KEY),
        (["Bearer sk-free,"], Reason.INVALID_KEY),
        (["Bearer sk-free", "Bearer sk-free"], Reason.INVALID_KEY),
        (["Bearer sk-free", "Bearer sk-other"], Reason.INVALID_KEY),
        (["Bearer sk-nobody", "Bearer sk-free"], Reason.INVALID_KEY),
        (["Basic x", "Bearer sk-free"], Reason.INVALID_KEY),
        (["Bearer sk-free", ""], Reason.INVALID_KEY),
        (["", "Bearer sk-free"], Reason.INVALID_KEY),
        (["Bearer " + "x" * 60_000], Reason.INVALID_KEY),
        (["Bearer \u00ff\u0080"], Reason.INVALID_KEY),
        (["Bearer " + TOKEN + "x"], Reason.INVALID_TOKEN),
        (["Bearer " + TOKEN + "," + TOKEN], Reason.INVALID_KEY),
    ],
)
async def test_what_is_no_key(values, reason):
    denied = await decide(*(("authorization", value) for value in values))
    assert isinstance(denied, Deny)
    assert denied.reason is reason
    assert denied.param is None
    for word in {word for value in values for word in value.split() if len(word) > 8}:
        assert word not in denied.message, "it may be a real key"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"api-key": "sk-free", "cookie": "Bearer sk-free"}, Reason.MISSING_KEY),
        ({"authorization": "Bearer sk-free", "x-api-key": "sk-free"}, Reason.TWO_CREDENTIALS),
        ({"authorization": "Bearer sk-free", "x-api-key": TOKEN}, Reason.TWO_CREDENTIALS),
        ({"authorization": "Bearer sk-free", ":path": "/v1?key=1"}, Reason.TWO_CREDENTIALS),
        ({":path": "/v1?api_key=sk-free"}, Reason.MISSING_KEY),
        ({"authorization": "Bearer sk-old"}, Reason.EXPIRED_KEY),
    ],
)
async def test_one_credential_in_the_right_place(headers, reason):
    assert (await decide(*headers.items())).reason is reason


async def test_a_key_that_is_bound_to_an_address():
    asked = ("authorization", "Bearer sk-home")
    assert (await decide(asked, client_ip="10.2.3.4")).fact(Identity) == FREE
    for elsewhere in ("", "11.2.3.4"):
        denied = await decide(
            asked, ("x-forwarded-for", "10.2.3.4"), ("x-real-ip", "10.2.3.4"), client_ip=elsewhere
        )
        assert denied.reason is Reason.WRONG_ADDRESS


async def test_a_token_is_verified_once():
    ring = FixedRing()
    identify = make(ring)
    request = arrive([("authorization", f"Bearer {TOKEN}")])
    expected = Identity("acme", "jwt:sso", user="alice", region="eu")
    assert (await identify.decide(request)).fact(Identity) == expected
    keys_read = ring.asked
    again = arrive([("x-api-key", TOKEN), ("x-project-id", "search")])
    found = (await identify.decide(again)).fact(Identity)
    assert (found.user, found.project) == ("alice", "search")
    assert ring.asked == keys_read + 1, "only to see that they are still the same"


async def test_a_remembered_token_may_not_widen_either():
    identify = make()
    for _ in range(2):
        request = arrive([("authorization", f"Bearer {TOKEN}"), ("x-tenant-id", "globex")])
        assert (await identify.decide(request)).reason is Reason.WIDENED


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, Reason.INVALID_REQUEST),
        ({"x-tenant-id": ""}, Reason.INVALID_REQUEST),
        ({"x-tenant-id": "globex"}, Reason.WIDENED),
        ({"x-tenant-id": "initech"}, Reason.WIDENED),
        ({"x-tenant-id": "*"}, Reason.WIDENED),
        ({"x-tenant-id": "acme,globex"}, Reason.WIDENED),
        ({"x-tenant-id": "acme", "x-project-id": "research"}, Reason.WIDENED),
    ],
)
async def test_a_service_names_a_tenant_it_may_act_for(headers, reason):
    denied = await decide(("authorization", f"Bearer {SERVICE}"), *headers.items())
    assert denied.reason is reason


async def test_a_service_is_billed_as_the_tenant():
    headers = {"x-tenant-id": "acme", "x-project-id": "search"}
    found = await decide(("authorization", f"Bearer {SERVICE}"), *headers.items())
    assert found.fact(Identity) == Identity(
        "acme", "service:rag", "search", groups=frozenset({"internal"}), region="eu"
    )


BY_ENVOY = Identity("acme", "jwt:istio", user="alice", region="eu")


async def test_claims_that_envoy_verified_need_no_header():
    assert (await decide(claims=SEEN)).fact(Identity) == BY_ENVOY
    forwarded = ("authorization", f"Bearer {SIGNING.sign(SEEN)}")
    assert (await decide(forwarded, claims=SEEN)).fact(Identity) == BY_ENVOY


@pytest.mark.parametrize(
    ("value", "claims", "reason"),
    [
        ("Bearer sk-free", SEEN, Reason.TWO_CREDENTIALS),
        (f"Bearer {TOKEN}", SEEN, Reason.TWO_CREDENTIALS),
        (f"Bearer {SIGNING.sign({**SEEN, 'sub': 'bob'})}", SEEN, Reason.TWO_CREDENTIALS),
        (f"Bearer {SIGNING.sign(SEEN)}", None, Reason.INVALID_TOKEN),
        ("", CLAIMS, Reason.MISSING_KEY),
        ("", {**SEEN, "aud": "x"}, Reason.INVALID_TOKEN),
        ("", {"sub": "alice"}, Reason.MISSING_KEY),
        ("Basic x", SEEN, Reason.INVALID_KEY),
    ],
)
async def test_claims_that_do_not_count(value, claims, reason):
    headers = [("authorization", value)] if value else []
    assert (await decide(*headers, claims=claims)).reason is reason


async def test_claims_of_an_issuer_that_is_not_left_to_envoy_change_nothing():
    found = await decide(("authorization", "Bearer sk-other"), claims=CLAIMS)
    assert found.fact(Identity) == OTHER


@pytest.mark.parametrize(
    ("key", "headers", "project"),
    [
        ("sk-free", {"x_tenant_id": "acme"}, ""),
        ("sk-free", {"x_project_id": "search"}, "search"),
        ("sk-free", {"x_project_id": ""}, ""),
        ("sk-free", {"x_tenant_id": "acme", "x_project_id": "support"}, "support"),
        ("sk-fixed", {"x_project_id": "support"}, "support"),
        ("sk-other", {"x_project_id": "research"}, "research"),
    ],
)
async def test_headers_may_narrow(key, headers, project):
    found = (await claim(key, **headers)).fact(Identity)
    own = IDENTITIES[key]
    assert found.project == project
    assert (found.tenant, found.key_id, found.user) == (own.tenant, own.key_id, own.user)
    assert found.models == own.models


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("sk-free", "x-tenant-id", "globex"),
        ("sk-free", "x-tenant-id", "ACME"),
        ("sk-free", "x-tenant-id", ""),
        ("sk-free", "x-tenant-id", "acme "),
        ("sk-free", "x-tenant-id", "acme,acme"),
        ("sk-free", "x-tenant-id", "acme\x00"),
        ("sk-free", "x-tenant-id", "acm\u00e9"),
        ("sk-free", "x-tenant-id", "*"),
        ("sk-free", "x-project-id", "research"),
        ("sk-free", "x-project-id", "Search"),
        ("sk-free", "x-project-id", "support,search"),
        ("sk-free", "x-project-id", "*"),
        ("sk-fixed", "x-project-id", "search"),
        ("sk-fixed", "x-project-id", ""),
        ("sk-fixed", "x-project-id", "support "),
        ("sk-other", "x-project-id", "support"),
    ],
)
async def test_headers_may_not_widen(key, name, value):
    denied = await claim(key, **{name.replace("-", "_"): value})
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.param) == (Reason.WIDENED, name)
    for secret in (IDENTITIES[key].tenant, "support", "research", key):
        assert secret not in denied.message, "who guesses must not learn"


async def test_an_identity_header_sent_twice_claims_more():
    denied = await decide(
        ("authorization", "Bearer sk-free"), ("x-tenant-id", "acme"), ("x-tenant-id", "globex")
    )
    assert denied.reason is Reason.WIDENED


async def test_the_credential_itself_is_in_no_fact():
    for secret in ("sk-free", TOKEN):
        found = await claim(secret)
        assert secret not in repr(found.fact(Identity)) + repr(found.witness())


LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=20)


@given(
    LATIN_1 | LATIN_1.map(lambda text: f"Bearer {text}") | st.just("Bearer sk-free"),
    st.dictionaries(
        st.sampled_from(["x-tenant-id", "x-project-id"]),
        LATIN_1 | st.sampled_from(["acme", "globex", "search", "research", ""]),
    ),
)
async def test_no_header_makes_a_key_stand_for_more(authorization, headers):
    found = await decide(("authorization", authorization), *headers.items())
    if isinstance(found, Deny):
        assert found.reason in {Reason.MISSING_KEY, Reason.INVALID_KEY, Reason.WIDENED}
        return
    identity = found.fact(Identity)
    assert (identity.tenant, identity.key_id) == ("acme", "free")
    assert identity.project in {"", *TENANTS["acme"].projects}
