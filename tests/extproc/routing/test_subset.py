import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.candidate import Candidate
from extproc.routing.subset import is_complete, is_named, narrow

A, B, V6 = "10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"
KNOWN = (A, B, V6, "10.0.0.9:80")
"""The last is a member, and no candidate: sick, or leaving."""


def kept(*subset):
    candidates = [Candidate(each) for each in (A, B, V6)]
    return [each.endpoint for each in narrow(candidates, subset, KNOWN.__contains__)]


@pytest.mark.parametrize(
    ("subset", "left"),
    [
        ((B,), [B]),
        ((B, A), [A, B]),
        (("10.0.0.1",), [A]),
        (("fd00::1",), [V6]),
        (("[fd00::1]",), [V6]),
        ((V6,), [V6]),
        (("10.0.0.1:81",), ["10.0.0.1:81"]),
        (("10.0.0.7:80", A, "10.0.0.7:80"), [A, "10.0.0.7:80"]),
        (("[fd00::2]:80",), ["[fd00::2]:80"]),
        (("10.0.0.7",), []),
        (("10.0.0.9:80", "10.0.0.9"), []),
        (("fd00::2", "nonsense", ":", ""), []),
        ((), []),
    ],
)
def test_what_is_left(subset, left):
    assert kept(*subset) == left


def test_what_is_known_of_a_candidate_stays_with_it():
    candidate = Candidate(A, in_flight=3)
    (found,) = narrow([candidate], [A], KNOWN.__contains__)
    assert found is candidate


@given(st.text(max_size=30))
def test_any_text_is_judged(text):
    assert isinstance(is_complete(text), bool)
    assert isinstance(is_named(text, {text}), bool)
