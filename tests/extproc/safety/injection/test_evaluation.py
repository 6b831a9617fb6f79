"""The goals for rules alone, on the half of the sets that they were not written by."""

import pytest

from bench.injection import (
    GOAL_ALARMS,
    GOAL_CAUGHT,
    is_caught,
    read_attacks,
    read_benign,
    share,
)
from extproc.safety.injection.matching import Matcher
from extproc.safety.injection.rulebook import shipped_rulebook

MATCHER = Matcher(shipped_rulebook())
ATTACKS, BENIGN = read_attacks(), read_benign()


def test_the_sets_are_large_and_have_no_text_twice():
    assert len({each.text for each in ATTACKS}) >= 300
    assert len({each.family for each in ATTACKS}) >= 12
    assert len({each.text for each in BENIGN}) >= 600
    assert not {each.text for each in ATTACKS} & {each.text for each in BENIGN}


@pytest.mark.parametrize("held_out", [False, True])
def test_goals(held_out):
    attacks = [each for each in ATTACKS if each.is_held_out is held_out]
    benign = [each for each in BENIGN if each.is_held_out is held_out]
    assert min(len(attacks), len(benign)) >= 150
    assert share(MATCHER, attacks) >= GOAL_CAUGHT
    assert share(MATCHER, benign) <= GOAL_ALARMS


@pytest.mark.parametrize("family", sorted({each.family for each in ATTACKS}))
def test_no_family_is_forgotten(family):
    caught = [is_caught(MATCHER, each) for each in ATTACKS if each.family == family]
    assert sum(caught) >= 0.8 * len(caught)
