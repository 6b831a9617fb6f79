"""Texts as rules see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.moderation.fold import Folder, fold, fold_char, fold_pattern


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Pipe BOMB", "pipe bomb"),
        ("pipe\n\t bomb", "pipe bomb"),
        ("Café Ärger ﬁne", "cafe arger fine"),
        ("\uff4b\uff49\uff4c\uff4c", "kill"),
        ("k\u200bi\u00adll", "kill"),
        ("炸弹　装置", "炸弹 装置"),
        ("폭탄", "폭탄"),
        ("kill\u2014er", "kill-er"),
        ("Straße", "strasse"),
        ("\ud83d", "\ufffd"),
        ("", ""),
    ],
)
def test_fold(text, folded):
    assert fold(text) == folded


@given(st.lists(st.text(st.characters() | st.sampled_from(" \n\u200bé\uff2b炸\ud800"))))
def test_a_text_may_come_in_any_pieces(pieces):
    folder = Folder()
    assert "".join(map(folder.feed, pieces)) == fold("".join(pieces))


def test_the_syntax_of_a_pattern_stays():
    assert fold_pattern("É\\W{1,3}\uff2b") == r"e\W{1,3}k"


def test_every_character_is_folded_as_it_is_alone():
    """What is done to whole texts, because it is faster, is what each character says."""
    whole = "x".join(map(chr, range(0x20000)))
    assert Folder().feed(whole) == "x".join(
        fold_char.__wrapped__(chr(code)) for code in range(0x20000)
    )
