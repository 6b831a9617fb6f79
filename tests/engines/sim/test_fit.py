import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.sim.fit import fit, predict, rank_correlation

ROWS = [(1, n, n * n) for n in (1, 2, 5, 10, 20, 50)]


@given(st.tuples(*[st.sampled_from([0.0, 1e-4, 0.03, 2.0])] * 3).filter(any))
def test_what_was_made_by_coefficients_is_explained_by_them(truth: tuple[float, float, float]):
    seen = [predict(row, truth) for row in ROWS]
    found = fit(ROWS, seen)
    assert [predict(row, found) for row in ROWS] == pytest.approx(seen, rel=1e-3)


def test_nothing_is_negative():
    assert fit([(1, 1), (1, 2), (1, 3)], [3.0, 2.0, 1.0])[1] == 0.0


def test_what_was_never_there_costs_nothing():
    assert fit([(1, 0), (2, 0)], [1.0, 2.0]) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 2, 3], 1.0),
        ([1, 1, 1], [1, 2, 3], 0.0),
        ([1, 2, 3, 4], [2, 1, 4, 3], 0.6),
    ],
)
def test_rank_correlation(first: list[float], second: list[float], expected: float):
    assert rank_correlation(first, second) == pytest.approx(expected)
