"""English questions, reduced to their words of weight: what is asked for, and what about."""

import re
from collections.abc import Iterable, Mapping

from extproc.cache.words import (
    ASKS,
    CONTRACTED,
    EMPTY,
    NUMBERS,
    OPENINGS,
    PHRASES,
    SAME,
    SHOUTED,
    TIMES,
    WHETHER,
)

TOKEN = re.compile(
    r"(?<!\w)\.\d+|\d+(?:[.,:/-]\d+)*|!(?=[\w=])|[a-z]+(?:['.+#&_/-]+[a-z0-9]+)*[+#]*|[^\s\w.,;:!?\"'`()\[\]{}]|\w+",
    re.IGNORECASE,
)
QUOTED = re.compile(r"\"[^\"]{1,80}\"|`[^`]{1,200}`|\u201c[^\u201d]{1,80}\u201d")
NOT = re.compile(r"n't$")
THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
"""Commas in any other place make another number: `1,5`."""


def groups(text: str) -> Mapping[str, str]:
    """Map each word to the first of its group."""
    found: dict[str, str] = {}
    for line in text.replace("\n", " | ").split("|"):
        words = line.split()
        first = next(
            (found[stem(word)] for word in words if stem(word) in found),
            stem(words[0]) if words else "",
        )
        for word in words:
            found.setdefault(stem(word), first)
    return found


def stem(word: str) -> str:
    """Take the ending off that a plural or a gerund has."""
    if len(word) > 3 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


CANON = groups(SAME)


def compile_phrases(phrases: Iterable[str]) -> re.Pattern[str]:
    longest = sorted(phrases, key=len, reverse=True)
    return re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w-])")


OPENING = re.compile(
    r"(?:" + "|".join(sorted(map(re.escape, OPENINGS), key=len, reverse=True)) + r")\b[\s,:.!-]*"
)
PHRASE = compile_phrases(PHRASES)
SHOUT = re.compile(r"\b[A-Z]{2,3}\b")
SUM = re.compile(r"^(?:how much is|what is|calculate|compute) (?=\d)")
"""Arithmetic; before a word, `how much is` asks for a price."""


def reduce(text: str) -> tuple[frozenset[str], tuple[str, ...], frozenset[str]]:
    """Return what is asked for, the words of weight in order, and the times."""
    quoted = tuple(QUOTED.findall(text))
    plain = QUOTED.sub(" ", text).replace("\u2019", "'")
    if not plain.isupper():
        plain = SHOUT.sub(lambda m: f"name_{m[0]}" if m[0] in SHOUTED else m[0], plain)
    plain = " ".join(map(expand, plain.lower().split()))
    while (opening := OPENING.match(plain)) and opening.end() < len(plain):
        plain = plain[opening.end() :]
    plain = SUM.sub("", plain)
    asks = {"is"} if plain.partition(" ")[0] in WHETHER else set[str]()
    times: set[str] = set()
    words: list[str] = []
    for token in TOKEN.findall(PHRASE.sub(lambda match: PHRASES[match[0]], plain)):
        sort(token.removesuffix("'s"), asks, times, words)
    if "cost" in words:
        words = [word for word in words if word != "cost"]
        asks = {"cost"} | asks - {"howmuch", "what_does"}
    return tidy(asks, times), (*words, *quoted), frozenset(times)


def sort(token: str, asks: set[str], times: set[str], words: list[str]) -> None:
    """Put a token where it belongs."""
    if token in ASKS:
        asks.add(ASKS[token])
    elif token in TIMES:
        times.add(token)
    elif token not in EMPTY:
        words.append(canon(token))


def tidy(asks: set[str], times: set[str]) -> frozenset[str]:
    """Take out what says nothing beside the rest."""
    if asks & {"how", "where_do", "where_find"}:
        asks -= {"may"}
    if asks & {"must", "may", "should", "allowed", "okay", "safe"}:
        asks -= {"is"}
    if "tomorrow" in times:
        asks -= {"future"}
    return frozenset(asks - {"what"})


def expand(word: str) -> str:
    bare = word.strip(",.;:!?")
    if bare in CONTRACTED:
        return word.replace(bare, CONTRACTED[bare])
    return NOT.sub(" not", bare) if bare.endswith("n't") else word


def canon(token: str) -> str:
    if token[0].isdigit():
        return token.replace(",", "") if THOUSANDS.fullmatch(token) else token
    token = token.removesuffix("'s")
    if token in NUMBERS:
        return NUMBERS[token]
    short = stem(token)
    return CANON.get(short, short)
