"""Who is who."""

import pytest

from extproc.guards.subjects import (
    kind_of,
    name_address,
    name_client,
    name_identity,
    name_witness,
    read_subject,
)
from extproc.limits.rules import LONGEST_SCOPE
from extproc.request import Identity


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("203.0.113.7", "address:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "address:2001:db8:1:3::/64"),
        ("::1", "address:::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("::ffff:203.0.113.7", "address:203.0.113.7"),
        ("", ""),
        ("not:an:address", ""),
    ],
)
def test_addresses(ip, name):
    assert name_address(ip) == name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("acme", "acme-1", ""), "key:acme-1"),
        (("acme", "acme-1", "alice"), "key:acme-1"),
        (("acme", "jwt:sso", "alice"), "user:acme/alice"),
        (("acme", "jwt:sso", "a/b c:d"), "user:acme/a%2Fb%20c%3Ad"),
        (("acme", "jwt:sso", ""), ""),
        (("acme", "service:rag", ""), ""),
    ],
)
def test_clients(given, name):
    tenant, key_id, user = given
    assert name_client(*given) == name
    assert name_identity(Identity(tenant, key_id, user=user)) == name
    witness = {"tenant": tenant, "key_id": key_id, **({"user": user} if user else {})}
    assert name_witness(witness) == name


def test_who_was_not_identified_has_no_name():
    assert name_witness({"settle_key": "k"}) == ""


def test_long_users_stay_apart_and_fit_a_key():
    one, other = (name_client("acme", "jwt:sso", "界" * 256 + end) for end in "ab")
    assert one != other
    assert len(one) < LONGEST_SCOPE


@pytest.mark.parametrize(
    ("typed", "subject"),
    [
        ("203.0.113.7", "address:203.0.113.7"),
        ("address:203.0.113.7", "address:203.0.113.7"),
        ("2001:DB8::7", "address:2001:db8::/64"),
        ("2001:db8::/64", "address:2001:db8::/64"),
        ("address:2001:db8::/64", "address:2001:db8::/64"),
        ("key:acme-1", "key:acme-1"),
        ("user:acme/alice", "user:acme/alice"),
        ("user:acme/ann lee", name_client("acme", "jwt:sso", "ann lee")),
        ("user:acme/a/b@c", name_client("acme", "jwt:sso", "a/b@c")),
        ("user:acme/ann%20lee", "user:acme/ann%20lee"),
    ],
)
def test_what_people_type(typed, subject):
    assert read_subject(typed) == subject
    assert kind_of(subject) == subject.split(":")[0]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "acme-1",
        "key:",
        "tenant:acme",
        "10.0.0.0/8",
        "300.1.1.1",
        "address:x",
        "user:alice",
        "user:/a",
        "user:acme/",
    ],
)
def test_what_is_nobody(typed):
    with pytest.raises(ValueError, match="write an address, key:ID or user:TENANT/USER"):
        read_subject(typed)
