"""Where a text ends with what could go on as a value: what a stream has to hold back, and no more.

Out of each pattern comes one that matches all its beginnings, and the empty text: of `ab|c` it is
`(?:a(?:b)?)?|(?:c)?`. Counts of repeats are left out, which makes it small; it then matches more
than there is, never less.
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import re2

from extproc.safety.pii.engine import framed
from extproc.safety.pii.keys import KEY_PATTERNS
from extproc.safety.pii.normal import make_plain
from extproc.safety.pii.patterns import LOOKALIKE, PATTERNS
from extproc.safety.pii.rules import ALL

TOKEN = re.compile(
    r"(?P<open>\((?:\?(?P<flags>i?)(?P<colon>[:)]))?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<edge>\\[bBAz]|[\^$])"
    r"|(?P<char>\[\^?\]?(?:\\.|[^\]\\])*\]|\\x\{\w+\}|\\x\w\w|\\.|[^\\\[*+?{])"
    r"|(?P<count>(?:[*+?]|\{(?P<least>\d+)(?P<most>,\d*)?\})\??)",
    re.DOTALL,
)
"""What the shipped patterns are written of."""
AUTOMATON_BYTES = 32 << 20
"""What the automaton may take at the very most; with less, re2 cannot have one for all types. After a
thousand values of every type it has 12 MB."""


class Part(NamedTuple):
    """A piece of a pattern, and what matches its beginnings."""

    whole: str
    begun: str


class Openings:
    """Of some types. Compiling takes 30 ms for all of them."""

    def __init__(self, types: AbstractSet[str]) -> None:
        """`types`: `all` are those the shipped patterns find."""
        wanted = [
            each.expression
            for each in (*PATTERNS, *KEY_PATTERNS)
            if each.type != LOOKALIKE and (each.type in types or ALL in types)
        ]
        options = re2.Options()
        options.max_mem = AUTOMATON_BYTES
        options.log_errors = False
        begun = "|".join(begun_pattern(framed(each)) for each in wanted)
        self._tail = re2.compile(rf"(?:{begun})\z", options)

    def find(self, text: str) -> int:
        """Say where the end begins that may be the beginning of a value; the text's length if none
        does. Before the text, nothing of one stands. 2 us in usual text for e-mail and cards, 15 for
        all types, and 0.5 ms where there is nothing but values that nobody has seen yet."""
        plain = None if text.isascii() else make_plain(text)
        raw = f"\n{plain.text if plain else text}".encode(errors="replace")
        found = self._tail.search(raw)
        at = len(raw[1 : found.start()].decode()) if found else 0
        if plain is None:
            return at
        return plain.place(at, at + 1)[0] if at < len(plain.text) else len(text)


def begun_pattern(expression: str) -> str:
    """Match every beginning of what this one matches. Raises: ValueError, for what it cannot read."""
    reading = Reading(expression)
    begun = reading.either().begun
    if not reading.is_over:
        raise ValueError("a bracket that closes is out of place")
    return begun


class Reading:
    """Reads one expression from left to right."""

    def __init__(self, expression: str) -> None:
        self._left = list(tokens(expression))[::-1]

    @property
    def is_over(self) -> bool:
        return not self._left

    def either(self) -> Part:
        """Read branches, up to the end or the bracket that closes them."""
        if self._left and self._left[-1]["colon"] == ")":  # (?i) is for all of them
            self._left.pop()
            return Part(*(f"(?i:{each})" for each in self.either()))
        branches = [self._row()]
        while self._left and self._left[-1]["or"]:
            self._left.pop()
            branches.append(self._row())
        return Part(*(f"(?:{'|'.join(each)})" for each in zip(*branches, strict=True)))

    def _row(self) -> Part:
        parts: list[Part] = []
        while self._left and not (self._left[-1]["or"] or self._left[-1]["close"]):
            parts.append(self._repeated(self._one()))
        return join(parts)

    def _one(self) -> Part:
        token = self._left.pop()
        if token["char"]:
            return Part(token[0], f"(?:{token[0]})?")
        if token["edge"]:  # what follows is not known: whatever it asks for may be there
            return Part("", "")
        if not token["open"] or token["colon"] == ")":
            raise ValueError(f"{token[0]!r} is out of place")
        inner = self.either()
        if not self._left:
            raise ValueError("a bracket is open")
        self._left.pop()
        return Part(*(f"(?i:{each})" for each in inner)) if token["flags"] else inner

    def _repeated(self, part: Part) -> Part:
        if not self._left or not (token := self._left[-1])["count"]:
            return part
        self._left.pop()
        whole, begun = part
        sign, least, most = token[0][0], token["least"], token["most"]
        may_lack = sign in "*?" or least == "0"
        if sign == "?" or (least in ("0", "1") and most in (None, ",1")):
            return Part(f"(?:{whole})?", begun) if may_lack else part
        return Part(f"(?:{whole}){'*' if may_lack else '+'}", f"(?:{whole})*{begun}")


def join(parts: Iterable[Part]) -> Part:
    """One after the other: something of the first, or all of it and something of the others."""
    whole = begun = ""
    for each in reversed(list(parts)):
        whole = each.whole + whole
        begun = f"(?:{each.begun}|{each.whole}{begun})"
    return Part(whole, begun)


def tokens(expression: str) -> Iterable[re.Match[str]]:
    at = 0
    while at < len(expression):
        found = TOKEN.match(expression, at)
        if found is None:
            raise ValueError(f"{expression[at : at + 8]!r} cannot be read")
        yield found
        at = found.end()
