"""The table of letters."""

from extproc.safety.injection.confusables import LATIN, SIMPLE


def test_every_letter_stands_for_one_of_ours():
    assert all(
        len(letter) == 1 and letter.isascii() and letter.islower() for letter in LATIN.values()
    )
    assert not any(chr(code).isascii() for code in LATIN)
    assert len(SIMPLE) > 40
