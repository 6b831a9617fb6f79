"""Questions of our own, those that ask the same, and those that only sound alike.

`semantic_pairs/*.txt` has a question in each line, three that ask the same behind it, and behind `#` six
that sound alike and ask something else: another number, name or place, a negation, the opposite, the
other way round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAIRS = Path(__file__).parent / "semantic_pairs"
LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Item:
    alike: Sequence[str]
    """Four questions that ask the same."""
    others: Sequence[str]
    """Six that do not."""


def read_items(language: str) -> Sequence[Item]:
    lines = (PAIRS / f"{language}.txt").read_text().splitlines()
    halves = [line.partition("#")[::2] for line in lines]
    return [Item(split(alike), split(others)) for alike, others in halves]


def split(text: str) -> Sequence[str]:
    return [each.strip() for each in text.split("|")]


def held_out(items: Sequence[Item], *, held: bool) -> Sequence[Item]:
    return items[1::2] if held else items[0::2]
