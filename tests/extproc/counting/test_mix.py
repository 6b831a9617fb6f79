"""Scripts of a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.mix import CHUNK_CHARS, Mix, scan


def plainly(text):
    """The same, one character at a time."""
    found = [0, 0, 0, 0]
    for char in text:
        if char.isascii():
            found[0 if char.isalpha() or char == " " else 1] += 1
        elif 0x3000 <= ord(char) < 0xE000 or 0xF000 <= ord(char) <= 0xFFFF:
            found[2] += 1
        else:
            found[3] += 1
    return tuple(found)


CHARS = st.characters(codec="utf-8") | st.sampled_from("ab 1\n中\uff0cñж\ue000\uff0c\U0001f642")


@settings(deadline=None)
@given(st.text(CHARS, max_size=200))
def test_every_character_is_counted_once(text):
    mix = scan(text, 3)
    assert mix.counts() == plainly(text)
    assert sum(mix.counts()) == len(text)
    assert mix.messages == 3


@pytest.mark.parametrize("text", ["word 1\n", "中文 abc é🙂\n"])
def test_long_texts_are_scanned_in_parts(text):
    long = text * (CHUNK_CHARS // 3)
    times = CHUNK_CHARS // 3
    assert scan(long).counts() == tuple(times * count for count in scan(text).counts())


def test_half_a_character_is_no_crash():
    assert sum(scan("a\ud800b").counts()) == 3


@settings(deadline=None)
@given(st.builds(Mix, *[st.integers(0, 2**24)] * 5))
def test_it_travels_as_text(mix):
    assert Mix.decode(mix.encode()) == mix
    assert len(mix.encode()) <= 45


@pytest.mark.parametrize(
    "text", ["", "1 2 3 4", "1 2 3 4 5 6", "1 2 3 4 x", "1 2 3 4 -5", "1 2 3 4 ٣"]
)
def test_what_is_something_else(text):
    assert Mix.decode(text) is None
