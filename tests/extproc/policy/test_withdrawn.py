"""Who is out at once, while the rest of a policy waits, and what the others may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.access import Asked, tell
from extproc.identity.jwks import KeyRings
from extproc.identity.keys import Key, digest
from extproc.policy.identities import IssuerPolicy, KeyPolicy, ServicePolicy, TenantPolicy
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader, resolve
from extproc.policy.tables import access_table, identity, key_source, token_table
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
UNTIL = "2026-01-01T00:00:00Z"
RETIRING = [{"digest": digest("headgate", "sk-k"), "until": UNTIL}]
GROUPS = {"claims": {"tenant": "org", "groups": "roles"}}
ENVOYS = {name: given for name, given in issuer(verified_by="envoy").items() if name != "jwks"}


@pytest.mark.parametrize(
    ("before", "now", "left"),
    [
        ({"keys": [key()]}, {}, {}),
        (
            {"keys": [key(), key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")]},
        ),
        # Credentials are as the new policy says.
        *(
            ({"keys": [key()]}, {"keys": [changed]}, {"keys": [changed]})
            for changed in (
                key(expires=UNTIL),
                key(cidrs=["10.0.0.0/8"]),
                key(secret="sk-new"),
                key(secret="sk-new", retiring=RETIRING),
            )
        ),
        # Rights come with the rules.
        (
            {"keys": [key(groups=["staff"], models=[])]},
            {"keys": [key(secret="sk-new", groups=["gold"])]},
            {"keys": [key(secret="sk-new", groups=["staff"], models=[])]},
        ),
        # Who it belongs to now may be somebody else.
        *(
            ({"keys": [key()]}, {"keys": [key(**changed)], "tenants": [ACME, GLOBEX]}, {})
            for changed in ({"project": "red"}, {"user": "ann"}, {"tenant": "globex"})
        ),
        # So may the holder of a secret that was another's: a swap would be one of rights.
        (
            {"keys": [key("1", "sk-1", groups=["gold"]), key("2", "sk-2")]},
            {"keys": [key("1", "sk-2"), key("2", "sk-1", groups=["gold"])]},
            {},
        ),
        (
            {"services": [service(), service("agents", "OTHER")]},
            {"services": [service(token="OTHER")], "salt": "another salt"},
            {},
        ),
        (
            {"issuers": [issuer(), issuer("other")]},
            {"issuers": [issuer(issuer="https://other.example.com")]},
            {},
        ),
        # A project that is gone takes its keys with it, one that is new waits.
        (
            {"keys": [key(project="blue"), key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")], "tenants": [ACME | {"projects": ["red", "new"]}]},
            {"keys": [key("o", "sk-o")], "tenants": [ACME | {"projects": ["red"]}]},
        ),
        # A tenant that is gone takes its keys with it; those of services find nobody to act for.
        (
            {"keys": [key(tenant="globex"), key("o", "sk-o")], "tenants": [ACME, GLOBEX]},
            {"keys": [key("o", "sk-o")]},
            {"keys": [key("o", "sk-o")]},
        ),
        (
            {"tenants": [ACME | {"region": "eu", "accepts_downgrade": True}]},
            {"tenants": [ACME | {"region": "us", "projects": ["red"]}]},
            {"tenants": [ACME | {"region": "eu", "accepts_downgrade": True, "projects": ["red"]}]},
        ),
        ({"services": [service()]}, {"services": [service("agents")]}, {}),
        (
            {"services": [service()]},
            {"services": [service(token="OTHER", tenants=["new"])], "tenants": [{"name": "new"}]},
            {"services": [service(token="OTHER", tenants=["new"])], "tenants": []},
        ),
        *(
            (
                {"services": [service(tenants=old, groups=["staff"])], "tenants": [ACME, GLOBEX]},
                {"services": [service(tenants=new)], "tenants": [ACME, GLOBEX]},
                {"services": [service(tenants=left, groups=["staff"])], "tenants": [ACME, GLOBEX]},
            )
            for old, new, left in (
                (["*"], ["acme"], ["acme"]),
                (["globex", "acme"], ["acme"], ["acme"]),
                (["globex"], ["acme"], []),
            )
        ),
        ({"issuers": [issuer()]}, {"issuers": [issuer("other")]}, {}),
        *(
            ({"issuers": [issuer()]}, {"issuers": [changed]}, {"issuers": [changed]})
            for changed in (
                issuer(algorithms=["RS256"]),
                issuer(leeway_s=0),
                issuer(jwks={"url": "https://idp.example.com/keys"}),
                ENVOYS,
            )
        ),
        (
            {"issuers": [issuer(audiences=["llm", "old"], models=[])]},
            {"issuers": [issuer(audiences=["new", "llm"])]},
            {"issuers": [issuer(audiences=["llm"], models=[])]},
        ),
        (
            {"issuers": [issuer(**GROUPS, groups=["staff", "finance"])]},
            {"issuers": [issuer(**GROUPS, leeway_s=0)]},
            {"issuers": [issuer(**GROUPS, leeway_s=0, groups=["staff", "finance"])]},
        ),
        *(
            ({"issuers": [issuer()]}, {"issuers": [issuer(**changed)]}, {})
            for changed in (
                {"claims": {"tenant": "team"}},
                {"claims": {}, "tenant": "acme"},
                {"issuer": "https://moved.example.com"},
                {"audiences": ["other"]},
            )
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
    for each in identities(found):
        assert type(each).model_validate(each.model_dump(exclude_unset=True))


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
        {
            "tenants": [ACME | {"region": "eu"}],
            "keys": [key(groups=["gold"], models=[])],
            "services": [service(groups=["gold"])],
            "issuers": [issuer(models=[])],
        },
        {"keys": [key()], "services": [service(tenants=["*", "acme"])], "issuers": [issuer()]},
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


def admitted(policy, model):
    """What the real tables say of whoever has the key's latest secret."""
    found = [each for s in ("sk-new", "sk-k") if (each := find(policy, s))]
    return [
        access_table(policy).admits(key.identity, model)
        and access_table(policy).find_veto(tell(key.identity, Asked("chat", model), 0.0)) is None
        for key in found
    ]


