import pytest

from ledger.question import Question, UsageError
from ledger.ranking import MAX_CELLS, cut, merge, rank, rows
from ledger.rollup import SUMS, Tally


def tally(requests=1, prompt=0, cost=0):
    sums = dict.fromkeys(SUMS, 0) | {"requests": requests, "prompt_tokens": prompt}
    sums["uncached_pusd"] = cost
    return Tally(list(sums.values()), {7: requests})


CELLS = {
    (0, ("a",)): tally(1, prompt=10, cost=3),
    (1, ("a",)): tally(1, prompt=10),
    (0, ("b",)): tally(5, prompt=15),
    (1, (None,)): tally(2, prompt=15, cost=9),
}


@pytest.mark.parametrize(
    ("order", "groups"),
    [("tokens", ["a", "b", None]), ("cost", [None, "a", "b"]), ("requests", ["b", "a", None])],
)
def test_the_greatest_over_all_steps_first(order, groups):
    assert rank(order, CELLS, {}) == [(group,) for group in groups]


def test_those_of_before_come_behind():
    assert rank("tokens", CELLS, {(0, ("z",)): tally(), (0, ("a",)): tally()})[-1] == ("z",)


def test_cells_are_cut_without_a_trace():
    kept = cut(CELLS, {("b",), (None,)})
    assert kept.keys() == {(0, ("a",)), (1, ("a",)), (0, None), (1, None)}
    assert kept[0, None].sums == CELLS[0, ("b",)].sums
    assert CELLS[0, ("b",)].ttft == {7: 5}


def test_merging_adds_up():
    one = tally(1, prompt=2)
    merge(one, tally(3, prompt=4))
    assert (one.sums[0], one.ttft) == (4, {7: 4})


def test_rows_by_step_and_rank():
    found = rows(Question(by=("tenant", "day")), ["mon", "tue"], CELLS, None)
    assert [row.group for row in found] == [
        ("a", "mon"), ("b", "mon"), ("a", "tue"), (None, "tue"),
    ]  # fmt: skip


def test_holes_are_filled():
    found = rows(
        Question(by=("day", "tenant"), fill=True, top=1), ["mon", "tue", "wed"], CELLS, None
    )
    assert [(row.group, row.other, row.figures.requests) for row in found] == [
        (("mon", "a"), False, 1), (("mon", None), True, 5),
        (("tue", "a"), False, 1), (("tue", None), True, 2),
        (("wed", "a"), False, 0), (("wed", None), True, 0),
    ]  # fmt: skip


def test_before():
    question = Question(by=("tenant",))
    now, before = {(0, ("a",)): tally(3)}, {(0, ("a",)): tally(1), (0, ("gone",)): tally(2)}
    found = rows(question, [], now, before)
    assert [(row.group[0], row.figures.requests, row.before.requests) for row in found] == [
        ("a", 3, 1),
        ("gone", 0, 2),
    ]


def test_steps_of_before_that_have_no_place_now_are_left_out():
    found = rows(
        Question(by=("day", "tenant")), ["mon"], {(0, ("a",)): tally()}, {(1, ("a",)): tally()}
    )
    assert [row.group for row in found] == [("mon", "a")]


def test_too_many_to_fill():
    many = {(0, (str(n),)): tally() for n in range(2)}
    question = Question(by=("day", "tenant"), fill=True)
    with pytest.raises(UsageError, match="longer steps"):
        rows(question, ["x"] * (MAX_CELLS // 2 + 1), many, None)
