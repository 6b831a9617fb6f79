r"""Placeholders as models write them.

A model repeats `<EMAIL_KXWQPTZB>`, or nearly so; taken for it are:

    <EMAIL_KXWQPTZB>            as it was sent
    <email_kxwqptzb>            another case, between brackets
    < EMAIL_KXWQPTZB >          a space inside each bracket
    &lt;EMAIL_KXWQPTZB&gt;      brackets as HTML, as JSON escapes, or behind a backslash
    EMAIL_KXWQPTZB              in capitals, without one of the brackets, or both
    EMAIL\_KXWQPTZB             a backslash before an underscore, as in Markdown

with anything around it: quotes, `**`, backticks, `mailto:`. A pair of brackets goes with it; one alone
stays. What follows must be no letter, digit or underscore. All of it is safe: the eight letters are keyed
to one value, so nothing is written by chance that means another one.

The patterns have bounded repeats only. What they cost is linear in the text.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from extproc.safety.masked import TAG_LENGTH, TAG_LETTERS

UNDERSCORE = r"\\{0,4}_"
OPEN = r"(?:<|&lt;|(?<!\\)\\{1,4}(?:<|u003[cC])) ?"
CLOSE = r" ?(?:>|&gt;|\\{1,4}(?:>|u003[eE]))"
OPEN_BEGUN = r"(?:&(?:l(?:t)?)?|(?<!\\)\\{1,4}(?:u(?:0(?:0(?:3)?)?)?)?)"
CLOSE_BEGUN = r" ?(?:&(?:g(?:t)?)?|\\{1,4}(?:u(?:0(?:0(?:3)?)?)?)?)?"
ESCAPE_BEGUN = r"\\u[0-9A-Fa-f]{0,3}"
OUTSIDE_ESCAPE = "".join(rf"(?<!\\u{'[0-9A-Fa-f]' * digits})" for digits in range(4))
"""Capitals may be digits of an escape: the `CA` of `\u00ca`."""
END = r"(?![A-Za-z0-9_])"
TAG = f"[{TAG_LETTERS}]{{{TAG_LENGTH}}}"
ANY_TAG = re.compile(rf"_{TAG}".encode(), re.IGNORECASE)
CAPITALS_END = re.compile(rb'[A-Z_]"')
MOST_FORMS = 256
"""Sets of types that are remembered: a policy has few."""


class Forms:
    """The patterns for the types of one request. Compiling takes 2 ms: see `forms`."""

    def __init__(self, types: Iterable[str]) -> None:
        names = sorted(types, key=len, reverse=True)
        name = f"(?:{'|'.join(pattern_of(each) for each in names)})"
        word = f"{name}{UNDERSCORE}{TAG}"
        begun = f"(?:{'|'.join(begun_pattern(each) for each in names)})"
        half = rf"(?:{begun}|{name}(?:\\{{1,4}}|{UNDERSCORE}[{TAG_LETTERS}]{{0,{TAG_LENGTH}}}))"
        self.whole = re.compile(
            rf"(?P<open>{OPEN})(?P<loose>(?i:{word})){END}(?P<close>{CLOSE})?"
            rf"|{OUTSIDE_ESCAPE}(?P<word>{word}){END}"
        )
        self._tail = re.compile(
            rf"(?:{OPEN}(?i:{half}|{word}{CLOSE_BEGUN})?|{OPEN_BEGUN}|{ESCAPE_BEGUN}"
            rf"|{OUTSIDE_ESCAPE}{half})?\Z"
        )
        self.longest = max(len(each) + 4 * each.count("_") for each in names) + 40
        self._bare_end = re.compile(bare_end_pattern(names))

    def find_tail(self, text: str, start: int) -> int:
        """Say where the end of the text begins that may be the beginning of a placeholder."""
        found = self._tail.search(text, max(start, len(text) - self.longest))
        return found.start() if found else len(text)

    def may_be_in(self, raw: bytes) -> bool:
        """Whether a placeholder, or the beginning of one at the end of a string, may be in this JSON:
        a bracket, an escape that could hide anything, a tag, or the beginning of a name in capitals."""
        return (
            b"<" in raw
            or b"&" in raw
            or self.may_stand(raw)
            or (CAPITALS_END.search(raw) is not None and self._bare_end.search(raw) is not None)
        )

    def may_stand(self, raw: bytes) -> bool:
        """Whether a whole placeholder may be in one of these strings."""
        return b"\\u00" in raw or b"\\\\" in raw or ANY_TAG.search(raw) is not None


@lru_cache(MOST_FORMS)
def forms(types: frozenset[str]) -> Forms:
    return Forms(types)


def pattern_of(name: str) -> str:
    return UNDERSCORE.join(re.escape(part) for part in name.split("_"))


def begun_pattern(name: str) -> str:
    """Match every beginning of it, and all of it."""
    pattern = ""
    for letter in reversed(name):
        inner = f"(?:{pattern})?" if pattern else ""
        if letter == "_":
            pattern = rf"(?:\\{{1,4}}|{UNDERSCORE}{inner})"
        else:
            pattern = re.escape(letter) + inner
    return pattern


def bare_end_pattern(names: Iterable[str]) -> bytes:
    """A string that ends in capitals which could go on as a placeholder. A colon follows no such end:
    that is the name of a member."""
    begun = "|".join(begun_pattern(each) for each in names)
    whole = "|".join(names)
    end = f"(?:{begun}|(?:{whole})_[{TAG_LETTERS}]{{0,{TAG_LENGTH}}})"
    return rf'{end}"(?!\s*+:)'.encode()
