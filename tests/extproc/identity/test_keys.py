"""API keys: made, digested, found, and refused in time and place."""

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.identity.keys import Key, KeySource, Service, digest, is_within, mint
from extproc.request import Identity

SALT = "a salt of tests"
ACME = Identity("acme", "key-1")
KEY = Key(ACME)


def find(asked, salt=SALT):
    keys = KeySource(salt, {digest(SALT, "sk-1"): KEY})
    return keys.find(keys.mark(asked))


def test_the_digest_of_the_demo_key_is_the_one_in_the_demo_policy():
    known = "54a4864ed8c8a4398fd95a28d5efb7d57eb76e1b5eb11ffe8b1c22ff631150cf"
    assert digest("headgate-demo", "sk-headgate-acme") == known


def test_digest_is_hmac_sha256():
    """RFC 4231, test case 2."""
    known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert digest("Jefe", "what do ya want for nothing?") == known


def test_minted_keys_fit_a_header_and_never_repeat():
    keys = {mint() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"sk-headgate-[A-Za-z0-9_-]{32}", key) for key in keys)


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "sk-1 ",
        " sk-1",
        "SK-1",
        "sk-",
        "sk-11",
        "sk-1\x00",
        "sk-1,sk-1",
        digest(SALT, "sk-1"),
        "sk-\N{SUPERSCRIPT ONE}",
    ],
)
def test_only_the_very_key_is_known(asked):
    assert find("sk-1") is KEY
    assert find(asked) is None


def test_a_key_is_unknown_under_another_salt():
    assert find("sk-1", "another salt") is None


@given(st.text(st.characters(max_codepoint=255)))
def test_whatever_a_header_holds_can_be_looked_up(text):
    assert find(text) is (KEY if text == "sk-1" else None)


@given(st.text(max_size=20), st.text(max_size=20))
def test_keys_that_differ_have_digests_that_differ(one, two):
    assert (digest(SALT, one) == digest(SALT, two)) == (one == two)


@pytest.mark.parametrize(
    ("until_s", "networks", "client_ip", "reason"),
    [
        (1000.5, (), "", None),
        (1000.0, (), "", Reason.EXPIRED_KEY),
        (999.0, (), "", Reason.EXPIRED_KEY),
        (2000.0, ("10.0.0.0/8",), "10.1.2.3", None),
        (2000.0, ("10.0.0.0/8", "2001:db8::/32"), "2001:db8::7", None),
        (2000.0, ("10.0.0.0/8",), "::ffff:10.1.2.3", None),
        (2000.0, ("10.0.0.0/8",), "11.1.2.3", Reason.WRONG_ADDRESS),
        (2000.0, ("10.0.0.0/8",), "::ffff:11.1.2.3", Reason.WRONG_ADDRESS),
        (2000.0, ("10.0.0.0/8",), "2001:db8::7", Reason.WRONG_ADDRESS),
        (2000.0, ("10.0.0.0/8",), "", Reason.WRONG_ADDRESS),
        (2000.0, ("0.0.0.0/0",), "", Reason.WRONG_ADDRESS),
        (2000.0, ("10.0.0.0/8",), "10.1.2.3:80", Reason.WRONG_ADDRESS),
        (2000.0, ("10.0.0.0/8",), "10.1.2", Reason.WRONG_ADDRESS),
        (2000.0, ("10.0.0.0/8",), "010.1.2.3", Reason.WRONG_ADDRESS),
        (999.0, ("10.0.0.0/8",), "11.1.2.3", Reason.EXPIRED_KEY),
    ],
)
def test_a_key_has_its_time_and_place(until_s, networks, client_ip, reason):
    key = Key(ACME, until_s, tuple(ip_network(each) for each in networks))
    judged = key.judge(1000.0, client_ip)
    assert (judged.reason if isinstance(judged, Deny) else None) is reason
    assert isinstance(judged, Deny) or judged is ACME


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_the_same_when_it_is_written_as_ipv6(address):
    network = (ip_network("128.0.0.0/1"),)
    assert is_within(str(address), network) == is_within(f"::ffff:{address}", network)


def test_a_service_stands_for_whom_it_names_if_it_may():
    service = Service("rag", frozenset({"acme"}), frozenset({"internal"}))
    assert service.act_for("globex", "eu") is None
    assert service.act_for("", "") is None
    assert service.act_for("acme", "eu") == Identity(
        "acme", "service:rag", groups=frozenset({"internal"}), region="eu"
    )
