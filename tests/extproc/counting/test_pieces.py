"""Cutting a text changes no count."""

from functools import cache

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.patterns import PATTERNS, SPLITS
from extproc.counting.pieces import SEARCH_CHARS, cut
from extproc.counting.tokenizer import TiktokenTokenizer
from tests.extproc.counting.vocabularies import ENGLISH, QWEN, qwen

ODD = st.sampled_from(
    [*"ab A中。\uff0c、\n\r\t'\u2019s é\u0301\u0085\x1c\u200b1٣/.-_\U0001f642", "  ", " \n", "'s ", "\r\n", "字\uff0c字", "a b", "1 2", "12 a"]
)  # fmt: skip
TEXTS = st.lists(ODD, max_size=60).map("".join)


def in_pieces(tokenizer, text, size):
    pieces = list(cut(text, size))
    assert "".join(pieces) == text
    return sum(tokenizer.count(piece) for piece in pieces)


@cache
def bytes_only(pattern):
    """Every word is as many tokens as it has bytes, but for words of two: those are one. So a word
    that is cut in two shows."""
    pairs = {bytes([a, b]): 256 + a * 256 + b for a in range(256) for b in range(256)}
    ranks = {**{bytes([n]): n for n in range(256)}, **pairs}
    return tiktoken.Encoding("bytes", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


@pytest.mark.parametrize("pattern", sorted(SPLITS))
@settings(deadline=None)
@given(text=TEXTS, size=st.integers(0, 6))
def test_words_stay_whole(pattern, text, size):
    encoding = bytes_only(pattern)
    begin = 0
    whole = encoding.encode_ordinary(text)
    parts = []
    while begin < len(text):
        piece = next(cut_small(text[begin:], size))
        parts += encoding.encode_ordinary(piece)
        begin += len(piece)
    assert parts == whole


def cut_small(text, size):
    """As `cut` does, but without the room it leaves for searching: short texts are cut too."""
    padding = "\n" * (SEARCH_CHARS + size + 1)
    pieces = list(cut(text + padding, size))
    first = pieces[0] if len(pieces) > 1 else text
    yield first if len(first) <= len(text) else text


@pytest.mark.parametrize("name", PATTERNS)
def test_prose_in_every_size(name):
    tokenizer = TiktokenTokenizer(QWEN, name)
    text = (
        ENGLISH + "人工智能正在改变我们的生活\uff0c从语音助手到自动驾驶。研究人员认为、企业也是\n"
    ) * 3
    whole = tokenizer.count(text)
    assert all(in_pieces(tokenizer, text, size) == whole for size in (1, 100, 5_000, 60_000))


def test_a_text_without_a_place_stays_whole():
    for text in ("", "x", "x" * 50_000, " " * 50_000, "1, 2; " * 20_000):
        assert list(cut(text, 100)) == [text]


def test_pieces_are_of_about_the_size():
    pieces = list(cut("four char word " * 10_000, 1_000))
    assert len(pieces) > 100
    assert all(len(piece) < 1_100 for piece in pieces[:-1])
    assert qwen().cuts
