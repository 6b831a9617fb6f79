"""Who is out at once, while the rest of a policy waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.identity.jwks import KeyRings
from extproc.identity.keys import digest
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader, resolve
from extproc.policy.tables import key_source, token_table
from extproc.policy.withdrawn import count_withdrawn, identities, is_withdrawn, withdrawn

TOKENS = {"RAG": "token-of-the-rag-service", "OTHER": "another-one-that-is-as-long"}


def key(id_="k", secret="sk-k", **members):
    return {"id": id_, "digest": digest("headgate", secret), "tenant": "acme", **members}


def service(name="rag", token="RAG", **members):
    return {"name": name, "token": {"env": token}, **members}


def issuer(name="idp", **members):
    return {
        "name": name,
        "issuer": f"https://{name}.example.com",
        "audiences": ["llm"],
        "jwks": {"file": "/keys.json"},
        "claims": {"tenant": "org"},
        **members,
    }


def policy(version, **sections):
    sections.setdefault("tenants", [{"name": "acme", "projects": ["red", "blue"]}])
    made = Policy.model_validate(sections).at(version)
    assert not list(made.dangling())
    assert not list(resolve(made, SecretReader(TOKENS)))
    return made


def sections(made):
    return {name: getattr(made, name) for name in ("tenants", "keys", "issuers", "services")}


ACME = {"name": "acme", "projects": ["red", "blue"]}
GLOBEX = {"name": "globex"}


@pytest.mark.parametrize(
    ("before", "now", "left"),
    [
        ({"keys": [key()]}, {}, {}),
        (
            {"keys": [key(), key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")]},
        ),
        *(
            ({"keys": [key()]}, {"keys": [changed]}, {"keys": [changed]})
            for changed in (
                key(expires="2026-01-01T00:00:00Z"),
                key(cidrs=["10.0.0.0/8"]),
                key(models=[]),
                key(project="red"),
                key(secret="sk-new"),
                key(groups=["staff"]),
            )
        ),
        # What it names is not there yet: it waits with it, and is not what it was.
        (
            {"keys": [key()]},
            {"keys": [key(project="new")], "tenants": [ACME | {"projects": ["red", "new"]}]},
            {"tenants": [ACME | {"projects": ["red"]}]},
        ),
        (
            {"keys": [key()]},
            {"keys": [key(tenant="globex")], "tenants": [ACME, GLOBEX]},
            {},
        ),
        # A tenant that is gone takes its keys with it; those of services find nobody to act for.
        (
            {"keys": [key(tenant="globex"), key("o", "sk-o")], "tenants": [ACME, GLOBEX]},
            {"keys": [key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")]},
        ),
        (
            {"tenants": [ACME | {"accepts_downgrade": True}]},
            {"tenants": [ACME | {"projects": ["red"]}]},
            {"tenants": [ACME | {"projects": ["red"]}]},
        ),
        ({"services": [service()]}, {"services": [service("agents")]}, {}),
        (
            {"services": [service()]},
            {"services": [service(token="OTHER", tenants=["new"])], "tenants": [{"name": "new"}]},
            {"services": [service(token="OTHER", tenants=["new"])], "tenants": []},
        ),
        ({"issuers": [issuer()]}, {"issuers": [issuer("other")]}, {}),
        (
            {"issuers": [issuer()]},
            {"issuers": [issuer(audiences=["other"])]},
            {"issuers": [issuer(audiences=["other"])]},
        ),
        ({"keys": [key()]}, {"keys": [key()], "salt": "another salt"}, {"keys": [key()]}),
    ],
)
def test_what_is_left(before, now, left):
    old, new = policy("a", **before, limits=[]), policy("b", **now)
    found = withdrawn(old, new)
    expected = Policy.model_validate({"tenants": [ACME], **left})
    list(resolve(expected, SecretReader(TOKENS)))
    assert sections(found) == sections(expected)
    assert found.salt == new.salt, "their digests are of this one"
    assert found.version == "a-b"
    assert count_withdrawn(old, found) >= 1


@pytest.mark.parametrize(
    "now",
    [
        {"keys": [key()], "services": [service()], "issuers": [issuer()]},
        {
            "tenants": [GLOBEX, {"name": "acme", "projects": ["new", "blue", "red"]}],
            "keys": [key("new", "sk-new", tenant="globex"), key()],
            "services": [service("new", "OTHER"), service()],
            "issuers": [issuer("new"), issuer()],
        },
    ],
)
def test_where_nothing_is_taken_away_all_stays_as_it_is(now):
    before = policy("a", keys=[key()], services=[service()], issuers=[issuer()])
    assert withdrawn(before, policy("b", **now)) is before


def test_another_salt_takes_nothing_away_from_who_has_no_secret():
    before = policy("a", issuers=[issuer()])
    assert withdrawn(before, policy("b", issuers=[issuer()], salt="another salt")) is before


def test_its_version_is_of_two():
    old = policy("a", keys=[key("1", "sk-1"), key("2", "sk-2")]).at("a", {"p": b"of old"})
    first = withdrawn(old, policy("b", keys=[key("2", "sk-2")]))
    second = withdrawn(first, policy("c", keys=[key("1", "sk-1")]))
    assert [first.version, second.version] == ["a-b", "a-c"]
    assert second.keys == ()
    assert second.sources == old.sources
    assert old.version == "a"
    assert [is_withdrawn(v) for v in ("a", "", "a-b")] == [False, False, True]
    assert [is_withdrawn("a-b", now) for now in ("a", "b")] == [False, True]


def test_what_services_find_is_told_apart_by_their_tokens():
    """The reference is the same, what is found there is not."""
    before, now = (policy(version, services=[service()]) for version in "ab")
    assert withdrawn(before, now) is before
    now.services[0].token.found("a token that was replaced")
    assert withdrawn(before, now).services == now.services


NAMES = st.sampled_from("abc")


@st.composite
def policies(draw, version):
    """Anything valid, of few names: so they share some."""
    projects = draw(st.dictionaries(NAMES, st.lists(NAMES, unique=True), min_size=1))
    homes = [{"tenant": t, "project": p} for t, ps in projects.items() for p in (None, *ps)]
    ids = draw(st.lists(NAMES, unique=True))
    salt = draw(st.sampled_from(["headgate", "another salt"]))
    who = st.one_of(st.just({"claims": {"tenant": "org"}}), st.just({"tenant": min(projects)}))
    return policy(
        version,
        salt=salt,
        tenants=[{"name": t, "projects": ps} for t, ps in projects.items()],
        keys=[
            key(id_, **draw(st.sampled_from(homes)))
            | {"digest": digest(salt, f"sk-{id_}-{draw(NAMES)}")}
            for id_ in ids
        ],
        issuers=[
            issuer(n, **{"claims": {}} | draw(who)) for n in draw(st.lists(NAMES, unique=True))
        ],
        services=[
            service(n, t, tenants=[max(projects)])
            for n, t in zip(draw(st.lists(NAMES, unique=True, max_size=2)), TOKENS, strict=False)
        ],
    )


@given(policies("a"), policies("b"), policies("c"))
def test_nobody_is_let_in_whom_one_of_them_does_not_know(before, now, later):
    left = withdrawn(before, now)
    for whole, narrowed, new in ((before, left, now), (left, withdrawn(left, later), later)):
        # All of it stands for itself: what filters look things up in can be made of it.
        found, wanted = key_source(narrowed), key_source(new)
        token_table(narrowed, KeyRings())
        for secret in (*(f"sk-{i}-{n}" for i in "abc" for n in "abc"), *TOKENS.values()):
            who = found.find(found.mark(secret))
            assert who is None or who == wanted.find(wanted.mark(secret))
        assert {each.name for each in narrowed.issuers} <= {each.name for each in before.issuers}
        assert set(narrowed.issuers) <= set(new.issuers)
        for name, projects in narrowed.projects().items():
            assert projects <= before.projects()[name] & new.projects()[name]
        assert withdrawn(narrowed, new) is narrowed
        assert (narrowed is whole) == (count_withdrawn(whole, narrowed) == 0)


@given(policies("a"), policies("b"))
def test_who_is_the_same_in_both_is_served_on(before, now):
    left = withdrawn(before, now)
    same = [each for each in identities(before) if each in list(identities(now))]
    assert all(each in list(identities(left)) for each in same)
    assert withdrawn(before, before) is before
