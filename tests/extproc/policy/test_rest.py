"""Mistakes in references are found beside other mistakes."""

import pytest

from extproc.policy.rest import check_rest

POOL = {"name": "p", "endpoints": ["10.0.0.1:80"]}
BAD = {"name": "bad", "endpoints": 3}


def check(joined, *wrong):
    return list(check_rest(joined, wrong))


def test_what_is_right_is_checked_with_its_own_index():
    joined = {"pools": [BAD, POOL], "models": [{"name": "m", "pool": "gone"}]}
    assert check(joined, ("pools", 0, "endpoints")) == [
        (("models", 0, "pool"), "there is no pool 'gone'")
    ]
    joined = {"pools": [BAD, POOL, POOL]}
    assert check(joined, ("pools", 0, "endpoints")) == [(("pools", 2, "name"), "'p' stands twice")]


def test_a_wrong_entry_still_counts_as_there():
    joined = {"pools": [BAD], "models": [{"name": "m", "pool": "bad"}]}
    assert check(joined, ("pools", 0, "endpoints")) == []


def test_its_name_counts_wherever_it_stands():
    joined = {"pools": [{"nmae": ["bad"]}], "models": [{"name": "m", "pool": "bad"}]}
    assert check(joined, ("pools", 0, "nmae"), ("pools", 0, "name")) == []


@pytest.mark.parametrize("pools", [None, 3, {"bad": {}}])
def test_nothing_is_said_when_a_whole_section_is_wrong(pools):
    joined = {"pools": pools, "models": [{"name": "m", "pool": "bad"}]}
    assert check(joined, ("pools",)) == []


def test_an_unknown_section_does_not_matter():
    joined = {"poolz": 1, "models": [{"name": "m", "pool": "p"}]}
    assert check(joined, ("poolz",)) == [(("models", 0, "pool"), "there is no pool 'p'")]


def test_a_section_that_is_no_list_is_left_out_whole():
    allow = [{"groups": ["g"], "models": ["gone"]}, 3]
    joined = {"access": {"allow": allow}, "models": [{"name": "m", "pool": "p"}]}
    assert check(joined, ("access", "allow", 1)) == [
        (("models", 0, "pool"), "there is no pool 'p'")
    ]


def test_nothing_is_said_when_the_rest_is_wrong_too():
    """It cannot be followed; `wrong` names all there is, so this is a mistake of ours, not theirs."""
    assert check({"pools": [BAD], "models": [{"name": "m", "pool": "p"}]}) == []


def test_a_section_that_is_right_keeps_its_places():
    allow = [{"groups": ["g"], "models": ["gone"]}]
    joined = {"pools": [BAD], "access": {"allow": allow}}
    assert check(joined, ("pools", 0, "endpoints")) == [
        (("access", "allow", 0, "models"), "there is no model 'gone'")
    ]


class Walked(dict):
    """Counts how often all of it is looked at."""

    walks = 0

    def __iter__(self):
        self.walks += 1
        return super().__iter__()


def test_mistakes_are_looked_at_once_however_many_sections_there_are():
    joined = {f"unknown{n}": 1 for n in range(100)}
    wrong = Walked({(section,): "there is no such member" for section in joined})
    assert list(check_rest(joined, wrong)) == []
    assert wrong.walks == 1
