"""The goals, and whether they are met. Each with the figures that decide it."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from study.cases import CASES
from study.plan import GATEWAYS, OURS, SHARED_NOTHING, Spec
from study.results import OTHERS, Results, hits, mean_ttft, p95_ttft, tokens
from study.stats import Interval

WINS = ("mixed", "bursty")
"""Where ours has to be better, and by how much."""
WIN = -0.20
KEPT = -0.05
"""What four replicas may lose of one's hit ratio."""
PUBLISHED_TTFT, PUBLISHED_TOKENS = -0.95, 1.27
"""KubeAI's figures, prefix hash against random."""


class Versus(msgspec.Struct, frozen=True):
    """Ours against the best of the others, at one load of one case."""

    case: str
    load: int
    seeds: int
    best: str
    ours_s: Interval
    theirs_s: Interval
    change: Interval
    is_met: bool


def versus(results: Results) -> Iterator[Versus]:
    """Every case at every load: p95 TTFT."""
    for case in CASES.values():
        for load in case.loads:
            ours = Spec(case.title, OURS, load, 0)
            if not results.has(ours):
                continue
            best = results.best(case.title, load, OTHERS)
            theirs = Spec(case.title, best, load, 0)
            found = results.change(ours, theirs, p95_ttft)
            yield Versus(
                case.title,
                load,
                len(results.seeds(ours)),
                best,
                results.of(ours, p95_ttft),
                results.of(theirs, p95_ttft),
                found,
                is_met(case.title, found),
            )


def is_met(case: str, change: Interval) -> bool:
    """Whether ours is as much better as it should be; or elsewhere, not worse for sure. One seed has
    no interval, and has to do."""
    if case in WINS:
        return change.mean <= WIN
    return (change.mean if math.isinf(change.half) else change.low) <= 0


class Kept(msgspec.Struct, frozen=True):
    """Hit ratio of several replicas against one."""

    case: str
    picker: str
    gateways: int
    seeds: int
    alone: Interval
    together: Interval
    change: Interval

    @property
    def is_met(self) -> bool:
        return self.change.mean >= KEPT


def kept(results: Results, pickers: Sequence[str]) -> Iterator[Kept]:
    """What unsynchronised replicas lose."""
    for case in SHARED_NOTHING:
        load = CASES[case].normal_load
        for picker in pickers:
            one = Spec(case, picker, load, 0)
            for gateways in GATEWAYS[1:]:
                more = Spec(case, picker, load, 0, gateways=gateways)
                if results.has(one) and results.has(more):
                    yield Kept(
                        case,
                        picker,
                        gateways,
                        len(results.seeds(more)),
                        results.of(one, hits),
                        results.of(more, hits),
                        results.change(more, one, hits),
                    )


class Side(msgspec.Struct, frozen=True):
    """One picker beside a baseline, in KubeAI's case."""

    picker: str
    before: str
    ttft: Interval
    tokens: Interval
    hit_ratio: Interval
    hit_ratio_before: Interval


def sides(results: Results) -> Iterator[Side]:
    """What KubeAI published, as it is here: the figures depend on whom one compares with."""
    for picker in ("chwbl", "weighted", OURS):
        for before in ("random", "round_robin", "least_request"):
            new, old = Spec("chat", picker, 100, 0), Spec("chat", before, 100, 0)
            if results.has(new) and results.has(old):
                yield Side(
                    picker,
                    before,
                    results.change(new, old, mean_ttft),
                    results.change(new, old, tokens),
                    results.of(new, hits),
                    results.of(old, hits),
                )
