"""So much in each period of a calendar, and word at its levels."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.base import LARGEST, Calendar
from extproc.limits.budget import Budget, BudgetRule, threshold
from extproc.limits.periods import Periods
from extproc.limits.state import NEVER, Hold, Look


def moment(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


NOON = moment(2026, 2, 10, 12)
MARCH = moment(2026, 3, 1)
MONTHLY = BudgetRule(1000, Periods(Calendar.MONTH, "UTC"), (50, 80, 100))


def hold(amount, at_us=NOON):
    return Hold("k", amount, at_us, at_us, strict=False)


def take(budget, amount, at_us=NOON, rule=MONTHLY):
    return rule.state(budget, at_us).take(hold(amount, at_us))


def test_it_begins_whole_and_ends_with_the_month():
    budget = MONTHLY.state(None, NOON)
    assert budget.look(NOON) == Look(1000, MARCH - NOON)
    assert budget.gone_us(NOON) == MARCH
    assert (budget.wait_us(1000, NOON), budget.wait_us(1001, NOON)) == (0, NEVER)


def test_it_stops_hard_until_the_next_month():
    budget, _ = take(None, 900)
    assert budget.wait_us(101, NOON) == MARCH - NOON
    assert MONTHLY.state(budget, MARCH - 1).wait_us(101, MARCH - 1) == 1
    assert MONTHLY.state(budget, MARCH).wait_us(1000, MARCH) == 0


def test_settling_puts_the_truth_in_place():
    budget, held = take(None, 900)
    budget, _ = budget.settle(held, 300, NOON)
    assert (budget.charged, budget.spent) == (300, 300)
    budget, held = take(budget, 500)
    budget, _ = budget.settle(held, 900, NOON)
    assert budget.look(NOON).remaining == -200


def test_all_given_back_is_never_taken():
    budget, held = take(None, 900)
    assert budget.settle(held, 0, NOON)[0] == MONTHLY.state(None, NOON)


def test_a_request_belongs_to_the_month_it_began_in():
    budget, held = take(None, 900)
    assert budget.settle(held, 300, MARCH) == (budget, ())
    budget = MONTHLY.state(budget, MARCH)
    assert budget.settle(held, 300, MARCH) == (budget, ())


def test_each_level_is_told_once():
    budget, told = None, []
    for used in (499, 1, 100, 400, 400, 100):
        budget, held = take(budget, 0)
        budget, crossed = budget.settle(held, used, NOON)
        told.append(crossed)
    assert told == [(), (50,), (), (80, 100), (), ()]


def test_in_the_next_month_they_are_told_again():
    budget, held = take(None, 0)
    budget, _ = budget.settle(held, 1000, NOON)
    budget, held = take(budget, 0, MARCH)
    assert budget.settle(held, 600, MARCH)[1] == (50,)


def test_what_is_only_reserved_is_not_told():
    budget, held = take(None, 1000)
    assert budget.settle(held, 499, NOON)[1] == ()


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=30))
def test_levels_are_told_once_whatever_is_spent(amounts):
    budget, told, spent = None, [], 0
    for used in amounts:
        budget, held = take(budget, used)
        budget, crossed = budget.settle(held, used, NOON)
        told += crossed
        spent += used
    assert told == [level for level in (50, 80, 100) if level * 10 <= spent]


def test_a_clock_set_back_over_the_edge_does_not_begin_anew():
    budget, _ = take(None, 700, MARCH)
    before = MONTHLY.state(budget, MARCH - 1)
    assert (before.charged, before.end_us) == (700, moment(2026, 4, 1))


@pytest.mark.parametrize(
    ("old", "new", "charged"),
    [
        (Calendar.DAY, Calendar.MONTH, 700),  # what was charged today counts for the month
        (Calendar.MONTH, Calendar.DAY, 0),  # what was charged since the first may not be of today
    ],
)
def test_another_calendar(old, new, charged):
    rules = [BudgetRule(1000, Periods(calendar, "UTC"), ()) for calendar in (old, new)]
    budget, _ = take(None, 700, rule=rules[0])
    after = rules[1].state(budget, NOON)
    assert after.charged == charged
    assert after.end_us == Periods(new, "UTC").at(NOON)[1]


def test_a_state_that_is_gone_is_not_begun_for_settling():
    assert MONTHLY.anew(NOON) is None


@pytest.mark.parametrize(
    ("capacity", "percent", "least"),
    [
        (1000, 50, 500),
        (999, 50, 500),
        (1, 1, 1),
        (7_000_001, 80, 5_600_001),
        (LARGEST, 100, LARGEST),
    ],
)
def test_thresholds(capacity, percent, least):
    assert threshold(capacity, percent) == least


def test_what_was_charged_never_goes_below_zero():
    budget = Budget(MONTHLY, Periods(Calendar.MONTH, "UTC").at(NOON)[0], MARCH)
    held = Hold("k", 500, NOON, NOON, strict=False, mark=budget.start_us)
    assert budget.settle(held, 100, NOON)[0].charged == 0
