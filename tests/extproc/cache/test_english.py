"""English questions come down to their words of weight."""

import pytest

from extproc.cache.english import reduce, stem


@pytest.mark.parametrize(
    ("text", "asks", "words"),
    [
        ("Please, how do I reset it?", {"how"}, ("reset",)),
        ("can you tell me what's the price of bread", {"cost"}, ("bread",)),
        ("What time does it close?", {"when_time"}, ("clos",)),
        ("Why doesn't it run?", {"why"}, ("not", "run")),
        ("Did it rain?", {"is", "past"}, ("rain",)),
        ("1,000 meters", set(), ("1000", "meter")),
        ('Say "Hello You"', set(), ("say", '"Hello You"')),
    ],
)
def test_reduce(text, asks, words):
    assert reduce(text)[:2] == (asks, words)


def test_times_stand_apart():
    assert reduce("tomorrow's weather")[1:] == (("weather",), {"tomorrow"})


@pytest.mark.parametrize(
    ("one", "other"), [("cities", "city"), ("running", "run"), ("boxes", "box"), ("baking", "bake")]
)
def test_stems(one, other):
    assert stem(one) == stem(other)


def test_short_words_and_doubled_letters_stay():
    assert (stem("bus"), stem("glass"), stem("ring")) == ("bus", "glass", "ring")
