"""All runs, by what they have in common but for the seed."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from study.measure import Figures
from study.plan import CLASSIC, Spec
from study.stats import Interval, change, interval
from study.store import Line

Of = Callable[[Figures], float]
"""One figure of a run."""


def p95_ttft(figures: Figures) -> float:
    return figures.p95_ttft_s


def mean_ttft(figures: Figures) -> float:
    return figures.mean_ttft_s


def hits(figures: Figures) -> float:
    return figures.hit_ratio


def tokens(figures: Figures) -> float:
    return figures.tokens_per_s


class Results:
    """What there is; a question about what is not there raises `KeyError`."""

    def __init__(self, lines: Mapping[Spec, Line]) -> None:
        self._runs: dict[Spec, dict[int, Figures]] = {}
        for spec, line in lines.items():
            self._runs.setdefault(without_seed(spec), {})[spec.seed] = line.figures
        self.seconds = sum(line.seconds for line in lines.values())
        self.count = len(lines)

    def has(self, spec: Spec) -> bool:
        """Whether there is at least one run."""
        return without_seed(spec) in self._runs

    def seeds(self, spec: Spec) -> Sequence[int]:
        return sorted(self._runs[without_seed(spec)])

    def of(self, spec: Spec, figure: Of) -> Interval:
        """Its mean over seeds."""
        runs = self._runs[without_seed(spec)]
        return interval([figure(runs[seed]) for seed in sorted(runs)])

    def change(self, after: Spec, before: Spec, figure: Of) -> Interval:
        """How much more or less, on the seeds that both have met. The figure must be above 0."""
        new, old = self._runs[without_seed(after)], self._runs[without_seed(before)]
        both = sorted(new.keys() & old.keys())
        return change([figure(new[seed]) for seed in both], [figure(old[seed]) for seed in both])

    def best(self, case: str, load: int, others: Sequence[str]) -> str:
        """Whose mean p95 TTFT is smallest."""
        there = [name for name in others if self.has(Spec(case, name, load, 0))]
        return min(there, key=lambda name: self.of(Spec(case, name, load, 0), p95_ttft).mean)


def without_seed(spec: Spec) -> Spec:
    return msgspec.structs.replace(spec, seed=0)


OTHERS = (*CLASSIC, "weighted")
"""Whom ours is compared with."""
