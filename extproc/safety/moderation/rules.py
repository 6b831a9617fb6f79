"""What rules on content are made of, and what is found by them."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, Protocol

import msgspec

Where = Literal["request", "answer"]
Action = Literal["block", "tag"]

THRESHOLD = 0.7
"""Of a category's score, from 0 to 1: what is above is found."""


class Hold(msgspec.Struct, frozen=True):
    """How much of a stream may be held back, and for how long until it is looked at."""

    tokens: int = 32
    ms: int = 500


class Sampling(msgspec.Struct, frozen=True):
    """Beyond so many tokens of an answer, a service looks at one window of so many only."""

    after_tokens: int
    every: int


class Rule(msgspec.Struct, frozen=True):
    """Empty sets are everybody."""

    name: str
    where: AbstractSet[Where] = frozenset({"request", "answer"})
    action: Action = "block"
    words: Sequence[str] = ()
    patterns: Sequence[str] = ()
    pattern_chars: int = 64
    """How long a match of a pattern may be, as far as streams are concerned."""
    service: str = ""
    categories: Mapping[str, float] = {}
    """Thresholds by category; without any, all count by `threshold`."""
    threshold: float = THRESHOLD
    hold: Hold = Hold()
    sampling: Sampling | None = None
    tenants: AbstractSet[str] = frozenset()
    models: AbstractSet[str] = frozenset()

    @property
    def has_words(self) -> bool:
        return bool(self.words or self.patterns)

    def find(self, scores: Mapping[str, float]) -> str:
        """Name the worst category that is above its threshold; or nothing."""
        above = [
            (score, category)
            for category, score in scores.items()
            if score > self._threshold(category)
        ]
        return max(above)[1] if above else ""

    def _threshold(self, category: str) -> float:
        return self.categories.get(category, 1.0) if self.categories else self.threshold


class Hit(msgspec.Struct, frozen=True):
    """A rule has found something. What it was is not kept."""

    rule: str
    category: str
    action: Action


class UnjudgedError(Exception):
    """A service did not judge, and its rule does not let pass what was not judged."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.service = service


class Question(msgspec.Struct, frozen=True):
    """What a service is asked: to judge texts of one speaker."""

    texts: Sequence[str]
    by: Where
    """The texts are of a request, or of an answer."""
    asked: str = ""
    """What an answer answers: guards that are chat models judge it better by that."""

    def __repr__(self) -> str:
        return f"Question({len(self.texts)} texts)"


class Moderator(Protocol):
    """A service that judges."""

    async def judge(self, question: Question) -> Sequence[Mapping[str, float]]:
        """Say for each text how much of each category is in it, from 0 to 1. Raises: DetectorError."""
        ...


class Tell(Protocol):
    """Hears of what was found."""

    def __call__(self, hit: Hit, where: Where) -> None:
        """Raises: OSError, when it cannot be written down."""
        ...
