"""Chance that repeats: lengths, waits and arrivals, each from a source with a name of its own.

A thread draws from its own source. So two pickers meet the same threads, whatever either of them
does, and their figures can be compared seed by seed.
"""

import math
from collections.abc import Iterator
from random import Random

import msgspec


def source(*names: object) -> Random:
    """Begin a sequence that depends on these names and on nothing else."""
    return Random("/".join(map(str, names)))  # noqa: S311 - repeatable on purpose


class Length(msgspec.Struct, frozen=True):
    """A lognormal number of tokens: what lengths of prompts and answers look like in every published
    trace (most are short, a few are very long)."""

    mean: float
    """Before cutting off what is below `least` and above `most`."""
    sigma: float
    """Of the logarithm: at 1 the median is 0.6 of the mean, and 1 in 20 is above 3.1 times it."""
    least: int = 1
    most: int = 1 << 20

    def draw(self, chance: Random) -> int:
        middle = math.log(self.mean) - self.sigma * self.sigma / 2
        drawn = round(chance.lognormvariate(middle, self.sigma))
        return min(max(drawn, self.least), self.most)


class Steady(msgspec.Struct, frozen=True):
    """Poisson: each arrival is as likely now as at any other time."""

    def arrivals(self, per_s: float, chance: Random) -> Iterator[float]:
        now_s = 0.0
        while True:
            now_s += chance.expovariate(per_s)
            yield now_s


class Bursts(msgspec.Struct, frozen=True):
    """A Poisson process that changes between two rates at random times (MMPP with two states).

    With what stands here a fifth of the time has 64 % of the arrivals. Measured services are as bursty
    (BurstGPT, arXiv 2401.17644).
    """

    high_s: float = 3.0
    """How long a burst takes on average."""
    low_s: float = 12.0
    high: float = 3.2
    """Rate in a burst, as a multiple of the mean."""

    @property
    def low(self) -> float:
        """Rate between bursts, such that the mean is 1."""
        return (self.high_s + self.low_s - self.high * self.high_s) / self.low_s

    def arrivals(self, per_s: float, chance: Random) -> Iterator[float]:
        now_s, bursting = 0.0, False
        change_s = chance.expovariate(1 / self.low_s)
        while True:
            rate = per_s * (self.high if bursting else self.low)
            next_s = now_s + chance.expovariate(rate)
            if next_s < change_s:
                now_s = next_s
                yield now_s
            else:  # it has no memory: draw again from the change on
                now_s, bursting = change_s, not bursting
                change_s += chance.expovariate(1 / (self.high_s if bursting else self.low_s))
