"""Claims: what is no clear JSON, whose and when they are, and whom they mean."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.identity.claims import (
    MAX_TEXT,
    ClaimNames,
    ClaimsError,
    Issuer,
    Tenant,
    find_claim,
    read_object,
)
from extproc.request import Identity

NOW_S = 1_800_000_000.0
GOOD = {"iss": "https://sso/acme", "aud": "headgate", "exp": NOW_S + 60, "iat": NOW_S - 60}
ISSUER = Issuer("sso", "https://sso/acme", frozenset({"headgate", "batch"}), leeway_s=30)
TENANTS = {"acme": Tenant(frozenset({"support"}), "eu"), "globex": Tenant()}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"{}{}",
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": [{"b": 1, "b": 2}]}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"a": ' + b"[" * 5000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_two_readers_could_read_in_two_ways(raw):
    with pytest.raises(ClaimsError):
        read_object(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_any_other_object_is_read(members, ascii_only):
    assert read_object(json.dumps(members, ensure_ascii=ascii_only).encode()) == members


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw):
    with contextlib.suppress(ClaimsError):
        assert isinstance(read_object(raw), dict)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("sub", "alice"),
        ("realm_access.roles", ["a"]),
        ("realm_access", {"roles": ["a"]}),
        ("https://example.com/tenant", "acme"),
        ("a.b", "the whole name"),
        ("nothing", None),
        ("sub.nothing", None),
        ("realm_access.roles.0", None),
        ("realm_access.nothing", None),
    ],
)
def test_find_claim(path, found):
    claims = {
        "sub": "alice",
        "realm_access": {"roles": ["a"]},
        "https://example.com/tenant": "acme",
        "a.b": "the whole name",
        "a": {"b": "a member"},
    }
    assert find_claim(claims, path) == found


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"aud": ["account", "batch"]}, None),
        ({"exp": NOW_S - 29.9}, None),
        ({"exp": NOW_S - 30}, Reason.EXPIRED_TOKEN),
        ({"exp": 0}, Reason.EXPIRED_TOKEN),
        ({"exp": -1e300}, Reason.EXPIRED_TOKEN),
        ({"nbf": NOW_S + 30}, None),
        ({"nbf": NOW_S + 31}, Reason.INVALID_TOKEN),
        ({"iat": NOW_S + 31}, Reason.INVALID_TOKEN),
        ({"iat": None, "nbf": None}, Reason.INVALID_TOKEN),
        ({"exp": None}, Reason.INVALID_TOKEN),
        ({"exp": "never"}, Reason.INVALID_TOKEN),
        ({"exp": str(NOW_S + 60)}, Reason.INVALID_TOKEN),
        ({"exp": True}, Reason.INVALID_TOKEN),
        ({"exp": [NOW_S + 60]}, Reason.INVALID_TOKEN),
        ({"exp": 10**400}, Reason.INVALID_TOKEN),
        ({"exp": float("inf")}, Reason.INVALID_TOKEN),
        ({"iss": "https://sso/acme/"}, Reason.INVALID_TOKEN),
        ({"iss": "https://SSO/acme"}, Reason.INVALID_TOKEN),
        ({"iss": None}, Reason.INVALID_TOKEN),
        ({"iss": ["https://sso/acme"]}, Reason.INVALID_TOKEN),
        ({"aud": "other"}, Reason.INVALID_TOKEN),
        ({"aud": ["other", 7]}, Reason.INVALID_TOKEN),
        ({"aud": []}, Reason.INVALID_TOKEN),
        ({"aud": None}, Reason.INVALID_TOKEN),
        ({"aud": {"headgate": 1}}, Reason.INVALID_TOKEN),
        ({"aud": "headgate,batch"}, Reason.INVALID_TOKEN),
        ({"aud": "Headgate"}, Reason.INVALID_TOKEN),
    ],
)
def test_check(changed, reason):
    denied = ISSUER.check({**GOOD, **changed}, NOW_S)
    assert (denied.reason if denied else None) is reason


def test_a_token_need_not_say_when_it_was_issued():
    claims = {name: value for name, value in GOOD.items() if name != "iat"}
    assert ISSUER.check(claims, NOW_S) is None


NAMES = ClaimNames("tenant", "project", "sub", "groups", "zoneinfo")


def identify(claims, names=NAMES, fixed="", **trust):
    models = frozenset({"m"})
    issuer = Issuer("sso", "i", frozenset(), names=names, tenant=fixed, models=models, **trust)
    return issuer.identify(claims, TENANTS)


def test_claims_become_an_identity():
    claims = {"tenant": "acme", "project": "support", "sub": "alice", "zoneinfo": "us"}
    found = identify({**claims, "groups": ["a", "b b", 7]})
    assert found == Identity(
        "acme", "jwt:sso", "support", "alice", frozenset({"m"}), frozenset({"a", "b b"}), "us"
    )


@pytest.mark.parametrize("name", ["ACME", "initech", "", None, 7, ["acme"], "acme ", "*", "a\0"])
def test_a_tenant_that_the_policy_does_not_know(name):
    denied = identify({"tenant": name})
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.UNKNOWN_IDENTITY


@pytest.mark.parametrize("project", ["research", "Support", 7, ["support"], "support,research"])
def test_a_project_that_its_tenant_does_not_have(project):
    denied = identify({"tenant": "acme", "project": project})
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.UNKNOWN_IDENTITY


def test_an_issuer_of_one_tenant_asks_no_claim_for_it():
    found = identify({"sub": "bob", "tenant": "acme"}, ClaimNames(), "globex")
    assert found == Identity("globex", "jwt:sso", user="bob", models=frozenset({"m"}))


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ("not admin", {"not admin"}),
        (["a", "a"], {"a"}),
        (None, set()),
        ({"admin": True}, set()),
        (7, set()),
        ([["admin"]], set()),
    ],
)
def test_groups_are_texts_and_never_cut(groups, found):
    assert identify({"tenant": "acme", "groups": groups}).groups == found


@pytest.mark.parametrize(
    ("allowed", "found"),
    [
        ({"*"}, {"a", "b"}),
        ({"b", "c"}, {"b"}),
        ({"B"}, set()),
        (set(), set()),
        ({"c", "*"}, {"a", "b"}),
    ],
)
def test_an_issuer_may_name_the_groups_it_is_allowed_and_others_are_ignored(allowed, found):
    claims = {"tenant": "acme", "groups": ["a", "b"]}
    assert identify(claims, groups=frozenset(allowed)).groups == found


@pytest.mark.parametrize("name", ["sub", "zoneinfo"])
@pytest.mark.parametrize("value", ["x" * (MAX_TEXT + 1), "a\nb", "a\u202eb", "\ud800", 7, ["a"]])
def test_what_cannot_be_written_down(name, value):
    denied = identify({"tenant": "acme", name: value})
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.INVALID_TOKEN


def test_the_region_of_a_tenant_counts_where_the_token_names_none():
    assert identify({"tenant": "acme"}).region == "eu"
    assert identify({"tenant": "acme", "zoneinfo": "us"}).region == "us"
