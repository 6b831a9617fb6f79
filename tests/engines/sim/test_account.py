import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.sim.account import count_steps
from engines.sim.meter import Histogram
from engines.sim.span import Span

BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2)


@given(
    done=st.integers(0, 60),
    steps=st.integers(1, 60),
    read_s=st.sampled_from([0.0, 1e-6, 1e-4]),
    grow=st.integers(0, 50),
)
def test_steps_are_counted_as_if_one_by_one(done: int, steps: int, read_s: float, grow: int):
    span = Span(0.0, 0, done + steps, 0.012, read_s, 100, grow)
    at_once, one_by_one = Histogram(BOUNDS), Histogram(BOUNDS)
    count_steps(at_once, span, (done, done + steps), times=3)
    for step in range(done, done + steps):
        one_by_one.observe(span.end_s(step + 1) - span.end_s(step), 3)
    assert at_once.counts == one_by_one.counts
    assert at_once.total == pytest.approx(one_by_one.total)
