"""Special tokens."""

from extproc.counting.specials import any_of, is_clean
from tests.extproc.counting.templates import SPECIALS


def test_tokens_that_can_be_found_wherever_they_stand():
    assert all(is_clean(token, SPECIALS) for token in SPECIALS)
    assert not is_clean("<s>", ["<s>", "<s>x"])
    assert not is_clean("ab", ["ab", "xa"])
    assert not is_clean("aba", ["aba"])
    assert any_of([]) is any_of([""]) is None
    assert any_of(["<s", "<s>"]).findall("<s><s") == ["<s>", "<s"]
