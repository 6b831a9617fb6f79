"""The lexicon holds together."""

from extproc.cache.english import CANON
from extproc.cache.words import ASKS, EMPTY, OPENINGS, PHRASES, SAME, listed


def test_it_is_in_small_letters():
    assert SAME.lower() == SAME
    assert all(each == each.lower() for each in (*OPENINGS, *PHRASES))


def test_what_asks_something_is_not_left_out():
    assert not EMPTY & set(ASKS)


def test_negations_are_never_left_out():
    assert not EMPTY & listed("not no never none without nothing nobody")


def test_opposites_are_not_the_same():
    for one, other in [("increas", "reduc"), ("start", "stop"), ("buy", "sell"), ("larg", "small")]:
        assert CANON.get(one, one) != CANON.get(other, other)
