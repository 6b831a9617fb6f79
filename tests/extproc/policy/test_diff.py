"""Differences by meaning."""

import json

import pytest

from extproc.identity.keys import digest
from extproc.policy.diff import compare, word
from extproc.policy.models import Policy

ONE, TWO = digest("headgate", "sk-1"), digest("headgate", "sk-2")
TENANT = {"name": "acme", "projects": ["a", "b"]}
KEY = {"id": "k", "digest": ONE, "tenant": "acme"}
POOL = {"name": "p", "endpoints": ["10.0.0.1:80", "10.0.0.2:80"]}
PRICE = {"input_usd": "0.1", "output_usd": "0.2"}
MODEL = {"name": "m", "pool": "p", "price": PRICE}
WHOLE = {"tenants": [TENANT], "keys": [KEY], "pools": [POOL], "models": [MODEL]}


def lines(old, new):
    sides = [Policy.model_validate({**WHOLE, **side}) for side in (old, new)]
    return [str(change) for change in compare(*sides)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {}),
        ({"salt": "headgate"}, {}),
        (
            {"tenants": [TENANT, {"name": "globex"}]},
            {"tenants": [{"name": "globex"}, {"name": "acme", "projects": ["b", "a"]}]},
        ),
        ({"keys": [{**KEY, "models": ["*"], "groups": []}]}, {}),
        ({"models": [{**MODEL, "price": {"input_usd": 0.10, "output_usd": "0.20"}}]}, {}),
        ({"models": [{**MODEL, "version": "1", "aliases": []}]}, {}),
        (
            {"keys": [{**KEY, "expires": "2026-01-01T00:00:00Z"}]},
            {"keys": [{**KEY, "expires": "2026-01-01T02:00:00+02:00"}]},
        ),
        ({"access": {}}, {"access": {"allow": []}}),
    ],
)
def test_what_means_the_same(old, new):
    assert lines(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"salt": "a-first-salt"}, {"salt": "another-salt"},
         ["~ salt: a-first-salt -> another-salt"]),
        ({}, {"tenants": [TENANT, {"name": "globex"}]}, ["+ tenants globex: name globex, accepts_downgrade false"]),
        ({}, {"keys": []}, [f"- keys k: id k, digest {ONE[:12]}..., tenant acme, models [*]"]),
        ({}, {"tenants": [{"name": "acme", "projects": ["b", "c"]}]},
         ["~ tenants acme projects: +c -a"]),
        ({}, {"tenants": [{"name": "acme"}]}, ["~ tenants acme projects: -a -b"]),
        ({}, {"keys": [{**KEY, "digest": TWO}]},
         [f"~ keys k digest: {ONE[:12]}... -> {TWO[:12]}..."]),
        ({}, {"keys": [{**KEY, "user": "ann"}]}, ["~ keys k user: none -> ann"]),
        ({}, {"keys": [{**KEY, "models": ["m"]}]}, ["~ keys k models: +m -*"]),
        ({}, {"models": [{**MODEL, "price": {**PRICE, "output_usd": 0.3}}]},
         ["~ models m price.output_usd: 0.2 -> 0.3"]),
        ({}, {"models": [{"name": "m", "pool": "p"}]},
         ["~ models m price: input_usd 0.1, output_usd 0.2 -> none"]),
        ({}, {"pools": [{**POOL, "endpoints": ["10.0.0.1:80"]}]},
         ["~ pools p endpoints: -10.0.0.2:80"]),
        ({}, {"models": [{**MODEL, "pool": "q"}]}, ["~ models m tracks[stable].pool: p -> q"]),
        ({}, {"access": {"allow": [{"groups": ["g"], "models": ["m"]}]}},
         ["~ access allow[0]: none -> groups [g], models [m]"]),
        ({"access": {"allow": [{"groups": ["g"], "models": ["m"]}]}},
         {"access": {"allow": [{"groups": ["g"], "models": ["m", "n"]}]}},
         ["~ access allow[0].models: +n"]),
        ({"access": {"deny": [{"name": "d", "when": "true"}]}},
         {"access": {"deny": [{"name": "d", "when": "false"}]}},
         ["~ access deny[d].when: true -> false"]),
    ],
)  # fmt: skip
def test_what_differs(old, new, said):
    assert lines(old, new) == said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (False, "false"),
        (0.5, "0.5"),
        (["a", 1], "[a, 1]"),
        ([{"a": 1}, {"b": None}], "[a 1; b none]"),
        ({"a": {"b": 1}, "c": []}, "a b 1, c []"),
    ],
)
def test_values_of_any_kind_fit_a_line(value, text):
    assert word(value) == text


def test_the_order_of_rules_counts():
    rules = [{"groups": ["g"], "forbid": ["n"]}, {"groups": ["h"], "forbid": ["n"]}]
    old = {"models": [{**MODEL, "parameters": rules}]}
    new = {"models": [{**MODEL, "parameters": rules[::-1]}]}
    assert lines(old, new) == [
        "~ models m parameters[0].groups: +h -g",
        "~ models m parameters[1].groups: +g -h",
    ]


def test_going_back_turns_every_change_around():
    old = Policy.model_validate(WHOLE)
    new = Policy.model_validate({**WHOLE, "keys": [], "pools": [{**POOL, "engine": "sim"}]})
    there, back = compare(old, new), compare(new, old)
    assert sorted((c.section, c.entry, c.member) for c in there) == sorted(
        (c.section, c.entry, c.member) for c in back
    )
    assert {c.kind for c in there} == {"removed", "changed"}
    assert {c.kind for c in back} == {"added", "changed"}


def test_changes_for_programs_hold_no_whole_digest():
    old, new = (Policy.model_validate({**WHOLE, "keys": keys}) for keys in ([KEY], []))
    (change,) = compare(old, new)
    document = change.document()
    assert document["change"] == "removed"
    assert (document["section"], document["entry"], document["member"]) == ("keys", "k", None)
    assert ONE not in json.dumps(document)
