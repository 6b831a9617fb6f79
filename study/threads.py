"""Conversations as engines see them: token counts and block hashes, no text.

A thread asks, is answered, and asks again with everything so far in front. Its first tokens may be
shared with other threads: a system prompt, or a document.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import Protocol

import msgspec

from engines.blocks import chain, root
from study.draws import Bursts, Length, Steady, source

BLOCK_TOKENS = 16
"""As vLLM on GPUs has it unless told otherwise."""


class Prefix(msgspec.Struct, frozen=True):
    """What threads begin with in common."""

    name: str
    tokens: int


REMEMBERED = 256
"""Beginnings that threads share, of all cases: 64 documents are most."""


@lru_cache(REMEMBERED)
def hash_prefix(salt: str, prefix: Prefix) -> Sequence[int]:
    """What a text of this tenant begins with: the root, then the whole blocks."""
    hashes, words = [root(salt)], prefix.name.encode()
    for _ in range(prefix.tokens // BLOCK_TOKENS):
        hashes.append(chain(hashes[-1], words))
    return tuple(hashes)


class Stream:
    """The tokens of one thread so far, as the hashes of its whole blocks, made when needed."""

    __slots__ = ("_hashes", "_name")

    def __init__(self, salt: str, prefix: Prefix, name: str) -> None:
        self._hashes = list(hash_prefix(salt, prefix))
        self._name = name.encode()

    def blocks(self, tokens: int) -> tuple[int, ...]:
        """Of the first so many tokens."""
        count = tokens // BLOCK_TOKENS
        hashes, name = self._hashes, self._name
        parent = hashes[-1]
        for _ in range(len(hashes), count + 1):
            parent = chain(parent, name)
            hashes.append(parent)
        return tuple(hashes[1 : count + 1])


class Ask(msgspec.Struct):
    """One request."""

    key: str
    prompt_tokens: int
    completion_tokens: int
    """How long the answer will be: the engine does what it is told, the gateway does not know."""
    blocks: tuple[int, ...]
    """Of the prompt and then its answer."""
    thread: "Thread"


class Turns(msgspec.Struct, frozen=True):
    """How many times a thread asks: `least`, and then each time once more with a fixed chance."""

    mean: float
    least: int = 1
    most: int = 40

    def draw(self, chance: Random) -> int:
        count, more = self.least, 1 - 1 / (self.mean - self.least + 1)
        while count < self.most and chance.random() < more:
            count += 1
        return count


class Shape(msgspec.Struct, frozen=True):
    """What a workload's threads are like."""

    title: str
    first: Length
    """The first question, without what is shared."""
    later: Length
    """Every other one, without the history."""
    answer: Length
    turns: Turns
    think_s: float = 0.0
    """Mean time from an answer's end to the next question; exponential."""
    tenants: int = 1
    shared: Sequence[Prefix] = ()
    """Each thread begins with one of these, of its tenant."""
    skew: float = 0.0
    """Zipf's exponent for which one: 0 is all alike."""
    long: Length | None = None
    """First questions of another kind..."""
    long_share: float = 0.0
    """... and how many of them."""
    most_tokens: int = 8192
    """A thread ends before its prompt would be longer."""
    arrivals: Steady | Bursts = Steady()


class Thread:
    """One conversation. All of its lengths are settled when it begins."""

    __slots__ = ("_chance", "_left", "_shape", "_stream", "_tokens", "name")

    def __init__(self, shape: Shape, seed: int, number: int) -> None:
        chance = source("thread", shape.title, seed, number)
        self.name = f"{seed}-{number}"
        self._shape, self._chance = shape, chance
        self._left = shape.turns.draw(chance)
        tenant = chance.randrange(shape.tenants)
        prefix = choose_prefix(shape, chance)
        self._stream = Stream(f"tenant-{tenant}", prefix, self.name)
        self._tokens = prefix.tokens

    def first(self) -> Ask:
        """Ask for the first time."""
        shape, chance = self._shape, self._chance
        length = shape.first
        if shape.long is not None and chance.random() < shape.long_share:
            length = shape.long
        return self._ask(length.draw(chance))

    def next(self) -> tuple[float, Ask] | None:
        """Ask again, so many seconds after the last answer; or have no more to ask."""
        shape, chance = self._shape, self._chance
        later = shape.later.draw(chance)
        if not self._left or self._tokens + later > shape.most_tokens:
            return None
        think_s = chance.expovariate(1 / shape.think_s) if shape.think_s else 0.0
        return think_s, self._ask(later)

    def _ask(self, more: int) -> Ask:
        self._left -= 1
        prompt = self._tokens + more
        answer = self._shape.answer.draw(self._chance)
        self._tokens = prompt + answer
        return Ask(
            key=f"{self.name}-{self._left}",
            prompt_tokens=prompt,
            completion_tokens=answer,
            blocks=self._stream.blocks(prompt + answer),
            thread=self,
        )


NOTHING_SHARED = Prefix("", 0)


def choose_prefix(shape: Shape, chance: Random) -> Prefix:
    """One of what threads begin with; the first are the most asked for."""
    if not shape.shared:
        return NOTHING_SHARED
    weights = [1 / (rank + 1) ** shape.skew for rank in range(len(shape.shared))]
    return chance.choices(shape.shared, weights)[0]


class Source(Protocol):
    """Where requests come from."""

    def begin(self) -> Iterator[tuple[float, Ask]]:
        """First requests of threads and when they come, in order."""
        ...

    def follow(self, ask: Ask, now_s: float) -> tuple[float, Ask] | None:
        """What comes of an answer that just ended, and when."""
        ...


class Open:
    """Threads begin at random times, whatever becomes of those before."""

    def __init__(self, shape: Shape, seed: int, threads_per_s: float) -> None:
        self._shape, self._seed, self._threads_per_s = shape, seed, threads_per_s

    def begin(self) -> Iterator[tuple[float, Ask]]:
        """Without end."""
        chance = source("arrivals", self._shape.title, self._seed)
        times = self._shape.arrivals.arrivals(self._threads_per_s, chance)
        for number, at_s in enumerate(times):
            yield at_s, Thread(self._shape, self._seed, number).first()

    def follow(self, ask: Ask, now_s: float) -> tuple[float, Ask] | None:
        """The next question of the same thread."""
        found = ask.thread.next()
        return None if found is None else (now_s + found[0], found[1])


class Closed:
    """Always as many threads as these: when one has ended, the next begins."""

    def __init__(self, shape: Shape, seed: int, threads: int, ramp_s: float) -> None:
        self._shape, self._seed, self._threads, self._ramp_s = shape, seed, threads, ramp_s
        self._next = threads

    def begin(self) -> Iterator[tuple[float, Ask]]:
        """As many as there should be, evenly over the ramp."""
        for number in range(self._threads):
            thread = Thread(self._shape, self._seed, number)
            yield self._ramp_s * number / self._threads, thread.first()

    def follow(self, ask: Ask, now_s: float) -> tuple[float, Ask] | None:
        """The next question of the same thread, or the first of another."""
        found = ask.thread.next()
        if found is not None:
            return now_s + found[0], found[1]
        number, self._next = self._next, self._next + 1
        return now_s, Thread(self._shape, self._seed, number).first()
