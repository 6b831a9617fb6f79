"""Tracks: which version of a model serves whom.

An experiment must show a user one version, not a mixture, and keep showing it while weights move.
Weighted rendezvous hashing gives both without any memory: every track draws a number for the user,
the larger the weight the better, and the best one wins. When a weight grows, users move to that
track only; when it shrinks, they leave that track only (Schindelhauer and Schomaker, "Weighted
distributed hash tables", 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import log
from typing import Literal

from extproc.request import Model

Strategy = Literal["stable", "canary", "ab_test"]
STRATEGIES: Sequence[Strategy] = ("stable", "canary", "ab_test")

DRAW_BITS = 52
"""A draw must lie within (0, 1) as a double, neither end included."""


@dataclass(frozen=True, slots=True)
class Share:
    """A version in service. Its users are `weight` out of the sum of all weights; with 0 it serves
    those alone who name its track."""

    model: Model
    weight: int


@dataclass(frozen=True, slots=True)
class Tracks:
    """All versions of one model."""

    name: str
    shares: tuple[Share, ...]

    def choose(self, strategy: Strategy, who: str) -> Model | None:
        """Choose what serves this user; None when there is no such track."""
        if strategy != "ab_test":
            return self.on(strategy)
        if len(self.shares) == 1:
            return self.shares[0].model
        return max(self.shares, key=lambda share: score(share, who)).model

    def on(self, track: str) -> Model | None:
        found = (share.model for share in self.shares if share.model.track == track)
        return next(found, None)


def score(share: Share, who: str) -> float:
    """Say how well a version fits a user: the same wherever and whenever it is asked.

    The model's name is part of the draw, so that the users of one canary are not those of all.
    """
    if not share.weight:
        return 0.0
    drawn = f"{share.model.name}\0{share.model.track}\0{who}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(drawn, digest_size=8).digest()) >> (64 - DRAW_BITS)
    return share.weight / -log((number + 0.5) / 2**DRAW_BITS)
