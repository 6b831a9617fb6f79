"""Tokens through real Envoy: an issuer that plays Keycloak, on good days and on bad ones."""

import hashlib
import hmac
import json
import re
import subprocess
import time
import uuid

import httpx
import pytest
import yaml

from extproc.identity.jwks import EARLY_S, WAIT_S
from extproc.identity.keys import digest
from tests.e2e.conftest import ROOT, free_port, running, wait_for
from tests.issuer import Issuer, SigningKey, b64, forge, make_certificate

SALT = "a salt of these tests"
SERVICE = "a-service-of-our-own-0123456789"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
ENVOYS = "https://sso.example/istio"


def policy(issuer, slow, away):
    """What an operator writes. `issuer` is refreshed each second, `slow` once an hour, `away` is
    not there at all."""
    trust = {
        "audiences": ["headgate"],
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "leeway_s": 60,
        "claims": {
            "tenant": "tenant",
            "project": "project",
            "groups": "realm_access.roles",
            "region": "zoneinfo",
        },
    }
    return {
        "salt": SALT,
        "tenants": [
            {"name": "acme", "projects": ["support", "search"]},
            {"name": "globex", "projects": ["research"]},
        ],
        "keys": [{"id": "plain", "digest": digest(SALT, "sk-plain"), "tenant": "acme"}],
        "services": [{"name": "rag", "token": {"env": "RAG_TOKEN"}, "tenants": ["acme"]}],
        "issuers": [
            {**trust, "name": "sso", "issuer": issuer.issuer,
             "jwks": {"url": issuer.jwks_url, "refresh_s": 1}},
            {**trust, "name": "hourly", "issuer": slow.issuer,
             "jwks": {"url": slow.jwks_url, "refresh_s": 3600}, "groups": ["interns"]},
            {**trust, "name": "away", "issuer": "https://away.example",
             "jwks": {"url": f"http://127.0.0.1:{away}/certs"}},
            {"name": "istio", "issuer": ENVOYS, "audiences": ["headgate"], "verified_by": "envoy",
             "claims": {"tenant": "tenant"}},
        ],
        "models": [{"name": "guarded", "pool": "local", "served_as": "demo"}],
        "access": {"allow": [{"groups": ["engineers"], "models": ["guarded"]}]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def issuer():
    with Issuer().running() as issuer:
        issuer.keys = [
            SigningKey("key-1"),
            SigningKey("ec", "ES256"),
            SigningKey("ed", "EdDSA"),
        ]
        yield issuer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def hourly(root):
    """Over TLS, by an authority of the company's own."""
    with Issuer(certificate=make_certificate(root)).running() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def own(root, issuer, hourly):
    directory = root / "policy"
    directory.mkdir()
    (directory / "policy.yaml").write_text(yaml.safe_dump(policy(issuer, hourly, free_port())))
    env = {"RAG_TOKEN": SERVICE, "SSL_CERT_FILE": str(root / "issuer.crt")}
    with running(root / "s", "--policy", str(directory), "--workers", "1", env=env) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def good_day(issuer):
    issuer.fault = None


def ask(gateway, token, model="demo", **headers):
    """Return the answer's status and error code, and the ledger row."""
    request_id = f"t-{uuid.uuid4()}"
    given = {"x-request-id": request_id, **headers}
    if token:
        given["authorization"] = f"Bearer {token}"
    with gateway.http(key=None) as http:
        answer = http.post("/v1/chat/completions", json={**ASK, "model": model}, headers=given)
    code = answer.json()["error"]["code"] if answer.status_code != 200 else None
    row = gateway.row(request_id)
    assert (row["status"], row["deny_reason"]) == (answer.status_code, code)
    return answer.status_code, code, row


def refused(gateway, token, **headers):
    """Refused: nobody is billed, no engine is asked."""
    status, code, row = ask(gateway, token, **headers)
    assert [row[name] for name in ("tenant", "project", "user", "key_id", "endpoint")] == [None] * 5
    return status, code


NOW = int(time.time())


def header_of(issuer):
    return {"alg": "RS256", "kid": issuer.keys[0].kid, "typ": "JWT"}


def hmac_by_public_key(issuer):
    """HS256, keyed with what the issuer publishes. PyJWT refuses to sign such a thing."""
    unsigned = forge({**header_of(issuer), "alg": "HS256"}, issuer.claims()).rpartition(".")[0]
    mac = hmac.new(issuer.keys[0].pem(), unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{b64(mac)}"


def twice(issuer):
    text = json.dumps(issuer.claims())
    return issuer.keys[0].sign(text[:-1] + ', "tenant": "globex"}')


REFUSED = {
    "wrong issuer": (lambda i: i.token(iss="https://evil.example"), 401, "invalid_token"),
    "issuer with a slash more": (lambda i: i.token(iss=f"{i.issuer}/"), 401, "invalid_token"),
    "no issuer": (lambda i: i.token(iss=None), 401, "invalid_token"),
    "wrong audience": (lambda i: i.token(aud="account"), 401, "invalid_token"),
    "no audience": (lambda i: i.token(aud=None), 401, "invalid_token"),
    "algorithm none": (lambda i: forge({"alg": "none"}, i.claims()), 401, "invalid_token"),
    "algorithm none, with a kid": (
        lambda i: forge({**header_of(i), "alg": "none"}, i.claims()),
        401,
        "invalid_token",
    ),
    "HS256 by the public key": (hmac_by_public_key, 401, "invalid_token"),
    "RS512, which the policy does not name": (
        lambda i: SigningKey("key-1", "RS512", i.keys[0].private).sign(i.claims()),
        401,
        "invalid_token",
    ),
    "ES256 under the name of an RSA key": (
        lambda i: i.keys[1].sign(i.claims(), kid="key-1"),
        401,
        "invalid_token",
    ),
    "another key under a known name": (
        lambda i: SigningKey("key-1").sign(i.claims()),
        401,
        "invalid_token",
    ),
    "unknown kid": (lambda i: SigningKey("made-up").sign(i.claims()), 401, "invalid_token"),
    "its own key in its header": (
        lambda i: (key := SigningKey("mine")).sign(i.claims(), jwk=key.jwk()),
        401,
        "invalid_token",
    ),
    "a changed payload": (
        lambda i: ".".join(
            [*i.token().split(".")[:1], forge("", i.claims(sub="root")).split(".")[1],
             i.token().split(".")[2]]
        ),
        401,
        "invalid_token",
    ),
    "expired": (lambda i: i.token(exp=NOW - 3600), 401, "expired_token"),
    "never expires": (lambda i: i.token(exp=None), 401, "invalid_token"),
    "expires in words": (lambda i: i.token(exp="tomorrow"), 401, "invalid_token"),
    "not before tomorrow": (lambda i: i.token(nbf=NOW + 86_400), 401, "invalid_token"),
    "issued tomorrow": (lambda i: i.token(iat=NOW + 86_400), 401, "invalid_token"),
    "20 kB": (lambda i: i.token(pad="x" * 20_000), 401, "invalid_api_key"),
    "a claim twice": (twice, 401, "invalid_token"),
    "tenant not in the policy": (lambda i: i.token(tenant="initech"), 403, "unknown_identity"),
    "tenant in capitals": (lambda i: i.token(tenant="ACME"), 403, "unknown_identity"),
    "two tenants": (lambda i: i.token(tenant=["acme", "globex"]), 403, "unknown_identity"),
    "no tenant": (lambda i: i.token(tenant=None), 403, "unknown_identity"),
    "another tenant's project": (lambda i: i.token(project="research"), 403, "unknown_identity"),
    "a user of two lines": (lambda i: i.token(sub="alice\nroot"), 401, "invalid_token"),
    "left to Envoy, which verifies nothing here": (lambda i: i.token(iss=ENVOYS), 401, "invalid_token"),
    "a notice of logout": (
        lambda i: i.keys[0].sign(i.claims(), typ="logout+jwt"),
        401,
        "invalid_token",
    ),
    "a third of a token": (lambda i: i.token().split(".")[0], 401, "invalid_api_key"),
    "an issuer that was never there": (
        lambda i: i.token(iss="https://away.example"),
        503,
        "issuer_unavailable",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(own, issuer, name):
    make, *expected = REFUSED[name]
    away = [503, "issuer_unavailable"]
    found = [*refused(own, make(issuer))]
    if (
        found == away != expected
    ):  # we were too slow to tell our keys, which are asked for each second
        found = wait_for(lambda: (again := [*refused(own, make(issuer))]) != away and again)
    assert found == expected


@pytest.mark.parametrize("index", [0, 1, 2], ids=["RS256", "ES256", "EdDSA"])
def test_accepted(own, issuer, index):
    token = issuer.token(key=issuer.keys[index], sub="alice", project="support")
    for _ in range(2):  # verified, then remembered
        status, _, row = ask(own, token)
        assert status == 200
        assert (row["tenant"], row["project"], row["user"]) == ("acme", "support", "alice")
        assert row["key_id"] == "jwt:sso"


def test_a_long_token_with_many_roles(own, issuer):
    roles = {"roles": [f"role-{number}-of-a-large-company" for number in range(300)]}
    token = issuer.token(realm_access=roles)
    assert 10_000 < len(token) < 16_384
    assert ask(own, token)[0] == 200


def test_a_token_in_x_api_key(own, issuer):
    status, _, row = ask(own, None, **{"x-api-key": issuer.token(tenant="globex")})
    assert (status, row["tenant"]) == (200, "globex")


def test_within_the_leeway(own, issuer):
    now = int(time.time())
    assert ask(own, issuer.token(exp=now - 20))[0] == 200
    assert ask(own, issuer.token(nbf=now + 50, iat=now + 50))[0] == 200


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["engineers"], (200, None)),
        (["staff", "engineers"], (200, None)),
        (["Engineers"], (403, "model_forbidden")),
        (["staff engineers"], (403, "model_forbidden")),
        ([], (403, "model_forbidden")),
        (None, (403, "model_forbidden")),
        ({"engineers": True}, (403, "model_forbidden")),
    ],
)
def test_groups_open_models(own, issuer, roles, expected):
    token = issuer.token(realm_access={"roles": roles})
    status, code, row = ask(own, token, model="guarded")
    assert (status, code) == expected
    assert row["tenant"] == "acme"


def test_an_issuer_opens_models_by_its_own_groups_only(own, hourly):
    token = hourly.token(realm_access={"roles": ["engineers", "interns"]})
    assert ask(own, token)[0] == 200
    assert ask(own, token, model="guarded")[:2] == (403, "model_forbidden")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-project-id": "search"}, (200, None)),
        ({"x-tenant-id": "globex"}, (403, "identity_mismatch")),
        ({"x-project-id": "research"}, (403, "identity_mismatch")),
        ({"x-api-key": "sk-plain"}, (401, "two_credentials")),
    ],
)
def test_headers_narrow_a_token_and_never_widen_it(own, issuer, headers, expected):
    status, code, row = ask(own, issuer.token(), **headers)
    assert (status, code) == expected
    assert (row["tenant"], row["project"]) == (
        ("acme", "search") if status == 200 else (None, None)
    )


