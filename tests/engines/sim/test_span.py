from itertools import accumulate
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.sim.span import Span

SPANS = st.builds(
    Span,
    start_s=st.floats(0, 1e6),
    first=st.integers(0, 10**6),
    steps=st.integers(1, 400),
    fixed_s=st.floats(1e-4, 1.0),
    read_s=st.sampled_from([0.0, 1e-9, 5e-7, 1e-3]),
    context=st.integers(0, 10**6),
    grow=st.integers(0, 256),
)


@given(span=SPANS)
def test_the_formula_is_the_sum_of_its_steps(span: Span):
    each = (
        span.fixed_s + span.read_s * (span.context + span.grow * at) for at in range(span.steps)
    )
    ends = list(accumulate(each, initial=span.start_s))
    assert [span.end_s(step) for step in range(span.steps + 1)] == pytest.approx(ends)


@given(span=SPANS, share=st.floats(0, 1))
@example(span=Span(0.0, 0, 1, 0.0001, 0.001, 0, 1), share=0.0)
def test_as_many_steps_are_done_as_have_ended(span: Span, share: float):
    now_s = span.start_s + share * (span.last_s - span.start_s)
    done = span.done_by(now_s)
    assert span.end_s(done) <= now_s
    assert done == span.steps or span.end_s(done + 1) > now_s


@given(span=SPANS, step=st.integers(1, 400))
def test_a_step_is_done_when_it_ends(span: Span, step: int):
    step = min(step, span.steps)
    assert span.done_by(span.end_s(step)) >= step


def test_the_ends():
    span = Span(5.0, 0, 3, 1.0, 0.0, 0, 0)
    assert [span.done_by(now_s) for now_s in (0.0, 5.0, 5.9, 6.0, 8.0, 99.0, inf)] == [
        *(0, 0, 0, 1, 3, 3, 3)
    ]
