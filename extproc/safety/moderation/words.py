"""Words and patterns of rules, found in a text that comes in pieces.

A `Reader` keeps the end of what it has read, as long as the longest match may be, so that a match is
found by whichever piece completes it. Cost of a piece: 5 us.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec

from extproc.safety.moderation.fold import Folder, fold, fold_pattern
from extproc.safety.moderation.rules import Rule
from extproc.safety.pii.own import Own, OwnError, check_expression

MOST_MATCHES = 200_000
"""In one piece of text."""
MOST_REACH = 512
"""Characters of the longest match of a pattern."""
ANCHOR = re.compile(r"\\A|\\z|\^|\$")
UNANCHORED = re.compile(r"\\[^Az]|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""What can hold no anchor: other escapes, and classes."""
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
HALF_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
UNSPACED = (
    (0x2E80, 0x9FFF),  # radicals, kana, ideographs
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
    (0xAC00, 0xD7AF),  # Hangul
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
)
"""Scripts that part no words by spaces, or hang endings on them."""


class Match(msgspec.Struct, frozen=True):
    """Where a rule has found something, in characters of the folded text."""

    start: int
    end: int
    rule: Rule


Span = tuple[int, int]
"""Bytes."""


class Lexicon:
    """The words and patterns of a policy's rules, compiled. Raises: OwnError."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = {each.name: each for each in rules}
        words = [(f"w{each.name}", fold(word), True) for each in rules for word in each.words]
        patterns = [
            (f"p{each.name}", f"(?i){fold_pattern(text)}")
            for each in rules
            for text in each.patterns
        ]
        self._own = Own(patterns, words)
        self._lengths = {each.name: each.pattern_chars if each.patterns else 0 for each in rules}
        for name, word, _ in words:
            self._lengths[name[1:]] = max(self._lengths[name[1:]], len(word))

    def find(
        self, text: str, wanted: AbstractSet[str], begins_at: int = 0, *, is_over: bool = True
    ) -> list[Match]:
        """Find the first match of each wanted rule, by name, in a folded text; not what begins before
        `begins_at`. Unless it `is_over`, what follows may show that a word goes on: then it does not
        count. Raises: FloodError."""
        raw = text.encode()
        from_byte = len(text[:begins_at].encode())
        first: dict[str, Span] = {}
        for span, name in self._own.find(raw, [(0, len(raw))], MOST_MATCHES):
            rule = name[1:]
            if rule not in wanted or span[0] < from_byte:
                continue
            if rule in first and first[rule][0] <= span[0]:
                continue
            least = 0 if name[0] == "w" else self._rules[rule].pattern_chars
            if (least or stands_alone(raw, *span)) and (is_over or is_certain(raw, *span, least)):
                first[rule] = span
        return [
            Match(*count(raw, *span), self._rules[rule]) for rule, span in sorted(first.items())
        ]

    def read(self, text: str, wanted: AbstractSet[str]) -> list[Rule]:
        """Name the rules that have something against a whole text, each once. Raises: FloodError."""
        return [each.rule for each in self.find(fold(text), wanted)] if text else []

    def reach(self, wanted: AbstractSet[str]) -> int:
        """Say how long the longest match of these rules may be, and one character more: that says
        whether a word ends."""
        return max((self._lengths[name] for name in wanted), default=0) + 1


def check_pattern(pattern: str) -> None:
    """Raises: OwnError, for one that makes no sense where texts come in pieces, too."""
    check_expression(f"(?i){fold_pattern(pattern)}")
    if ANCHOR.search(UNANCHORED.sub("", pattern)):
        raise OwnError("has an anchor: in a stream there is no beginning and no end")


def count(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Bytes -> characters."""
    at = len(raw[:start].decode())
    return at, at + len(raw[start:end].decode())


def stands_alone(raw: bytes, start: int, end: int) -> bool:
    """Whether no letter goes on where a word ends: for scripts that part words by spaces."""
    before = goes_on(char_before(raw, start)) and goes_on(char_at(raw, start))
    after = goes_on(char_at(raw, end)) and goes_on(char_before(raw, end))
    return not (before or after)


def is_certain(raw: bytes, start: int, end: int, least: int) -> bool:
    """Whether nothing that follows could show that a word goes on. A pattern's match of at least so many
    characters counts anyway."""
    if end < len(raw) or not goes_on(char_before(raw, end)):
        return True
    return 0 < least <= len(raw[start:end].decode())


def char_before(raw: bytes, at: int) -> str:
    return raw[max(0, at - 4) : at].decode(errors="ignore")[-1:]


def char_at(raw: bytes, at: int) -> str:
    return raw[at : at + 4].decode(errors="ignore")[:1]


def goes_on(char: str) -> bool:
    """Whether it is part of a word; nothing is not."""
    if char.isascii():
        return char.isalnum()
    code = ord(char)
    return char.isalnum() and not any(first <= code <= last for first, last in UNSPACED)


def unescape(text: str) -> str:
    """Read JSON escapes, well enough to look for words."""
    return ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else SHORT.get(m[2], m[2]), text)


SHORT = {"n": " ", "t": " ", "r": " ", "b": " ", "f": " "}


class Reader:
    """Reads one text. Positions are counted in its folded characters, from its beginning."""

    def __init__(
        self, lexicon: Lexicon, wanted: AbstractSet[str], reach: int, *, is_json: bool = False
    ) -> None:
        """`reach` is the lexicon's, for these rules. `is_json`: the text is JSON itself."""
        self._lexicon = lexicon
        self._wanted = wanted
        self._reach = reach
        self._is_json = is_json
        self._folder = Folder()
        self._half = ""
        self._text = ""
        """The end of it, and one character more, which says whether a word begins."""
        self._from = 0
        """Where `_text` begins."""

    @property
    def length(self) -> int:
        return self._from + len(self._text)

    @property
    def clear(self) -> int:
        """Nothing that could still be found begins before this."""
        return max(0, self.length - self._reach + 1)

    def feed(self, text: str) -> list[Match]:
        """Read on. Return what is certain now, some of it perhaps again. Raises: FloodError."""
        folded = self._folder.feed(self._unescape(text) if self._is_json else text)
        if not folded:
            return []
        self._text += folded
        found = self._find(is_over=False)
        surplus = len(self._text) - self._reach - 1
        if surplus > 0:
            self._text, self._from = self._text[surplus:], self._from + surplus
        return found

    def finish(self) -> list[Match]:
        """Say what is certain because nothing follows."""
        return self._find(is_over=True)

    def _unescape(self, text: str) -> str:
        text = self._half + text
        begun = HALF_ESCAPE.search(text)
        # A backslash is half an escape only if no other one escapes it.
        if begun and (begun.start() - len(text[: begun.start()].rstrip("\\"))) % 2 == 0:
            text, self._half = text[: begun.start()], text[begun.start() :]
        else:
            self._half = ""
        return unescape(text)

    def _find(self, *, is_over: bool) -> list[Match]:
        begins_at = 1 if self._from else 0
        found = self._lexicon.find(self._text, self._wanted, begins_at, is_over=is_over)
        return [Match(each.start + self._from, each.end + self._from, each.rule) for each in found]
