"""Chains that lead somewhere."""

import pytest
from pydantic import ValidationError

from extproc.policy.fallback import (
    CascadePolicy,
    DowngradePolicy,
    check_cascades,
    check_chains,
)


def down(to):
    return DowngradePolicy(to=to, when="saturated")


@pytest.mark.parametrize(
    ("chain", "downgrades", "place", "said"),
    [
        (["c"], [], ("fallback", 0), "there is no model 'c'"),
        (["b", "a"], [], ("fallback", 1), "a model cannot stand in for itself"),
        (["b", "b"], [], ("fallback", 1), "'b' stands twice"),
        ([], [down("c")], ("downgrade", 0), "there is no model 'c'"),
        ([], [down("a")], ("downgrade", 0), "a model cannot stand in for itself"),
    ],
)
def test_names_that_lead_nowhere(chain, downgrades, place, said):
    given = [("a", chain, downgrades), ("b", [], [])]
    assert list(check_chains(given)) == [(("models", 0, *place), said)]


def test_one_model_may_be_the_way_down_for_two_reasons():
    steps = [down("b"), DowngradePolicy(to="b", when="budget", at=0.8)]
    assert not list(check_chains([("a", ["b"], steps), ("b", ["a"], [])]))


def test_shares_are_shares():
    with pytest.raises(ValidationError):
        DowngradePolicy(to="b", when="budget", at=1.5)
    with pytest.raises(ValidationError):
        DowngradePolicy(to="b", when="whenever")


def test_a_cascade_has_one_step():
    once, again = CascadePolicy(first="b"), CascadePolicy(first="a")
    assert not list(check_cascades({"a": once, "b": None}))
    assert list(check_cascades({"a": once, "b": again, "c": None})) == [
        (("models", 0, "cascade", "first"), "'b' has a cascade itself"),
        (("models", 1, "cascade", "first"), "'a' has a cascade itself"),
    ]
    assert list(check_cascades({"a": once})) == [
        (("models", 0, "cascade", "first"), "there is no model 'b'")
    ]