def find(policy, secret):
    source = key_source(policy)
    return source.find(source.mark(secret))


CATALOG = {
    "pools": [{"name": "p", "endpoints": ["10.0.0.1:80"]}],
    "models": [{"name": "small", "pool": "p"}, {"name": "big", "pool": "p"}],
}


def allow(*rights):
    return {"allow": [{"groups": [group], "models": models} for group, models in rights]}


BIG_IS_REFUSED = {"deny": [{"name": "d", "message": "no", "when": "request.model == 'big'"}]}


@pytest.mark.parametrize("secret", ["sk-k", "sk-new"])
@pytest.mark.parametrize(
    ("old", "old_access", "new", "new_access"),
    [
        # It moves to a group that means more in the old rules.
        (
            {"groups": ["staff"]},
            allow(("staff", ["small"]), ("gold", ["small", "big"])),
            {"groups": ["gold"]},
            allow(("gold", ["small"]), ("boss", ["big"])),
        ),
        # What its own entry forbade, the new rules forbid.
        ({"models": ["small"]}, {}, {}, BIG_IS_REFUSED),
    ],
)
def test_nobody_may_do_what_neither_policy_allows(old, old_access, new, new_access, secret):
    before = policy("a", keys=[key(**old)], access=old_access, **CATALOG)
    now = policy("b", keys=[key(secret=secret, **new)], access=new_access, **CATALOG)
    left = withdrawn(before, now)
    for each in (before, now, left):
        assert admitted(each, "small") == [True]
        assert admitted(each, "big") == [False]
    assert find(left, secret)
    assert secret == "sk-k" or not find(left, "sk-k")


def test_each_member_belongs_to_one_side():
    """A new one has to be given its side in `withdrawn`: is it a credential, or a right?"""
    assert set(TenantPolicy.model_fields) == {"name", "projects", "region", "accepts_downgrade"}
    assert set(KeyPolicy.model_fields) == {
        *("id", "tenant", "project", "user"),
        *("digest", "retiring", "expires", "cidrs"),
        *("groups", "models"),
    }
    assert set(IssuerPolicy.model_fields) == {
        *("name", "claims", "tenant"),
        *("issuer", "audiences", "verified_by", "jwks", "algorithms", "leeway_s"),
        *("groups", "models"),
    }
    assert set(ServicePolicy.model_fields) == {"name", "token", "tenants", "groups"}


NAMES = st.sampled_from("ab")
SECRETS = (*(f"sk-{name}" for name in "abc"), *TOKENS.values())