def test_a_service_acts_for_the_tenant_it_names(own):
    status, _, row = ask(own, SERVICE, **{"x-tenant-id": "acme", "x-project-id": "search"})
    assert status == 200
    assert (row["tenant"], row["project"], row["key_id"]) == ("acme", "search", "service:rag")
    assert refused(own, SERVICE) == (400, "invalid_request")
    assert refused(own, SERVICE, **{"x-tenant-id": "globex"}) == (403, "identity_mismatch")
    assert refused(own, SERVICE, **{"x-tenant-id": "initech"}) == (403, "identity_mismatch")


def failures(gateway):
    found = re.search(
        r'jwks_refreshes_total\{issuer="sso",result="failed"\} (\d+)', gateway.metrics()
    )
    return int(found[1]) if found else 0


@pytest.mark.parametrize("fault", ["down", "slow", "garbage", "error"])
def test_known_keys_go_on_while_the_issuer_fails(own, issuer, fault):
    before = failures(own)
    known = issuer.token()
    assert ask(own, known)[0] == 200
    issuer.fault = fault
    wait_for(lambda: failures(own) > before, what="a failed refresh")
    assert ask(own, known)[0] == 200, "remembered"
    assert ask(own, issuer.token(sub=f"bob-{fault}"))[0] == 200, "verified anew"
    assert refused(own, SigningKey("new").sign(issuer.claims())) == (503, "issuer_unavailable")
    log = (own.state / "log" / "worker-0.log").read_text()
    assert "jwks_stale" in log
    issuer.fault = None
    done = failures(own)
    wait_for(lambda: ask(own, SigningKey("new").sign(issuer.claims()))[0] == 401, what="recovery")
    assert failures(own) <= done + 1


