"""Key sets: which keys count, and for what."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from extproc.identity.keyset import MAX_KEYS, KeySetError, read_key_set
from tests.issuer import SigningKey, ed448_key

WEAK = SigningKey("r", private=rsa.generate_private_key(65537, 1024))
RSA, EC, ED = SigningKey("r"), SigningKey("e", "ES256"), SigningKey("d", "EdDSA")
LAST = SigningKey("last", "EdDSA")
GOOD = RSA.jwk()


def read(*entries):
    return read_key_set(json.dumps({"keys": entries}).encode())


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("entry", "algorithms"),
    [
        (GOOD, {"RS256"}),
        (without("alg"), {"RS256", "RS384", "RS512"}),
        (RSA.jwk(alg="RS512"), {"RS512"}),
        (without("use"), {"RS256"}),
        (without("key_ops"), {"RS256"}),
        (EC.jwk(), {"ES256"}),
        (SigningKey("e", "ES384").jwk(), {"ES384"}),
        (SigningKey("e", "ES512").jwk(), {"ES512"}),
        (ED.jwk(), {"EdDSA"}),
        (ed448_key("d").jwk(), {"EdDSA"}),
    ],
)
def test_keys_that_count(entry, algorithms):
    (key,) = read(entry).keys
    assert key.algorithms == algorithms
    assert key.kid == entry["kid"]


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "r", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256"},
        {"kty": "oct", "kid": "r", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        RSA.jwk(use="enc"),
        RSA.jwk(key_ops=["sign"]),
        RSA.jwk(key_ops="verify"),
        RSA.jwk(alg="HS256"),
        RSA.jwk(alg="none"),
        RSA.jwk(alg="RSA-OAEP"),
        RSA.jwk(alg="ES256"),
        RSA.jwk(alg=7),
        RSA.jwk(kid=7),
        RSA.jwk(kty="EC"),
        WEAK.jwk(),
        RSA.jwk(n="AQAB"),
        RSA.jwk(n="!"),
        RSA.jwk(n=7),
        RSA.jwk(n=""),
        RSA.jwk(e="AA"),
        RSA.jwk(n="f" + "_" * 4000),
        without("n"),
        without("kty"),
        EC.jwk(crv="P-384"),
        EC.jwk(crv="secp256k1"),
        EC.jwk(crv=7),
        EC.jwk(x=EC.jwk()["y"]),
        EC.jwk(alg="ES384"),
        ED.jwk(crv="X25519"),
        ED.jwk(x="AAAA"),
        ED.jwk(alg="ES256"),
        "text",
        None,
        {},
    ],
)
def test_keys_that_do_not(entry):
    with pytest.raises(KeySetError):
        read(entry)
    assert len(read(entry, EC.jwk()).keys) == 1, "and the others do all the same"


def test_a_private_key_that_is_published_is_read_as_public():
    numbers = RSA.private.private_numbers()
    (key,) = read(RSA.jwk(d=str(numbers.d))).keys
    assert key.material == RSA.private.public_key()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [], "keys": []}',
        json.dumps({"keys": [GOOD] * (MAX_KEYS + 1)}).encode(),
    ],
)
def test_what_is_no_key_set(raw):
    with pytest.raises(KeySetError):
        read_key_set(raw)


def test_a_token_finds_its_key():
    other = SigningKey("other").jwk()
    keys = read(GOOD, other, EC.jwk())
    assert keys.find("r", "RS256") == keys.keys[0]
    assert keys.find("r", "ES256") is None
    assert keys.find("e", "ES256") == keys.keys[2]
    assert keys.find("e", "RS256") is None
    assert keys.find("new", "RS256") is None
    assert keys.find(None, "ES256") == keys.keys[2], "the only one that fits"
    assert keys.find(None, "RS256") is None, "two fit: not ours to guess"
    assert keys.find("", "RS256") is None


def test_two_keys_of_one_name_are_told_apart_by_their_kind_only():
    assert read(GOOD, EC.jwk(kid="r")).find("r", "ES256")
    assert read(GOOD, SigningKey("r").jwk()).find("r", "RS256") is None


def test_equal_sets_are_equal():
    assert read(GOOD, EC.jwk()) == read(GOOD, EC.jwk(x5t="certificates do not matter"))
    assert read(GOOD) != read(SigningKey("r").jwk())


MEMBERS = st.sampled_from(["kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "key_ops"])
VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3))


@given(st.sampled_from([GOOD, EC.jwk(), ED.jwk()]), st.dictionaries(MEMBERS, VALUES))
def test_whatever_stands_there_is_read_or_left_out(entry, changed):
    keys = read({**entry, **changed}, LAST.jwk()).keys
    assert keys[-1].kid == "last"
