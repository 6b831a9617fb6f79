"""A text as a person reads it, in the letters that rules are written in.

Two views are made of it. `shown` has small Latin letters where there are letters that look like them,
no accents, nothing invisible. `words` is that with a space for all that stands between words, and a
full stop where a sentence ends: rules for what is said read this one.
"""

import re
import string
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from extproc.safety.injection.confusables import LATIN, SIMPLE

JOINERS = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
TAGS = "\U000e0000-\U000e007f"
"""Invisible twins of ASCII, for flags: nothing else is written with them."""

UNSEEN = re.compile(f"[{JOINERS}{SELECTORS}{TAGS}]+")
TAG_RUN = re.compile(f"[{TAGS}]{{4,}}")
FLAG = "\U0001f3f4"
"""What tag characters stand behind when they are part of a flag."""
LONGEST_FLAG = 8
SPLIT_WORD = re.compile(f"[A-Za-z][{JOINERS}{SELECTORS}]{{1,8}}[A-Za-z]")
OVERRIDE = re.compile("[\u202d\u202e]")
SELECTED = re.compile(f"[{SELECTORS}]{{4,}}")
ACCENTS = re.compile("[\u0300-\u036f]+")
INLINE = re.compile(r"</?(?:b|i|u|s|em|strong|span|font|small|mark|wbr|a|sub|sup) ?/?>")
"""What may stand inside a word and is not seen when it is shown; so may stars and tildes."""
LIGATURES = re.compile("[\ufdfa\ufdfb]")
"""Whole phrases in one character, which NFKD writes out: a megabyte would become six."""

_LOOKALIKE = "".join(sorted({re.escape(chr(code)) for code in LATIN}))
LOOKALIKE = re.compile(f"[{_LOOKALIKE}]")
MIXED = re.compile(f"[a-z][{_LOOKALIKE}]|[{_LOOKALIKE}][a-z]")

_QUOTES = '"`\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d\u300e\u300f\u2018\u2019'
_STOPS = ".!?;\u3002\uff1f\uff01\u061f"
_GAPS = "".join(set(string.punctuation) - set(_QUOTES) - set(_STOPS) - {"'"}) + "\t\r\n\v\f\0"
_WIDE = {
    **dict.fromkeys(
        "\u3001\uff0c\uff1a\u2026\u2014\u2013\u00b7\u2022\u3000\u2028\u2029\u1680\x85", " "
    ),
    **dict.fromkeys((each for each in _STOPS if not each.isascii()), "."),
    **dict.fromkeys((each for each in _QUOTES if not each.isascii()), '"'),
}
WIDE: Mapping[str, str] = MappingProxyType(_WIDE)
_ASCII = {
    **dict.fromkeys(_GAPS + "".join(map(chr, range(32))), " "),
    **dict.fromkeys((each for each in _STOPS if each.isascii()), "."),
    **dict.fromkeys((each for each in _QUOTES if each.isascii()), '"'),
}
ASCII = bytes(ord(_ASCII.get(chr(code), chr(code))) if code < 128 else code for code in range(256))
"""For `bytes.translate`: ten times as fast as that of texts."""
CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
UNSPACED = re.compile(f"[{CJK}\u1100-\u11ff]")
"""Or parts of such a syllable."""
LOOSE = re.compile(f" (?<=[{CJK}] )(?=[{CJK}])")
"""It begins with what is rare in such scripts: that is searched for fastest."""
ASCII_ALL = bytes(range(128))


class Normal(msgspec.Struct, frozen=True):
    shown: str
    words: str
    folded: str = ""
    """`words` with every letter that looks Latin made so; where words mix them with Latin ones."""
    smuggled: str = ""
    """What tag characters spell."""
    signals: Mapping[str, int] = {}
    """How often it does what only somebody who hides something does."""


def normalise(text: str) -> Normal:
    """Linear; other scripts than ASCII cost more."""
    if text.isascii():
        shown = open_words(text).lower()
        return Normal(shown, to_words(shown))
    try:
        strange = find_strange(text)
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        strange = find_strange(text)
    found: dict[str, int] = {}
    smuggled = ""
    if UNSEEN.search(strange):
        smuggled = read_tags(text)
        found = count_unseen(text, smuggled)
        text = UNSEEN.sub("", text)
    if LIGATURES.search(strange):
        text = LIGATURES.sub(" ", text)
    forms = find_forms(strange)
    shown = fold_by(open_words(text), forms)
    mixed = len(MIXED.findall(shown)) if LOOKALIKE.search(forms) else 0
    words = to_words(shown, forms)
    if mixed:
        found["mixed"] = mixed
    return Normal(shown, words, words.translate(LATIN) if mixed else "", smuggled, found)


def find_strange(text: str) -> str:
    """Return each character that is not ASCII, once: to look for one of a kind there takes no time.
    Raises: UnicodeEncodeError."""
    return "".join(set(text.encode().translate(None, ASCII_ALL).decode()))


def find_forms(strange: str) -> str:
    """Return what these characters may become when they are folded, and more. Apart from each other,
    for some have another form at the end of a word."""
    return unicodedata.normalize("NFKD", " ".join(strange)).lower()


def count_unseen(text: str, smuggled: str) -> dict[str, int]:
    """Count what writers have no need of."""
    signals = {
        "hidden": len(SPLIT_WORD.findall(text)) + len(SELECTED.findall(text)),
        "tags": len(smuggled),
        "bidi": len(OVERRIDE.findall(text)),
    }
    return {name: count for name, count in signals.items() if count}


def fold(text: str) -> str:
    """Small letters without accents, compatible forms as their plain ones, simplified Chinese."""
    return text.lower() if text.isascii() else fold_by(text, find_forms(find_strange(text)))


def fold_by(text: str, forms: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    if ACCENTS.search(forms):
        plain = ACCENTS.sub("", plain)
    return exchange(unicodedata.normalize("NFKC", plain).lower(), forms, SIMPLE)


def exchange(text: str, forms: str, table: Mapping[str, str]) -> str:
    """Put others in place of the characters of a table that are there. Of the new ones none is in it."""
    for char in forms:
        if char in table:
            text = text.replace(char, table[char])
    return text


def open_words(text: str) -> str:
    """Take out marks that stand inside words."""
    bare = INLINE.sub("", text) if "<" in text else text
    return bare.replace("*", "").replace("~", "")


def to_words(shown: str, forms: str = "") -> str:
    """`forms` are what may be in it beside ASCII."""
    shown = exchange(shown, forms, WIDE)
    raw = shown.encode(errors="replace").translate(ASCII, delete=b"'")
    words = b" ".join(raw.replace(b".", b". ").replace(b'"', b' " ').split()).decode()
    return LOOSE.sub("", words) if UNSPACED.search(forms) else words


def read_tags(text: str) -> str:
    """Read what is written in tag characters; flags are none."""
    found: list[str] = []
    for run in TAG_RUN.finditer(text):
        is_flag = text[run.start() - 1 : run.start()] == FLAG and len(run[0]) <= LONGEST_FLAG
        if not is_flag:
            found.append("".join(chr(ord(char) - 0xE0000) for char in run[0]))
    return " ".join(found)
