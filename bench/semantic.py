"""How often the semantic cache hits, and how often wrongly.

    python -m bench.semantic

`semantic_pairs/*.txt` has a question in each line, three that ask the same behind it, and behind `#` six
that sound alike and ask something else: another number, name or place, a negation, the opposite, the
other way round. Every second line was never looked at while the guard was written: its figures count.

A look-up that should hit is any of four questions that ask the same, when another of them was asked
before; one that must not hit is any of them against any of the six.
"""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from extproc.cache.embedding import Embedded
from extproc.cache.guard import asks_same

PAIRS = Path(__file__).parent / "semantic_pairs"
LANGUAGES = ("en", "zh")
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
DEFAULT = 0.75


@dataclass(frozen=True, slots=True)
class Item:
    alike: Sequence[str]
    """Four questions that ask the same."""
    others: Sequence[str]
    """Six that do not."""


@dataclass(frozen=True, slots=True)
class Pair:
    one: str
    other: str
    is_same: bool


@dataclass(frozen=True, slots=True)
class Tried:
    pair: Pair
    similarity: float
    passes: bool
    """What the guard says."""


@dataclass(frozen=True, slots=True)
class Figures:
    hits: int
    of: int
    wrong: int
    against: int

    @property
    def hit_ratio(self) -> float:
        return self.hits / self.of if self.of else 0.0

    @property
    def wrong_ratio(self) -> float:
        """Of the look-ups that must not hit."""
        return self.wrong / self.against if self.against else 0.0


def read_items(language: str) -> Sequence[Item]:
    lines = (PAIRS / f"{language}.txt").read_text().splitlines()
    halves = [line.partition("#")[::2] for line in lines]
    return [Item(split(alike), split(others)) for alike, others in halves]


def split(text: str) -> Sequence[str]:
    return [each.strip() for each in text.split("|")]


def held_out(items: Sequence[Item], *, held: bool) -> Sequence[Item]:
    return items[1::2] if held else items[0::2]


def pairs(items: Sequence[Item]) -> Iterator[Pair]:
    for item in items:
        for one, other in itertools.combinations(item.alike, 2):
            yield Pair(one, other, is_same=True)
        for one, other in itertools.product(item.alike, item.others):
            yield Pair(one, other, is_same=False)


async def try_pairs(found: Sequence[Pair]) -> Sequence[Tried]:
    embedder = Embedded(deadline_s=60)
    texts = sorted({text for pair in found for text in (pair.one, pair.other)})
    vectors = {text: memoryview(await embedder.embed(text)).cast("f") for text in texts}
    return [
        Tried(
            pair,
            sum(a * b for a, b in zip(vectors[pair.one], vectors[pair.other], strict=True)),
            asks_same(pair.one, pair.other),
        )
        for pair in found
    ]


def count(tried: Sequence[Tried], threshold: float, *, guarded: bool = True) -> Figures:
    def is_hit(each: Tried) -> bool:
        return each.similarity >= threshold and (each.passes or not guarded)

    same = [each for each in tried if each.pair.is_same]
    others = [each for each in tried if not each.pair.is_same]
    return Figures(sum(map(is_hit, same)), len(same), sum(map(is_hit, others)), len(others))


def say(title: str, tried: Sequence[Tried]) -> None:
    print(f"\n{title}")
    print("| threshold | hits, guarded | wrong, guarded | hits, by similarity alone | wrong |")
    print("|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        row = [count(tried, threshold, guarded=guarded) for guarded in (True, False)]
        cells = [
            f"{each.hit_ratio:.1%} | {each.wrong}/{each.against} ({each.wrong_ratio:.2%})"
            for each in row
        ]
        print(f"| {threshold:g} | {cells[0]} | {cells[1]} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--development", action="store_true", help="Show what goes wrong there.")
    wants = parser.parse_args()
    every: list[Tried] = []
    for language in LANGUAGES:
        items = held_out(read_items(language), held=not wants.development)
        tried = asyncio.run(try_pairs(list(pairs(items))))
        every += tried
        say(f"{language}: {len(items)} questions", tried)
        if wants.development:
            show(tried)
    say("both", every)
    return 0


def show(tried: Sequence[Tried]) -> None:
    for each in tried:
        wrong = each.passes and not each.pair.is_same
        missed = each.pair.is_same and not each.passes
        if wrong or missed:
            print(
                f"{'WRONG' if wrong else 'miss'} {each.similarity:.2f} {each.pair.one} / {each.pair.other}"
            )


if __name__ == "__main__":
    sys.exit(main())
