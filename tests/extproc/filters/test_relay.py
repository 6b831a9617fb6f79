"""Handing over: what a sidecar is told of who asks, and of how much they may see."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Relay as Handed
from extproc.filters.relay import GROUPS_CHARS, POOLS, Relay, join, tell
from extproc.request import Identity, Kind, Operation
from tests.extproc.requests import BARE, bare

FINANCE = frozenset({"finance"})


async def ask(identity, kind=Kind.USAGE, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = bare(headers=named).having(Operation(kind)).having(identity)
    return await Relay(FINANCE).decide(request)


async def scope(identity, **headers):
    return (await ask(identity, **headers)).headers["x-headgate-scope"]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in POOLS])
async def test_what_is_for_engines_goes_on(kind):
    request = BARE.having(Operation(kind)).having(Identity("acme", "k"))
    assert await Relay(FINANCE).decide(request) is request


async def test_what_is_told():
    known = Identity(
        "acme", "k", project="support", user="zoë/1", groups=frozenset({"b,c", "a", ""})
    )
    handed = await ask(known)
    assert isinstance(handed, Handed)
    assert handed.pool == "sidecar/ledger"
    assert handed.headers == {
        "x-headgate-scope": "project",
        "x-headgate-tenant": "acme",
        "x-headgate-project": "support",
        "x-headgate-user": "zo%C3%AB%2F1",
        "x-headgate-groups": "a,b%2Cc",
    }


async def test_what_is_not_known_has_no_header():
    handed = await ask(Identity("acme", "k"))
    assert handed.headers == {"x-headgate-scope": "tenant", "x-headgate-tenant": "acme"}


@pytest.mark.parametrize(
    ("project", "groups", "headers", "expected"),
    [
        ("", (), {}, "tenant"),
        ("", ("staff",), {}, "tenant"),
        ("support", (), {}, "project"),
        ("support", (), {"x_project_id": "support"}, "project"),
        ("", ("finance",), {}, "all"),
        ("support", ("finance", "staff"), {}, "all"),
        ("", ("finance",), {"x_tenant_id": "acme"}, "tenant"),
        ("support", ("finance",), {"x_tenant_id": "acme"}, "project"),
        ("support", ("finance",), {"x_project_id": "support"}, "project"),
        ("", ("finance",), {"x_project_id": ""}, "tenant"),
    ],
)
async def test_how_much_may_be_seen(project, groups, headers, expected):
    identity = Identity("acme", "k", project=project, groups=frozenset(groups))
    assert await scope(identity, **headers) == expected


@given(st.lists(st.text(min_size=1, max_size=40), max_size=300))
def test_groups_are_told_in_whole_names_and_not_without_end(groups):
    joined = join(groups)
    assert len(joined) <= GROUPS_CHARS
    told = [unquote(each) for each in joined.split(",")] if joined else []
    assert told == groups[: len(told)]
    assert joined.isascii()


@given(st.text(max_size=30), st.text(max_size=30))
def test_headers_are_plain_whatever_names_hold(tenant, user):
    for value in tell(Identity(tenant, "k", user=user)).values():
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value