def test_rotation_by_the_background_refresh(own, issuer):
    old, old_token = issuer.keys[0], issuer.token(sub="old")
    issuer.rotate()
    new_token = issuer.token(sub="new")
    wait_for(lambda: ask(own, new_token)[0] == 200, what="the new key")
    assert ask(own, old_token)[0] == 200, "both count while both are published"
    issuer.keys.remove(old)
    wait_for(lambda: ask(own, old_token)[0] == 401, what="the end of the old key")
    assert ask(own, new_token)[0] == 200


def test_rotation_found_by_the_first_token(own, hourly):
    """Nobody would look for an hour; the first token with the new key makes us look."""
    assert ask(own, hourly.token())[0] == 200
    time.sleep(EARLY_S)
    old_token = hourly.token()
    hourly.rotate()
    fetches, begun_s = hourly.fetches, time.monotonic()
    status = ask(own, hourly.token())[0]
    waited_s = time.monotonic() - begun_s
    assert status == 200 or waited_s >= WAIT_S, (
        "it waits for the fetch that it causes, as long as it may"
    )
    wait_for(lambda: ask(own, hourly.token())[0] == 200, what="the new key")
    assert ask(own, old_token)[0] == 200
    for number in range(10):
        assert refused(own, SigningKey(f"made-up-{number}").sign(hourly.claims()))[0] == 401
    may_have_looked = 1 + int((time.monotonic() - begun_s) / EARLY_S)  # on a slow day
    assert 1 <= hourly.fetches - fetches <= may_have_looked, "made-up names make nobody look again"


