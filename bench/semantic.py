"""How often the semantic cache hits, and how often wrongly.

    python -m bench.semantic             # pair by pair
    python -m bench.semantic --crowd     # all questions in one cache
    python -m bench.semantic --search    # and what it costs to search, by where they are kept

Every second line of `semantic_pairs/*.txt` (`questions.py`) was never looked at while the guard was
written: its figures count.

Pair by pair, a look-up that should hit is any of four questions that ask the same, when another of them
was asked before; one that must not hit is any of them against any of the six. In a crowd, all questions
but the one that is asked are in the cache, so near misses stand in the way of right answers.
"""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.crowd import say_crowd
from bench.neighbours import SIZES, STORES, say_all
from bench.questions import LANGUAGES, Item, held_out, read_items
from extproc.cache.embedding import Embedded
from extproc.cache.guard import asks_same

THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
DEFAULT = 0.75


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
    parser.add_argument("--crowd", action="store_true", help="All questions in one cache.")
    parser.add_argument("--search", action="store_true", help="What it costs to search.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="For --search.")
    wants = parser.parse_args()
    if wants.crowd:
        say_crowd(held=not wants.development)
        return 0
    if wants.search:
        say_all(STORES, wants.sizes)
        return 0
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
