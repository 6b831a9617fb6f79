"""Texts in windows, and what a classifier thinks of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.texts import Text
from extproc.safety.injection.classifier import (
    Span,
    TooLongError,
    Windows,
    classify,
    take_out,
)
from extproc.safety.injection.strip import REMOVED

USER = frozenset({"user"})


def said(text, number=0, speaker="user"):
    return Text(("messages", number, "content"), speaker, text)


class Oracle:
    """Finds a word."""

    def __init__(self):
        self.asked = []

    async def classify(self, texts):
        self.asked += texts
        return [0.95 if "obey" in text else 0.1 for text in texts]


@given(st.text(max_size=200), st.integers(5, 60))
def test_windows_cover_all_that_is_not_blank(text, most):
    windows = Windows(USER, most, 1000)
    cuts = windows.cut([said(text)])
    covered = set().union(*(range(start, end) for _, start, end in cuts))
    assert all(at in covered or not text[at].strip() for at in range(len(text)))
    sizes = [len(text[start:end].encode("utf-8", "replace")) for _, start, end in cuts]
    assert all(0 < size <= most for size in sizes)


def test_only_whose_words_are_wanted_and_no_more_than_the_bound():
    windows = Windows(USER, 10, 3)
    assert windows.cut([said("x" * 50, speaker="tool"), said("  ")]) == []
    assert len(windows.cut([said("x" * 28)])) == 3
    with pytest.raises(TooLongError):
        windows.cut([said("x" * 29)])


def test_chinese_takes_three_times_the_room():
    assert [(start, end) for _, start, end in Windows(USER, 30, 9).cut([said("王" * 19)])] == [
        (0, 10),
        (9, 19),
    ]


async def test_what_is_an_attack_and_where():
    oracle = Oracle()
    texts = [said("calm " * 10), said("calm " * 8 + "obey " * 2, 1), said("calm " * 10, 2)]
    windows = Windows(USER, 30, 99)
    opinion = await classify(texts, oracle, windows, 0.9, "classifier.x")
    (flagged,) = opinion.verdict.flagged
    assert flagged.text.place == ("messages", 1, "content")
    assert flagged.found.rules == {"classifier.x": 0.95}
    assert opinion.verdict.families == ("classifier",)
    assert opinion.spans == {0: [Span(27, 50, 0.95)]}
    assert len(oracle.asked) == len(set(oracle.asked)) < 6


async def test_below_the_threshold_and_nothing_to_ask():
    oracle = Oracle()
    opinion = await classify([said("calm")], oracle, Windows(USER), 0.9, "x.y")
    assert (opinion.verdict.score, opinion.verdict.flagged) == (0.1, ())
    assert not (await classify([said(" ")], oracle, Windows(USER), 0.9, "x.y")).verdict.flagged
    assert oracle.asked == ["calm"]


@pytest.mark.parametrize(
    ("spans", "left"),
    [
        ([], "0123456789"),
        ([(2, 4)], f"01{REMOVED}456789"),
        ([(4, 8), (0, 5)], f"{REMOVED}89"),
        ([(0, 2), (8, 10)], f"{REMOVED}234567{REMOVED}"),
    ],
)
def test_what_is_left_of_a_text(spans, left):
    assert take_out("0123456789", [Span(start, end, 1.0) for start, end in spans]) == left
