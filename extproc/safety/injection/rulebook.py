"""Rules, compiled. Hyperscan tells in one pass which patterns may be in a block of text, by the words that each
of them needs; re2 then says whether and where. Both take linear time, and no block has many candidates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import islice

import hyperscan
import msgspec
import re2

from extproc.dialects.textual import Speaker
from extproc.safety.expressions import Expressions
from extproc.safety.injection.atoms import write_atoms
from extproc.safety.injection.rules import (
    Cue,
    Rule,
    Shipped,
    Signal,
    View,
    read_shipped,
    split,
    write_expression,
)

WINDOW_BYTES, STEP_BYTES = 1024, 768
"""No pattern for words reaches over 256 bytes in what people write."""
BLOCK_WINDOWS = 4
"""What one pass goes through. Each costs 15 us whatever is in it; in longer ones too many patterns may be."""
MOST_IN_WINDOW = 8
"""Places of one pattern that are looked at in a window."""
SQUEEZED_SCORE = 0.6
"""Weaker rules say nothing where words cannot be told apart."""
RE2_BYTES = 8 << 20


class Hit(msgspec.Struct, frozen=True):
    """A pattern at a place, in bytes of the view."""

    source: Rule | Cue
    start: int
    end: int


@dataclass(frozen=True)
class Pattern:
    """One of a rule or cue."""

    source: Rule | Cue
    expression: str
    atoms: Sequence[str]
    """What must be there; empty where hyperscan looks for the whole."""
    squeezed: str = ""

    @cached_property
    def regexp(self) -> "re2.Regexp":
        """Compiled when it is first needed: most never are. Raises: re2.error."""
        return compile_re2(self.expression)

    @cached_property
    def squeezed_regexp(self) -> "re2.Regexp":
        return compile_re2(self.squeezed)

    def find(self, raw: bytes, start: int, end: int) -> Iterator[Hit]:
        for _ in range(MOST_IN_WINDOW):
            found = self.regexp.search(raw, start, end)
            if found is None:
                return
            yield Hit(self.source, found.start(), found.end())
            start = max(found.end(), found.start() + 1)


def compile_re2(expression: str) -> "re2.Regexp":
    options = re2.Options()
    options.max_mem = RE2_BYTES
    options.log_errors = False
    return re2.compile(f"(?s){expression}", options)


class Scanner:
    """The patterns of one view. Any thread may use it."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        """Raises: hyperscan.error."""
        self.patterns = patterns
        self._atoms = Expressions(*write_expressions(patterns)) if patterns else None

    def find(self, raw: bytes, speaker: Speaker) -> Iterator[Hit]:
        """Find all that concerns this speaker, in the order of windows. What stands in two comes once."""
        last: dict[int, int] = {}
        for block in blocks(raw):
            first = self._confirmed(raw, block, speaker)
            for start, end in block if first else ():
                for index, at in first.items():
                    if at >= end:
                        continue
                    for hit in self.patterns[index].find(raw, start, end):
                        if hit.start >= last.get(index, 0):
                            last[index] = hit.end
                            yield hit

    def _confirmed(
        self, raw: bytes, block: Sequence[tuple[int, int]], speaker: Speaker
    ) -> Mapping[int, int]:
        """Say which patterns are in a block, and from where on."""
        start, end = block[0][0], block[-1][1]
        found: dict[int, int] = {}
        for index in self.candidates(raw[start:end]):
            pattern = self.patterns[index]
            if speaker not in pattern.source.speakers:
                continue
            if len(block) == 1:
                found[index] = start
            elif (match := pattern.regexp.search(raw, start, end)) is not None:
                found[index] = match.start()
        return found

    def candidates(self, block: bytes) -> list[int]:
        """Say which patterns may be there, by index."""
        if self._atoms is None:
            return []
        seen: list[int] = []

        def note(index: int, _start: int, _end: int, _flags: int, _: object) -> None:
            seen.append(index)

        self._atoms.scan(block, note)
        return sorted(seen)


def write_expressions(patterns: Sequence[Pattern]) -> tuple[list[bytes], list[int], list[int]]:
    """Write what is looked for, as `Expressions` takes it: the atoms, silently, and for each pattern, by its
    index, that all of its atoms are there."""
    expressions: list[bytes] = []
    ids: list[int] = []
    flags: list[int] = []
    atoms: dict[str, int] = {}
    for pattern in patterns:
        for atom in pattern.atoms:
            if atom not in atoms:
                atoms[atom] = len(patterns) + len(atoms)
                expressions.append(atom.encode())
                ids.append(atoms[atom])
                flags.append(hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_QUIET | utf8(atom))
    for index, pattern in enumerate(patterns):
        ids.append(index)
        if pattern.atoms:
            needed = [str(atoms[atom]) for atom in pattern.atoms]
            # One alone is no combination to hyperscan.
            expressions.append(" & ".join(needed if len(needed) > 1 else needed * 2).encode())
            flags.append(hyperscan.HS_FLAG_COMBINATION | hyperscan.HS_FLAG_SINGLEMATCH)
        else:
            expressions.append(pattern.expression.encode())
            once = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_PREFILTER
            flags.append(once | hyperscan.HS_FLAG_DOTALL | utf8(pattern.expression))
    return expressions, flags, ids


def utf8(expression: str) -> int:
    return 0 if expression.isascii() else hyperscan.HS_FLAG_UTF8


def blocks(raw: bytes) -> Iterator[Sequence[tuple[int, int]]]:
    """Join windows that are looked at together."""
    left = windows(raw)
    while block := list(islice(left, BLOCK_WINDOWS)):
        yield block


def windows(raw: bytes) -> Iterator[tuple[int, int]]:
    """Cut between characters."""
    start = 0
    while True:
        end = min(len(raw), start + WINDOW_BYTES)
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end += 1
        yield start, end
        if end == len(raw):
            return
        start += STEP_BYTES
        while raw[start] & 0xC0 == 0x80:
            start += 1


@dataclass(frozen=True)
class Rulebook:
    """Rules that are compiled together."""

    version: str
    """As it is written, and a digest of the rules."""
    words: Scanner
    shown: Scanner
    signals: Sequence[Signal]
    squeezed: Sequence[Pattern]


def make_rulebook(shipped: Shipped) -> Rulebook:
    """Compile. The shipped rules take 0.7 s, most of it hyperscan's. Raises: hyperscan.error."""
    patterns: dict[View, list[Pattern]] = {"words": [], "shown": []}
    sources: list[Rule | Cue] = [*shipped.rules, *shipped.cues]
    for each in sources:
        view: View = (each.view or "words") if isinstance(each, Rule) else "words"
        patterns[view] += [make_pattern(each, text, view, shipped.words) for text in each.patterns]
    return Rulebook(
        f"{shipped.version}-{sha256(msgspec.json.encode(shipped)).hexdigest()[:8]}",
        Scanner(patterns["words"]),
        Scanner(patterns["shown"]),
        shipped.signals,
        [each for each in patterns["words"] if each.squeezed],
    )


