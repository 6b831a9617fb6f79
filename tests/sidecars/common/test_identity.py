"""Who asks: what the gateway's relay filter says is understood, and anything less is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.filters.relay import tell
from extproc.request import Identity as Sent
from sidecars.common.errors import Code, Refusal
from sidecars.common.identity import Identity, read_identity


def raw(headers):
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def told(**headers):
    return raw({f"x-headgate-{name}": value for name, value in headers.items()})


def test_the_three_scopes():
    assert read_identity(told(scope="all", tenant="a")) == Identity("all", "a")
    assert read_identity(told(scope="tenant", tenant="a")) == Identity("tenant", "a")
    both = told(scope="project", tenant="a", project="p")
    assert read_identity(both) == Identity("project", "a", "p")
    assert read_identity(told(scope="all", tenant="a", project="p")).scope == "all"


def test_other_headers_do_not_matter():
    assert read_identity([(b"x-other", b"1"), *told(scope="all", tenant="a")]).tenant == "a"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        told(tenant="a"),
        told(scope="tenant"),
        told(scope="tenant", tenant=""),
        told(scope="", tenant="a"),
        told(scope="Tenant", tenant="a"),
        told(scope="all,tenant", tenant="a"),
        told(scope="project", tenant="a"),
        told(scope="project", tenant="a", project=""),
        told(scope="tenant", tenant="a", project="p"),
        told(scope="tenant", tenant="%ff"),
        told(scope="tenant", tenant="a", user="%e4%28"),
        [*told(scope="tenant", tenant="a"), *told(tenant="b")],
        [*told(scope="tenant", tenant="a"), *told(tenant="a")],
        [*told(scope="tenant", tenant="a"), *told(scope="all")],
    ],
)
def test_what_is_incomplete_or_inconsistent_is_refused(headers):
    with pytest.raises(Refusal) as refused:
        read_identity(headers)
    assert refused.value.code is Code.NO_IDENTITY


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAMES, NAMES | st.just(""), st.frozensets(NAMES, max_size=4))
def test_what_the_gateway_tells_is_what_is_understood(tenant, user, groups):
    sent = raw({**tell(Sent(tenant, "k", user=user, groups=groups)), "x-headgate-scope": "tenant"})
    assert read_identity(sent) == Identity("tenant", tenant, "", user, groups)
