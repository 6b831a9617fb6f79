"""Mistakes: their place, their words, and what they never repeat."""

import pytest
from pydantic import ValidationError

from extproc.errors import PolicyError
from extproc.policy.flaws import (
    Flaw,
    FlawedPolicyError,
    Spot,
    explain_all,
    flaws_of,
    members_beside,
    place_flaw,
    suggest,
)
from extproc.policy.models import Policy


def explained(document, spots=()):
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate(document)
    return explain_all(caught.value.errors(), Policy, dict.fromkeys(spots, Spot("a.yaml", 1)))


@pytest.mark.parametrize(
    ("flaw", "text"),
    [
        (Flaw("wrong", Spot("a.yaml", 3), "keys[0].id"), "a.yaml:3: keys[0].id: wrong"),
        (Flaw("wrong", Spot("a.yaml", 3)), "a.yaml:3: wrong"),
        (Flaw("wrong"), "wrong"),
    ],
)
def test_a_flaw_in_one_line(flaw, text):
    assert str(flaw) == text


def test_a_flaw_for_programs():
    flaw = Flaw("wrong", Spot("a.yaml", 3), "salt")
    known = {"file": "a.yaml", "line": 3, "member": "salt", "message": "wrong"}
    assert flaw.document() == known
    assert Flaw("wrong").document() == {**known, "file": None, "line": None, "member": ""}


def test_flaws_are_told_in_the_order_of_the_files():
    flaws = [Flaw("c", Spot("b", 1)), Flaw("b", Spot("a", 10)), Flaw("a", Spot("a", 9))]
    error = FlawedPolicyError(flaws)
    assert str(error) == "a:9: a\na:10: b\nb:1: c"
    assert flaws_of(error) == tuple(reversed(flaws))


def test_an_error_without_a_place_is_one_flaw():
    assert flaws_of(PolicyError("no policy there")) == (Flaw("no policy there"),)


def test_the_nearest_part_that_stands_in_a_file_is_named():
    spots = {("keys",): Spot("a", 1), ("keys", 0): Spot("a", 2)}
    assert str(place_flaw(("keys", 0, "id"), "is missing", spots)) == "a:2: keys[0].id: is missing"
    assert str(place_flaw(("pools", 0), "wrong", spots)) == "pools[0]: wrong"


def test_alternatives_that_all_failed_are_one_mistake():
    place = ("keys", 0, "cidrs", 0)
    key = {"id": "k", "digest": "0" * 64, "tenant": "t", "cidrs": ["x"]}
    found = explained({"keys": [key]}, [place])
    assert found == {place: "a network without host bits belongs here, as in 10.0.0.0/8"}


def test_a_list_is_not_too_short_when_what_it_has_is_wrong():
    pool = {"name": "p", "endpoints": ["x"]}
    place = ("pools", 0, "endpoints", 0)
    assert list(explained({"pools": [pool]}, [place])) == [place]


@pytest.mark.parametrize("value", ["hunter2-secret", 5, ["hunter2-secret"], {"hunter2": 1}])
def test_no_message_repeats_a_secret(value):
    service = {"name": "rag", "token": value}
    key = {"id": "k", "digest": "sk-hunter2", "tenant": "t"}
    said = " ".join(explained({"services": [service], "keys": [key]}).values())
    assert said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("tenantz",), "; did you mean 'tenants'?"),
        (("tenants", 0, "project"), "; did you mean 'projects'?"),
        (("models", 0, "tracks", 3, "wieght"), "; did you mean 'weight'?"),
        (("access", "authority", "uri"), "; did you mean 'url'?"),
        (("access", "authority", "zzz"), ""),
    ],
)
def test_what_may_have_been_meant(place, said):
    assert suggest(place, Policy) == said


def test_what_stands_beside_something_unknown():
    assert "keys" in members_beside(("anything",), Policy)
    assert members_beside(("salt", "x"), Policy) == []
    assert members_beside(("unknown", "x"), Policy) == []
