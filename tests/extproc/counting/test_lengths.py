"""Lengths of answers."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.lengths import DEFAULT_TOKENS, LEAST_SEEN, STEPS, Histogram, Lengths


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=300))
def test_nine_in_ten_are_no_longer(lengths):
    known = Histogram()
    for tokens in lengths:
        known.learn(tokens)
    most = sorted(max(1, min(n, 2**20)) for n in lengths)
    assert 1 <= known.expected_tokens <= most[-1] * 1.2 + 1


def test_a_share_that_is_right():
    chance = random.Random(1)
    known = Histogram()
    lengths = [round(chance.lognormvariate(5, 1)) + 1 for _ in range(3000)]
    for tokens in lengths:
        known.learn(tokens)
    expected = known.expected_tokens
    within = sum(tokens <= expected for tokens in lengths) / len(lengths)
    assert 0.87 <= within <= 0.96


@pytest.mark.parametrize("tokens", [1, 7, 100, 4096, 10**6])
def test_a_step_is_a_fifth(tokens):
    known = Histogram()
    known.learn(tokens)
    assert tokens <= known.expected_tokens + 1 <= tokens * 1.2 + 2


def test_what_is_long_ago_weighs_little():
    known = Histogram()
    for _ in range(1000):
        known.learn(4000)
    for _ in range(1000):
        known.learn(100)
    assert known.expected_tokens < 120


def test_weights_do_not_overflow():
    known = Histogram()
    for _ in range(20_000):
        known.learn(50)
    assert 50 <= known.expected_tokens <= 60


def test_a_key_is_expected_to_behave_like_others_at_first():
    lengths = Lengths()
    assert lengths.expect("k", "m") == DEFAULT_TOKENS
    for _ in range(LEAST_SEEN - 1):
        lengths.learn("k", "m", 10)
    assert lengths.expect("k", "m") == DEFAULT_TOKENS
    lengths.learn("other", "m", 10)
    assert lengths.expect("k", "m") == lengths.expect("stranger", "m") < 20
    for _ in range(LEAST_SEEN):
        lengths.learn("wordy", "m", 3000)
    assert lengths.expect("wordy", "m") >= 3000
    assert lengths.expect("wordy", "m2") == DEFAULT_TOKENS


def test_ten_thousand_users_and_more():
    lengths = Lengths(entries=1000)
    for number in range(10_000):
        lengths.learn(f"key-{number}", "m", 5)
    assert len(lengths) == 1000
    assert lengths.expect("key-1", "m") == 5, "the model is known, and the key as good as"


def test_an_anonymous_key_is_learned_once():
    lengths = Lengths()
    for _ in range(LEAST_SEEN - 1):
        lengths.learn("", "m", 5)
    assert lengths.expect("", "m") == DEFAULT_TOKENS


def test_an_entry_is_as_large_as_documented():
    known = Histogram()
    known.learn(5)
    parts = (known, known._steps, known._total, known._weight, ("key", "m"))
    assert sum(map(sys.getsizeof, parts)) + 200 <= 1_200
    assert len(known._steps) == STEPS