def make_own(rules: Sequence[Rule]) -> Rulebook:
    """Compile rules that an operator has written, with the shipped words. Raises: ValueError."""
    words = shipped_rules().words
    for rule in rules:
        for text in rule.patterns:
            if rule.view != "shown" and len(split(text, "|")) > 1:  # of all before and all behind?
                raise ValueError(f"{text!r}: alternatives stand in parentheses")
            try:
                pattern = make_pattern(rule, text, rule.view or "words", words)
                pattern.regexp.search(b"")
                Scanner([pattern])
            except (re2.error, hyperscan.error, ValueError) as exc:
                said = exc.args[0].decode() if isinstance(exc.args[0], bytes) else str(exc)
                raise ValueError(f"{text!r}: {said}") from None
    return make_rulebook(Shipped("own", words, rules, (), ()))


def rule_ids(shipped: Shipped) -> frozenset[str]:
    """Name all that can be switched off."""
    named: list[Rule | Signal | Cue] = [*shipped.rules, *shipped.signals, *shipped.cues]
    return frozenset(each.id for each in named)


def make_pattern(source: Rule | Cue, text: str, view: View, words: Mapping[str, str]) -> Pattern:
    if view == "shown":
        return Pattern(source, text, source.needs if isinstance(source, Rule) else ())
    strong = isinstance(source, Rule) and source.score >= SQUEEZED_SCORE
    squeezed = write_expression(text, words, squeezed=True) if strong else ""
    return Pattern(source, write_expression(text, words), write_atoms(text, words), squeezed)


@lru_cache(1)
def shipped_rules() -> Shipped:
    return read_shipped()


@lru_cache(1)
def shipped_rulebook() -> Rulebook:
    """Compiled once in a process."""
    return make_rulebook(shipped_rules())
