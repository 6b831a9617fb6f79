"""Texts as rules see them: without case, accents, invisible marks, full widths and doubled spaces.

Character by character, so that a text may come in any pieces. Accents are left out of all that is
compared, words of rules too: `Café` is `cafe`.
"""

import unicodedata
from functools import lru_cache

from extproc.safety.pii.normal import DASH_ONE, UNSEEN_ONE

REMEMBERED = 16_384
"""Characters whose form is remembered: those of a conversation in Chinese are some 3 000."""
SPACES = str.maketrans(dict.fromkeys("\t\n\r\v\f\x1c\x1d\x1e\x1f", " "))


@lru_cache(REMEMBERED)
def fold_char(char: str) -> str:
    if UNSEEN_ONE.match(char):
        return ""
    if char.isspace():
        return " "
    if DASH_ONE.match(char):
        return "-"
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    known = unicodedata.normalize("NFKD", char).casefold()
    bare = "".join(each for each in known if unicodedata.category(each) != "Mn")
    return unicodedata.normalize("NFC", bare)


class Folder:
    """Folds a text that comes in pieces. Costs 0.3 us for a piece in ASCII, 1 us in Chinese."""

    def __init__(self) -> None:
        self._after_space = False

    def feed(self, text: str) -> str:
        if not text:
            return ""
        plain = text.lower().translate(SPACES) if text.isascii() else None
        folded = "".join(map(fold_char, text)) if plain is None else plain
        if self._after_space:
            folded = folded.lstrip(" ")
        while "  " in folded:
            folded = folded.replace("  ", " ")
        if folded:
            self._after_space = folded[-1] == " "
        return folded


def fold(text: str) -> str:
    return Folder().feed(text)


def fold_pattern(pattern: str) -> str:
    """Fold what a pattern says literally; its syntax is ASCII, and it minds no case anyway."""
    return "".join(each if each.isascii() else fold_char(each) for each in pattern)
