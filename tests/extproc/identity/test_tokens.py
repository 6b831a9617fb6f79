"""Tokens: every forgery that has a name, and how long a good one is remembered."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.identity.claims import ClaimNames, Issuer, Tenant
from extproc.identity.keyset import read_key_set
from extproc.identity.tokens import ALGORITHMS, Tokens, Trusted, looks_like_token
from extproc.request import Identity
from tests.issuer import SigningKey, b64, forge

NOW_S = 1_800_000_000.0
URL, ENVOYS = "https://sso/acme", "https://sso/istio"
NAMES = ClaimNames(tenant="tenant", groups="groups")
CLAIMS = {"iss": URL, "aud": "headgate", "sub": "alice", "exp": NOW_S + 60, "tenant": "acme"}
ALICE = Identity("acme", "jwt:sso", user="alice")
KEYS = {each: SigningKey(each, each) for each in ALGORITHMS}
RSA = KEYS["RS256"]
HEAD = {"alg": "RS256", "kid": "RS256", "typ": "JWT"}


class FakeRing:
    """Keys that a test changes. A refresh brings `coming`, if there is any."""

    def __init__(self, *keys):
        self.keys = key_set(*keys) if keys else None
        self.coming = None
        self.is_stale = False
        self.refreshes = 0

    async def refresh(self):
        self.refreshes += 1
        self.keys = self.coming or self.keys


def key_set(*keys):
    return read_key_set(json.dumps({"keys": [key.jwk() for key in keys]}).encode())


def tokens(ring, algorithms=ALGORITHMS, **options):
    sso = Issuer("sso", URL, frozenset({"headgate"}), frozenset(algorithms), names=NAMES)
    istio = Issuer("istio", ENVOYS, frozenset({"headgate"}), names=NAMES, by_envoy=True)
    trusted = [Trusted(sso, ring), Trusted(istio, None)]
    return Tokens(trusted, {"acme": Tenant(), "globex": Tenant()}, **options)


@pytest.fixture
def ring():
    return FakeRing(*KEYS.values())


async def reason(token, ring, **options):
    judged = await tokens(ring, **options).judge(token, "mark", NOW_S)
    return judged.reason if isinstance(judged, Deny) else None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_good_tokens(algorithm, ring):
    token = KEYS[algorithm].sign(CLAIMS)
    assert await tokens(ring).judge(token, "mark", NOW_S) == ALICE
    assert ring.refreshes == 0


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "at+jwt", "application/at+jwt"])
async def test_types_of_access_tokens(kind, ring):
    assert await reason(RSA.sign(CLAIMS, typ=kind or ""), ring) is None


def confused(algorithm):
    """A token "signed" by HMAC with what everybody knows: the public key."""
    whole = forge({**HEAD, "alg": algorithm}, CLAIMS).rpartition(".")[0]
    name = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[algorithm]
    signed = hmac.new(RSA.pem(), whole.encode(), getattr(hashlib, name)).digest()
    return f"{whole}.{b64(signed)}"


GOOD = RSA.sign(CLAIMS)
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
TWICE = json.dumps(CLAIMS)[:-1] + ', "tenant": "globex"}'
FORGED = {
    "none": forge({"alg": "none"}, CLAIMS),
    "None": forge({**HEAD, "alg": "None"}, CLAIMS),
    "nOnE with a signature": f"{forge({**HEAD, 'alg': 'nOnE'}, CLAIMS)}{SIGNATURE}",
    "no algorithm": forge({"kid": "RS256"}, CLAIMS, b"x"),
    "algorithm is no text": forge({**HEAD, "alg": ["RS256"]}, CLAIMS, b"x"),
    "algorithm in lower case": forge({**HEAD, "alg": "rs256"}, CLAIMS, b"x"),
    "HS256 with the public key": confused("HS256"),
    "HS384 with the public key": confused("HS384"),
    "HS512 with the public key": confused("HS512"),
    "PS256, which is not asked for": forge({**HEAD, "alg": "PS256"}, CLAIMS, b"x"),
    "another key's signature": SigningKey("RS256").sign(CLAIMS),
    "another kind of key": KEYS["ES256"].sign(CLAIMS, kid="RS256"),
    "another algorithm of the key": SigningKey("RS256", "RS512", RSA.private).sign(CLAIMS),
    "no signature": f"{HEADER}.{PAYLOAD}.",
    "signature of nothing": forge(HEAD, CLAIMS, b""),
    "a bit of the signature": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-4]}",
    "a changed payload": f"{HEADER}.{b64(json.dumps({**CLAIMS, 'sub': 'root'}).encode())}.{SIGNATURE}",
    "a changed header": f"{b64(json.dumps({**HEAD, 'x': 1}).encode())}.{PAYLOAD}.{SIGNATURE}",
    "two parts": f"{HEADER}.{PAYLOAD}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "padding": f"{HEADER}.{PAYLOAD}==.{SIGNATURE}",
    "a length that base64 has not": f"{HEADER}{'A' * (5 - len(HEADER) % 4)}.{PAYLOAD}.{SIGNATURE}",
    "a line break": f"{HEADER}.{PAYLOAD}\n.{SIGNATURE}",
    "the other base64": f"{HEADER}.{PAYLOAD}.+{SIGNATURE[1:]}",
    "encrypted": f"{HEADER}..{SIGNATURE}.{SIGNATURE}.{SIGNATURE}",
    "the key in the header": RSA.sign(CLAIMS, jwk=RSA.jwk(), kid="mine"),
    "a place of keys in the header": RSA.sign(CLAIMS, jku="https://evil/", kid="mine"),
    "a file as kid": RSA.sign(CLAIMS, kid="../../dev/null"),
    "kid is no text": forge({**HEAD, "kid": 7}, CLAIMS, b"x"),
    "kid is an object": forge({**HEAD, "kid": {}}, CLAIMS, b"x"),
    "alg twice": forge('{"alg": "none", "kid": "RS256", "alg": "RS256"}', CLAIMS, b"x"),
    "critical": RSA.sign(CLAIMS, crit=["exp"], exp=1),
    "detached": RSA.sign(CLAIMS, b64=False),
    "a notice of logout": RSA.sign(CLAIMS, typ="logout+jwt"),
    "type is no text": forge({**HEAD, "typ": 7}, CLAIMS, b"x"),
    "a claim twice": RSA.sign(TWICE),
    "claims are a list": RSA.sign("[]"),
    "claims are no JSON": RSA.sign("{"),
    "header is no JSON": f"{b64(b'{')}.{PAYLOAD}.{SIGNATURE}",
    "header is nested": f"{b64(b'{' + b'[' * 9000)}.{PAYLOAD}.{SIGNATURE}",
    "another issuer": RSA.sign({**CLAIMS, "iss": "https://sso/globex"}),
    "no issuer": RSA.sign({**CLAIMS, "iss": None}),
    "the issuer is a list": RSA.sign({**CLAIMS, "iss": [URL]}),
    "an issuer left to Envoy": RSA.sign({**CLAIMS, "iss": ENVOYS}),
    "another audience": RSA.sign({**CLAIMS, "aud": "account"}),
    "not yet": RSA.sign({**CLAIMS, "nbf": NOW_S + 600}),
    "for ever": RSA.sign({name: value for name, value in CLAIMS.items() if name != "exp"}),
}


@pytest.mark.parametrize("name", FORGED)
async def test_forged(name, ring):
    assert await reason(FORGED[name], ring) is Reason.INVALID_TOKEN


async def test_other_refusals(ring):
    assert await reason(RSA.sign({**CLAIMS, "exp": NOW_S - 60}), ring) is Reason.EXPIRED_TOKEN
    assert await reason(RSA.sign({**CLAIMS, "tenant": "x"}), ring) is Reason.UNKNOWN_IDENTITY
    forged = SigningKey("RS256").sign({**CLAIMS, "exp": 0})
    assert await reason(forged, ring) is Reason.INVALID_TOKEN, "a forger learns nothing"


async def test_an_algorithm_that_the_policy_does_not_name(ring):
    token = KEYS["ES256"].sign(CLAIMS)
    assert await reason(token, ring, algorithms=["RS256"]) is Reason.INVALID_TOKEN
    assert ring.refreshes == 0, "and nobody fetches anything for it"


async def test_a_token_without_a_kid_needs_a_key_that_is_the_only_one(ring):
    assert await reason(RSA.sign(CLAIMS, kid=None), ring) is None
    two = FakeRing(RSA, SigningKey("other"))
    assert await reason(RSA.sign(CLAIMS, kid=None), two) is Reason.INVALID_TOKEN


async def test_a_new_key_is_looked_up():
    ring = FakeRing(SigningKey("old"))
    ring.coming = key_set(RSA)
    assert await reason(RSA.sign(CLAIMS), ring) is None
    assert ring.refreshes == 1


@pytest.mark.parametrize(
    ("keys", "is_stale", "expected"),
    [
        ([SigningKey("old")], False, Reason.INVALID_TOKEN),
        ([SigningKey("old")], True, Reason.NO_ISSUER_KEYS),
        ([], True, Reason.NO_ISSUER_KEYS),
        ([], False, Reason.NO_ISSUER_KEYS),
    ],
)
async def test_what_cannot_be_judged_is_our_fault(keys, is_stale, expected):
    ring = FakeRing(*keys)
    ring.is_stale = is_stale
    assert await reason(RSA.sign(CLAIMS), ring) is expected
    assert ring.refreshes == 1


async def test_a_verified_token_is_recalled_until_it_ends(ring):
    book = tokens(ring)
    assert book.recall("mark", NOW_S) is None
    await book.judge(RSA.sign(CLAIMS), "mark", NOW_S)
    assert book.recall("mark", NOW_S + 59.9) == ALICE
    assert book.recall("another", NOW_S) is None
    assert book.recall("mark", NOW_S + 60) is None
    assert book.recall("mark", NOW_S) is None, "forgotten for good"


async def test_a_token_in_its_leeway_is_verified_each_time(ring):
    book = tokens(ring)
    late = RSA.sign({**CLAIMS, "exp": NOW_S - 10})
    assert await book.judge(late, "mark", NOW_S) == ALICE
    assert book.recall("mark", NOW_S) is None


async def test_nothing_is_recalled_once_the_keys_changed(ring):
    book = tokens(ring)
    await book.judge(GOOD, "mark", NOW_S)
    ring.keys = key_set(SigningKey("new"))
    assert book.recall("mark", NOW_S) is None
    assert (await book.judge(GOOD, "mark", NOW_S)).reason is Reason.INVALID_TOKEN


async def test_another_policy_version_remembers_nothing(ring):
    await tokens(ring).judge(GOOD, "mark", NOW_S)
    assert tokens(ring).recall("mark", NOW_S) is None


async def test_a_refused_token_is_not_remembered(ring):
    book = tokens(ring)
    await book.judge(FORGED["another audience"], "mark", NOW_S)
    assert book.recall("mark", NOW_S) is None


async def test_what_was_not_used_for_longest_is_forgotten_first(ring):
    book = tokens(ring, cache_size=2)
    for mark in ("one", "two"):
        await book.judge(GOOD, mark, NOW_S)
    assert book.recall("one", NOW_S)
    await book.judge(GOOD, "three", NOW_S)
    recalled = {mark for mark in ("one", "two", "three") if book.recall(mark, NOW_S)}
    assert recalled == {"one", "three"}


CLAIMS_OF_ENVOY = {**CLAIMS, "iss": ENVOYS}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Identity("acme", "jwt:istio", user="alice")),
        ({"iss": URL}, None),
        ({"iss": "https://elsewhere"}, None),
        ({"iss": None}, None),
        ({"aud": "account"}, Reason.INVALID_TOKEN),
        ({"exp": NOW_S - 60}, Reason.EXPIRED_TOKEN),
        ({"tenant": "initech"}, Reason.UNKNOWN_IDENTITY),
    ],
)
def test_claims_that_envoy_verified(changed, expected, ring):
    found = tokens(ring).accept({**CLAIMS_OF_ENVOY, **changed}, NOW_S)
    assert (found.reason if isinstance(found, Deny) else found) == expected


def test_the_token_that_envoy_saw_agrees_with_its_claims(ring):
    book = tokens(ring)
    seen = book.accept(CLAIMS_OF_ENVOY, NOW_S)
    assert book.agrees(RSA.sign(CLAIMS_OF_ENVOY), seen, NOW_S)
    assert not book.agrees(RSA.sign({**CLAIMS_OF_ENVOY, "tenant": "globex"}), seen, NOW_S)
    assert not book.agrees(GOOD, seen, NOW_S)
    assert not book.agrees("sk-headgate-acme", seen, NOW_S)


@given(st.text(max_size=40) | st.builds(lambda a, b: f"eyJ{a}.{b}.", st.text(), st.text()))
async def test_any_text_is_refused(text):
    assert await reason(text, FakeRing(RSA)) is Reason.INVALID_TOKEN


@given(st.data())
async def test_no_changed_character_passes(data):
    index = data.draw(st.integers(0, len(GOOD) - 1))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda each: each != GOOD[index]))
    changed = GOOD[:index] + other + GOOD[index + 1 :]
    assert await reason(changed, FakeRing(RSA)) in (Reason.INVALID_TOKEN, Reason.EXPIRED_TOKEN)


def test_looks_like_token():
    assert looks_like_token(GOOD)
    assert not looks_like_token("sk-headgate-acme")
    assert not looks_like_token("a.b.c")
