"""Cutting a long text where every vocabulary of `SPLITS` cuts it anyway, so that the pieces have as
many tokens as the whole.

Two such places. Before a single space or Chinese comma, stop or enumeration mark between two
letters or digits: what stands before it ends a word, and it is the first character of the next
one, or a word of its own. And after a line end that follows something other than white space, before
a letter or digit: no word has a line end in its middle. Neither piece's words depend on what stands
in the other: the only expression that looks ahead is about white space before the end, and there
is none, or one line end, which is a word either way.

"Letter" is narrower here than in Unicode, so that no two tables of characters can disagree.
"""

import re
from collections.abc import Iterator

LETTER = "[A-Za-z0-9\u4e00-\u9fff]"
CUT = re.compile(rf"{LETTER}(?=[ \uff0c\u3002\u3001]{LETTER})|\S\n(?={LETTER})")
PIECE_CHARS = 65_536
"""A few milliseconds of counting: small enough to take turns, large enough that a cut costs nothing."""
SEARCH_CHARS = 4_096
"""How far a place is looked for at a time, so that other threads get their turn."""


def cut(text: str, size: int = PIECE_CHARS) -> Iterator[str]:
    """Cut into pieces of about `size` characters; larger ones where there is no place to cut."""
    start, length = 0, len(text)
    while length - start > size + SEARCH_CHARS:
        end = find_cut(text, start + size)
        if end is None:
            break
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def find_cut(text: str, begin: int) -> int | None:
    """Find the first place at or after `begin`. None: there is none."""
    while begin < len(text):
        # Two characters more: where a match may look.
        found = CUT.search(text, begin, begin + SEARCH_CHARS + 2)
        if found:
            return found.end()
        begin += SEARCH_CHARS
    return None
