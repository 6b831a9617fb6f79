"""A tenant's own patterns and words, beside the shipped ones.

Patterns are in re2's syntax, which has no backtracking: linear whatever they are. They are looked for in
one text at a time, all at once, and where one is found, it runs alone. Words are looked for in all texts at
once by hyperscan.
"""

from collections.abc import Iterator, Sequence

import hyperscan
import re2

from extproc.safety.expressions import Expressions, FloodError

MOST_EXPRESSION = 1_000
"""Characters of a pattern."""
MOST_PROGRAM = 10_000
"""Instructions that re2 makes of a pattern: `(\\w{1,100}){1,10}` has 4 000."""
MOST_PATTERNS = 100
MOST_WORDS = 10_000
"""Of all dictionaries of a policy: 0.3 s to compile, 25 MB while that lasts, 1.3 MB afterwards."""
MOST_WORD = 128
"""Characters."""
PATTERN_BYTES = 2 << 20
"""Memory that one pattern may take: compiled, and while it runs. re2 starts its automata anew then."""
SET_BYTES = 16 << 20
OWN_RANK = 25
"""Above forms, below checksums."""


class OwnError(ValueError):
    """A pattern or a word cannot be used. The message says why."""


def check_expression(expression: str) -> None:
    """Raises: OwnError."""
    if len(expression) > MOST_EXPRESSION:
        raise OwnError(f"is longer than {MOST_EXPRESSION} characters")
    compiled = compile_own(expression)
    if compiled.programsize > MOST_PROGRAM:
        raise OwnError("is too large: repeat less")
    if compiled.search(b"") is not None:
        raise OwnError("matches nothing at all, which is everywhere")


def compile_own(expression: str) -> "re2.Regexp":
    """Raises: OwnError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_BYTES
    try:
        return re2.compile(expression, options)
    except re2.error as exc:
        said = exc.args[0] if exc.args else ""
        raise OwnError(f"is no re2 pattern: {as_text(said)}") from None


def as_text(said: object) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def check_word(word: str) -> None:
    """Raises: OwnError."""
    if not word.strip() or len(word) > MOST_WORD or not word.isprintable():
        raise OwnError(f"is no word of 1 to {MOST_WORD} characters")


class Own:
    """Compiled once for a policy."""

    def __init__(
        self,
        expressions: Sequence[tuple[str, str]],
        words: Sequence[tuple[str, str, bool]],
    ) -> None:
        """Patterns by type; words by type, and whether their case counts. Raises: OwnError."""
        self._patterns = [(kind, compile_own(expression)) for kind, expression in expressions]
        options = re2.Options()
        options.max_mem = SET_BYTES
        self._set = re2.Set.SearchSet(options)
        for _, expression in expressions:
            self._set.Add(expression)
        self._set.Compile()
        self._words = Words(words) if words else None

    def find(self, raw: bytes, bounds: Sequence[tuple[int, int]], most: int) -> Iterator["Hit"]:
        """Find all in a buffer in which the texts stand at `bounds`."""
        if self._patterns:
            for start, end in bounds:
                yield from self._find_in(raw[start:end], start)
        if self._words:
            yield from self._words.find(raw, most)

    def _find_in(self, text: bytes, offset: int) -> Iterator["Hit"]:
        for index in self._set.Match(text) or ():
            kind, regex = self._patterns[index]
            at = 0
            while at <= len(text) and (match := regex.search(text, at)) is not None:
                start, end = match.span(1 if regex.groups else 0)
                if end > start >= 0:
                    yield (offset + start, offset + end), kind
                at = max(match.end(), match.start() + 1)


Hit = tuple[tuple[int, int], str]


class Words:
    """Dictionaries. A word stands alone where it begins or ends with an ASCII letter or digit: `Ann` is
    not in `Annual`."""

    def __init__(self, words: Sequence[tuple[str, str, bool]]) -> None:
        self._words = [(word.encode(), kind) for kind, word, _ in words]
        flags = [0 if minds_case else hyperscan.HS_FLAG_CASELESS for _, _, minds_case in words]
        self._expressions = Expressions([escape(word) for word, _ in self._words], flags)

    def find(self, raw: bytes, most: int) -> Iterator[Hit]:
        """Raises: FloodError when there are more than `most`."""
        events: list[tuple[int, int]] = []

        def note(index: int, _start: int, end: int, _flags: int, _: object) -> bool:
            events.append((index, end))
            return len(events) > most

        if not self._expressions.scan(raw, note):
            raise FloodError("too many words of the policy in one text")
        for index, end in events:
            word, kind = self._words[index]
            start = end - len(word)
            if stands_alone(raw, start, end):
                yield (start, end), kind


def escape(word: bytes) -> bytes:
    """Write bytes as an expression."""
    return b"".join(b"\\x%02x" % byte for byte in word)


def stands_alone(raw: bytes, start: int, end: int) -> bool:
    if raw[start : start + 1].isalnum() and raw[start - 1 : start].isalnum():
        return False
    return not (raw[end - 1 : end].isalnum() and raw[end : end + 1].isalnum())