@st.composite
def policies(draw, version):
    """Anything valid, of few names: so they share some."""
    some = st.sets(NAMES).map(sorted)
    projects = {"a": draw(some)} | draw(st.dictionaries(NAMES, some))
    homes = [{"tenant": t, "project": p} for t, ps in projects.items() for p in (None, *ps)]
    ids = sorted(draw(st.sets(NAMES, min_size=1)))
    secrets = draw(st.permutations([f"sk-{name}" for name in "abc"]))
    salt = draw(st.sampled_from(["headgate", "headgate", "another salt"]))
    who = st.one_of(st.just({"claims": {"tenant": "org"}}), st.just({"tenant": min(projects)}))
    acts_for = st.sampled_from([["*"], *([name] for name in projects), sorted(projects)])
    return policy(
        version,
        salt=salt,
        pools=[{"name": "p", "endpoints": ["10.0.0.1:80"]}],
        models=[{"name": name, "pool": "p"} for name in "ab"],
        tenants=[{"name": t, "projects": ps, "region": draw(NAMES)} for t, ps in projects.items()],
        keys=[
            key(id_, groups=draw(some), models=draw(some), **draw(st.sampled_from(homes)))
            | {"digest": digest(salt, secret), "cidrs": draw(st.sampled_from([[], ["10.0.0.0/8"]]))}
            for id_, secret in zip(ids, secrets, strict=False)
        ],
        issuers=[
            issuer(n, models=draw(some), **{"claims": {}} | draw(who))
            | {"issuer": f"https://{at}.example.com"}
            for n, at in zip(ids, draw(st.permutations("abc")), strict=False)
        ],
        services=[
            service(n, t, tenants=draw(acts_for), groups=draw(some))
            for n, t in zip(ids, draw(st.permutations(sorted(TOKENS))), strict=False)
        ],
    )


def rights(policy):
    """What each entry that has a secret stands for, by its name."""
    known = {tenant.name: tenant.region for tenant in policy.tenants}
    services = {
        f"service {each.name}": (
            {*each.groups},
            set(known if "*" in each.tenants else each.tenants),
        )
        for each in policy.services
    }
    return {each.id: identity(each, known[each.tenant]) for each in policy.keys} | services


def named(found):
    return found.identity.key_id if isinstance(found, Key) else f"service {found.name}"


@given(policies("a"), policies("b"), policies("c"))
def test_who_is_let_in_has_a_credential_of_the_new_one_and_rights_of_the_old(before, now, later):
    left = withdrawn(before, now)
    for whole, narrowed, new in ((before, left, now), (left, withdrawn(left, later), later)):
        token_table(narrowed, KeyRings())  # all of it stands for itself
        for secret in SECRETS:
            who, wanted, had = (find(each, secret) for each in (narrowed, new, whole))
            if who is None:
                continue
            assert named(who) == named(wanted)
            assert whole.salt != new.salt or had is None or named(had) == named(who)
            if isinstance(who, Key):
                assert who.identity == rights(whole)[named(who)]
                assert (who.until_s, who.networks) == (wanted.until_s, wanted.networks)
                old, other = who.identity, wanted.identity
                assert (old.tenant, old.project) == (other.tenant, other.project)
            else:
                groups, tenants = rights(whole)[named(who)]
                acts_for = who.tenants & narrowed.projects().keys()  # others are not there
                assert who.groups == groups
                assert acts_for == tenants & wanted.tenants & narrowed.projects().keys()
        check_issuers(whole, narrowed, new)
        for name, projects in narrowed.projects().items():
            assert projects <= whole.projects()[name] & new.projects()[name]
        assert withdrawn(narrowed, new) is narrowed
        assert (narrowed is whole) == (count_withdrawn(whole, narrowed) == 0)


def check_issuers(whole, narrowed, new):
    had, wanted = ({each.name: each for each in p.issuers} for p in (whole, new))
    for each in narrowed.issuers:
        old = had[each.name]
        assert (each.models, each.claims, each.tenant) == (old.models, old.claims, old.tenant)
        assert each == wanted[each.name].model_copy(update={"models": old.models})
        assert old.issuer == each.issuer


@given(policies("a"), policies("b"))
def test_who_is_the_same_in_both_is_served_on(before, now):
    left = withdrawn(before, now)
    same = [each for each in identities(before) if each in list(identities(now))]
    assert all(each in list(identities(left)) for each in same)
    assert withdrawn(before, before) is before
