"""Whether two questions that sound alike ask the same.

How close two sentence vectors are says what they are about, not what they ask: "how do I turn it on" and
"how do I turn it off" are closer than most paraphrases are. So every word of weight must be in both.
Words that say nothing are left out, words that say the same are taken for one, what is asked for (how,
why, how many, since when) is compared by itself; whatever is left must be equal: numbers, units, names,
negations, comparisons, and in their order, but for words that tell the time. Two languages are never
equal: the answer would be in the wrong one. 20 us for a short question.

It is made to be wrong seldom, and misses much for it: `docs/cache.md` has the figures.
"""

import re
import unicodedata
from functools import lru_cache

import msgspec

from extproc.cache import chinese, english, words

CJK = re.compile(r"[\u3400-\u9fff]")
OTHER = re.compile(r"[\u00b5-\u02af\u0370-\u1fff\u3040-\u30ff\uac00-\ud7af]")
"""Letters of languages that we have no words of: their texts must be equal but for spaces."""
RAISED = re.compile(r"[\u00b2\u00b3\u00b9\u2070-\u2079]+")
"""A power is no other number: NFKC makes `x2` of it."""
DIRECTED = words.DIRECTED | chinese.DIRECTED
HOW = frozenset({"how"})
REMEMBERED = 4096


class Gist(msgspec.Struct, frozen=True):
    """What a question comes down to."""

    language: str
    asks: frozenset[str]
    """What for: `how`, `why`, `many`, ..."""
    words: tuple[str, ...]
    """Everything of weight, in order."""
    times: frozenset[str] = frozenset()
    """`tomorrow` and the like, wherever they stand."""

    def __repr__(self) -> str:
        return "Gist()"


def asks_same(one: str, other: str) -> bool:
    """Say whether both ask the same. In doubt they do not."""
    gists = gist(one), gist(other)
    if gists[0] == gists[1]:
        return bool(gists[0].words)
    return is_turned(*gists)


def is_turned(one: Gist, other: Gist) -> bool:
    """Whether the same phrases come in another order: `in Excel, how do I sort` and `how do I sort in
    Excel`. Nothing may be there that has a direction, so that nobody's names change places."""
    if (one.language, one.asks, one.times) != (other.language, other.asks, other.times):
        return False
    given, turned = list(one.words), list(other.words)
    if len(given) < 3 or len(given) != len(turned) or DIRECTED & {*given}:
        return False
    if one.language != "en" and one.asks != HOW:
        return False
    return any(given[step:] + given[:step] == turned for step in range(1, len(given)))


@lru_cache(REMEMBERED)
def gist(text: str) -> Gist:
    plain = unicodedata.normalize("NFKC", RAISED.sub(r"^\g<0>", text)).strip()
    if CJK.search(plain):
        return Gist("zh", *chinese.reduce(plain))
    if OTHER.search(plain):
        return Gist("?", frozenset(), tuple(plain.casefold().split()))
    return Gist("en", *english.reduce(plain))