@pytest.mark.parametrize("forward", [True, False])
def test_verified_by_envoy(own, issuer, tmp_path, forward):
    """Another Envoy over the same workers, with jwt_authn as Istio configures it."""
    bootstrap = yaml.safe_load((own.state / "envoy" / "bootstrap.yaml").read_text())
    listener = bootstrap["static_resources"]["listeners"][0]
    port = listener["address"]["socket_address"]["port_value"] = free_port()
    bootstrap["admin"]["address"]["pipe"]["path"] = str(tmp_path / "admin.sock")
    connection = listener["filter_chains"][0]["filters"][0]["typed_config"]
    filters = connection["http_filters"]
    place = [each["name"] for each in filters].index("headgate.ext_proc")
    options = filters[place]["typed_config"]["metadata_options"]
    spaces = options.setdefault("forwarding_namespaces", {"untyped": []})
    spaces["untyped"].append("envoy.filters.http.jwt_authn")
    kind = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
    provider = {
        "issuer": ENVOYS, "forward": forward, "payload_in_metadata": ENVOYS,
        "local_jwks": {"inline_string": json.dumps(issuer.jwks())},
    }  # fmt: skip
    requirement = {
        "requires_any": {"requirements": [{"provider_name": "sso"}, {"allow_missing": {}}]}
    }
    rules = [{"match": {"prefix": "/"}, "requires": requirement}]
    authn = {"@type": kind, "providers": {"sso": provider}, "rules": rules}
    filters.insert(place, {"name": "envoy.filters.http.jwt_authn", "typed_config": authn})
    path = tmp_path / "bootstrap.yaml"
    path.write_text(yaml.safe_dump(bootstrap))
    command = [
        ROOT / ".tools/bin/envoy",
        "-c",
        path,
        "--disable-hot-restart",
        "--log-level",
        "error",
    ]
    command += ["--file-flush-interval-msec", "100"]
    with subprocess.Popen(command) as process:
        try:
            check_verified_by_envoy(own, issuer, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(30)


def check_verified_by_envoy(own, issuer, url):
    def post(token, **headers):
        request_id = f"e-{uuid.uuid4()}"
        given = {"x-request-id": request_id, **headers}
        if token:
            given["authorization"] = f"Bearer {token}"
        answer = httpx.post(f"{url}/v1/chat/completions", json=ASK, headers=given, timeout=30)
        return answer.status_code, own.row(request_id)

    def listens():
        try:
            return httpx.get(url).status_code
        except httpx.TransportError:
            return None

    wait_for(listens, what="the second Envoy")
    good = {"iss": ENVOYS, "sub": "carol"}
    status, row = post(issuer.token(**good))
    assert status == 200
    assert (row["tenant"], row["user"], row["key_id"]) == ("acme", "carol", "jwt:istio")
    for claims, expected in (
        ({**good, "aud": "account"}, (401, "invalid_token")),
        ({**good, "tenant": "initech"}, (403, "unknown_identity")),
        ({**good, "tenant": "globex"}, (200, None)),
    ):
        status, row = post(issuer.token(**claims))
        assert (status, row["deny_reason"]) == expected
    status, row = post(SigningKey("key-1").sign(issuer.claims(**good)))
    assert (status, row["tenant"]) == (401, None), "Envoy itself refuses what it cannot verify"
    status, row = post(issuer.token(**good), **{"x-api-key": "sk-plain"})
    assert (status, row["deny_reason"]) == (401, "two_credentials")
    status, row = post(None, **{"x-api-key": "sk-plain"})
    assert (status, row["key_id"]) == (200, "plain"), "keys go on, but not as bearers:"
    assert post("sk-plain")[0] == 401, "Envoy takes any bearer for a token"
