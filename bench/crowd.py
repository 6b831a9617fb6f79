"""Hits and wrong hits where all questions are in one cache, by how many neighbours the guard is asked about.

Each question that has others which ask the same is asked once, with all the others of all languages in
the cache. It should be given the answer to one of its three; anything else is wrong.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.questions import LANGUAGES, held_out, read_items
from extproc.cache.embedding import DIMS, load
from extproc.cache.graph import Graph
from extproc.cache.guard import asks_same
from extproc.cache.nearest import Exact, Index, Vector
from extproc.cache.questions import MOST_TRIED

DEFAULT = 0.75
TRIED = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Crowd:
    texts: Sequence[str]
    families: Sequence[int]
    """Of each text: those of one family ask the same. Of near misses each has its own."""
    vectors: Vector


@dataclass(frozen=True, slots=True)
class Served:
    asked: int
    right: int
    wrong: int


def gather(*, held: bool) -> Crowd:
    texts: dict[str, int] = {}
    families = 0
    for language in LANGUAGES:
        for item in held_out(read_items(language), held=held):
            families += 1
            texts.update(dict.fromkeys(item.alike, families))
            for other in item.others:
                families += 1
                texts.setdefault(other, families)
    vectors = np.array(load()(list(texts)), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Crowd(list(texts), list(texts.values()), vectors)


def ask_each(crowd: Crowd, make: Callable[[int], Index], tried: int) -> Served:
    index = make(DIMS)
    for slot, vector in enumerate(crowd.vectors):
        index.put(slot, vector)
    asked = right = wrong = 0
    for slot, text in enumerate(crowd.texts):
        if crowd.families.count(crowd.families[slot]) == 1:
            continue
        asked += 1
        index.drop(slot)
        found = index.nearest(crowd.vectors[slot], tried)
        index.put(slot, crowd.vectors[slot])
        given = next(
            (other for other, s in found if s >= DEFAULT and asks_same(text, crowd.texts[other])),
            None,
        )
        if given is not None:
            is_right = crowd.families[given] == crowd.families[slot]
            right, wrong = right + is_right, wrong + (not is_right)
    return Served(asked, right, wrong)


def say_crowd(*, held: bool) -> None:
    crowd = gather(held=held)
    print(f"{len(crowd.texts)} questions in one cache; tried by default: {MOST_TRIED}")
    print("| tried | exact: right | wrong | hnsw: right | wrong |")
    print("|---|---|---|---|---|")
    for tried in TRIED:
        cells = []
        for make in (Exact, functools.partial(Graph, few=0)):
            served = ask_each(crowd, make, tried)
            cells.append(f"{served.right / served.asked:.1%} | {served.wrong} of {served.asked}")
        print(f"| {tried} | {' | '.join(cells)} |")
