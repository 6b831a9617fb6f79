"""What must be in a text before a pattern for `words` can be: strings that hyperscan looks for in one pass.

Words that stand side by side are rarer than each of them, so they are one atom, with all their combinations
spelled out. To write them as alternatives one after the other would be shorter, but vectorscan 5.4.12, which
python-hyperscan 0.9.1 brings, does not find all of those: alternatives of whole strings it does.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from extproc.safety.injection.normal import fold
from extproc.safety.injection.rules import GAPS, JOINT, bare, expand, is_optional, split

MOST_SPELLED = 128
"""Strings of an atom. Twice as many take 0.4 s more to compile, and find a fifth fewer candidates."""
NOT_SPELLED: Final = frozenset(".*+{}\\^$")
OPEN: Final = "(?:"


class SpellingError(ValueError):
    """There are too many strings, or no end of them."""


def write_atoms(pattern: str, words: Mapping[str, str]) -> list[str]:
    """Write what must be there, in any order."""
    atoms = [atom for run in split_runs(pattern) for atom in write_run(run, words)]
    return [atom for atom in atoms if not may_be_empty(atom)]


def split_runs(pattern: str) -> Iterator[Sequence[str]]:
    """Cut at gaps. What may be missing at an end of a run is no part of it."""
    run: list[str] = []
    is_ascii = pattern.isascii()
    for token in split(pattern):
        if token in GAPS:
            yield trim(run)
            run = []
            continue
        first, *others = [token] if is_ascii or is_optional(token) else split(token, "~")
        run.append(first)
        for piece in others:
            yield trim(run)
            run = [piece]
    yield trim(run)


def trim(run: Sequence[str]) -> Sequence[str]:
    needed = [number for number, token in enumerate(run) if not is_optional(token)]
    return run[needed[0] : needed[-1] + 1] if needed else ()


def write_run(run: Sequence[str], words: Mapping[str, str]) -> Iterator[str]:
    """Write as few atoms as can be spelled: neighbours are joined as long as they have few combinations."""
    joined: list[str] = []
    written = ""
    for token in run:
        longer = spell_all([*joined, token], words) if joined else ""
        if longer or is_optional(token):
            joined.append(token)
            written = longer or written
            continue
        if joined:
            yield written
        joined, written = [token], write_token(token, words)
    if joined:
        yield written


def spell_all(run: Sequence[str], words: Mapping[str, str]) -> str:
    """Spell tokens that stand side by side; nothing where that cannot be."""
    parts: list[str] = []
    for token in run[:-1]:
        inner = expand(bare(token), words).replace(" ", JOINT) + JOINT
        parts.append(f"(?:{inner})?" if is_optional(token) else inner)
    parts.append(write_token(run[-1], words))
    try:
        return f"(?:{'|'.join(spell(''.join(parts)))})"
    except SpellingError:
        return ""


def write_token(token: str, words: Mapping[str, str]) -> str:
    inner = expand(token, words).replace(" ", JOINT)
    return inner if inner.isascii() else fold(inner)


def may_be_empty(expression: str) -> bool:
    """What is nothing says nothing; what cannot be read is somebody else's to refuse."""
    try:
        return re.fullmatch(expression, "") is not None
    except re.error:
        return False


def spell(expression: str) -> Sequence[str]:
    """List the strings of an expression that has groups, alternatives, `[ab]` and `?` only.

    Raises:
        SpellingError: It has others, or more than `MOST_SPELLED`.
    """
    speller = Speller(expression)
    found = sorted(set(speller.alternatives()))
    if speller.left:
        raise SpellingError(expression)
    return found


class Speller:
    """Reads an expression from its beginning."""

    def __init__(self, expression: str) -> None:
        self.left = expression

    def alternatives(self) -> list[str]:
        found = self._sequence()
        while self.left.startswith("|"):
            self.left = self.left[1:]
            found += self._sequence()
        return found

    def _sequence(self) -> list[str]:
        found = [""]
        while self.left and self.left[0] not in "|)":
            after = self._item()
            if self.left.startswith("?"):
                self.left = self.left[1:]
                after = [*after, ""]
            if len(found) * len(after) > MOST_SPELLED:
                raise SpellingError
            found = [before + each for before in found for each in after]
        return found

    def _item(self) -> list[str]:
        if self.left.startswith(OPEN):
            self.left = self.left[len(OPEN) :]
            inner = self.alternatives()
            if not self.left.startswith(")"):
                raise SpellingError
            self.left = self.left[1:]
            return inner
        if self.left.startswith("["):
            chars, closed, self.left = self.left[1:].partition("]")
            if not closed or not chars.isalnum():
                raise SpellingError
            return list(chars)
        char, self.left = self.left[0], self.left[1:]
        if char in NOT_SPELLED or char == "(":
            raise SpellingError
        return [char]
