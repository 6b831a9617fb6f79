"""Estimates, and what they learn."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.estimate import DEFAULT_RATES, MOST_DRIFT, Estimator, around
from extproc.counting.mix import Mix, scan
from tests.extproc.counting.vocabularies import ENGLISH, qwen

MIXES = st.builds(Mix, *[st.integers(0, 2**24)] * 5)
CHINESE = "人工智能正在改变我们的生活方式。从语音助手到自动驾驶,机器学习的应用无处不在。"


def test_defaults_are_near():
    prose = "Most of what people send is plain prose, like this: nothing special, a few commas. "
    code = "def add(a: int, b: int) -> int:\n    return a + b  # sums 12 and 3\n"
    for text, least, most in ((prose, 0.9, 1.3), (code, 0.7, 1.3), (CHINESE, 0.9, 1.5)):
        ratio = Estimator().estimate(scan(text * 20)) / qwen().count(text * 20)
        assert least <= ratio <= most, text


def test_a_conversation_has_something_around_each_message():
    bare, talk = Mix(letters=400), Mix(letters=400, messages=3)
    assert Estimator().estimate(talk) - Estimator().estimate(bare) == around(talk) == 15
    assert Estimator().estimate(Mix()) == 1


def samples(rates, count, seed=1):
    chance = random.Random(seed)
    for _ in range(count):
        weights = [chance.choice((0, 1, 20)) for _ in range(4)]
        mix = Mix(*(weight * chance.randrange(20, 80) for weight in weights), messages=2)
        if any(weights):
            exact = sum(r * c for r, c in zip(rates, mix.counts(), strict=True))
            yield mix, round(exact * chance.uniform(0.95, 1.05)) + around(mix)


def test_it_finds_the_rates_of_any_vocabulary():
    rates = (0.12, 1.0, 1.4, 0.3)
    estimator = Estimator()
    for mix, tokens in samples(rates, 3000):
        estimator.learn(mix, tokens)
    for found, rate in zip(estimator.rates, rates, strict=True):
        assert found == pytest.approx(rate, rel=0.15)
    errors = sorted(
        abs(estimator.estimate(mix) / tokens - 1) for mix, tokens in samples(rates, 200, seed=2)
    )
    assert errors[180] < 0.1


def test_it_follows_a_change():
    estimator = Estimator()
    for rates in ((0.2, 0.6, 0.7, 0.5), (0.4, 0.6, 0.7, 0.5)):
        for mix, tokens in samples(rates, 1500):
            estimator.learn(mix, tokens)
    assert estimator.rates[0] == pytest.approx(0.4, rel=0.15)


def test_one_outlier_moves_little():
    estimator = Estimator()
    text = scan(ENGLISH)
    for _ in range(50):
        estimator.learn(text, 2000)
    before = estimator.estimate(text)
    estimator.learn(text, 10**9)
    assert 1 < estimator.estimate(text) / before < 1.04
    estimator.learn(text, 0)
    estimator.learn(text, -5)
    assert estimator.estimate(text) / before < 1.04


@settings(deadline=None)
@given(st.lists(st.tuples(MIXES, st.integers(-10, 2**40)), max_size=40))
def test_rates_stay_within_bounds(told):
    estimator = Estimator()
    for mix, tokens in told:
        estimator.learn(mix, tokens)
        assert estimator.estimate(mix) >= 1
    for rate, first in zip(estimator.rates, DEFAULT_RATES, strict=True):
        assert first / MOST_DRIFT - 1e-9 <= rate <= first * MOST_DRIFT + 1e-9


def test_a_few_words_teach_nothing():
    estimator = Estimator()
    estimator.learn(Mix(letters=40, messages=1), 500)
    estimator.learn(Mix(letters=4000, messages=1), 8)
    assert estimator.rates == DEFAULT_RATES
