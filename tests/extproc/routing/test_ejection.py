"""How many may be out at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.ejection import Fitness, find_out

LETTERS = {
    ".": Fitness.FIT, "f": Fitness.FULL, "s": Fitness.SLOW, "e": Fitness.FAILING,
    "t": Fitness.SILENT, "r": Fitness.REFUSING, "d": Fitness.LEAVING,
}  # fmt: skip


def stay(pool, most_out):
    """Who stays in, by their places."""
    unfit = {str(n): each for n, each in enumerate(pool) if each is not Fitness.FIT}
    out = find_out(unfit, len(pool), most_out)
    return [n for n in range(len(pool)) if str(n) not in out]


@pytest.mark.parametrize(
    ("pool", "stays"),
    [
        ("....", "0123"),
        ("e...", "123"),
        ("ee..", "23"),
        ("eee.", "23"),
        ("eeee", "23"),
        ("sees", "03"),  # the least bad come back first
        ("fee.", "03"),
        ("fes.", "03"),
        ("e", "0"),
        ("ee", "1"),
        ("eee", "12"),
        ("r", ""),
        ("rr", ""),
        ("rrr.", "3"),
        ("rre.", "23"),  # those that refuse are a part of the share
        ("re..", "23"),
        ("d...", "123"),
        ("dddd", ""),
        ("dddde", "4"),
        ("ff..", "23"),
        ("fff.", "0123"),  # all are full: nobody is out for it
        ("tttt", "0123"),  # not one answers: it is our looks
        ("ttrr", "01"),
        ("ttt.", "23"),  # one does, so looks can be believed, within the share
        ("ttf.", "23"),
        ("eess", "23"),  # half is out, and the other half slow: it stays
        ("rrss", "23"),
        ("rrff", "23"),
        ("rrtt", "23"),
        ("ttte", "23"),
        ("tt..", "23"),
    ],
)
def test_table(pool, stays):
    found = stay([LETTERS[each] for each in pool], 0.5)
    assert found == [int(each) for each in stays]


POOLS = st.lists(st.sampled_from(Fitness), max_size=40)


@given(POOLS, st.floats(0, 0.999))
def test_never_all_and_never_more_than_the_share(pool, most_out):
    staying = set(stay(pool, most_out))
    answering = {
        index for index, each in enumerate(pool) if each not in {Fitness.REFUSING, Fitness.LEAVING}
    }
    assert staying <= answering
    assert bool(staying) == bool(answering)
    members = sum(each is not Fitness.LEAVING for each in pool)
    refusing = sum(each is Fitness.REFUSING for each in pool)
    assert members - len(staying) <= max(most_out * members + 1e-6, refusing)
    assert {i for i in answering if pool[i] is Fitness.FIT} <= staying
