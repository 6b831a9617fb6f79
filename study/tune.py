"""Find settings for every picker that has any: `python -m study.tune [picker ...]`.

The same effort for all: as many random settings beside the defaults, on the same traces, which the
evaluation never meets. The others get the best setting for each case of its own, as if their
operator knew the traffic. Ours gets one for all cases: it is meant to be the default.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType

import msgspec

from study.cases import CASES
from study.draws import source
from study.plan import OURS, Spec
from study.run import run
from study.tuned import EVERYWHERE, Setting, Tuned, read, write

TRIES = 10
"""Settings beside the defaults."""
SEEDS = (101, 102)
LOADS = (80, 95)
"""One with each seed: where pickers differ, and nobody is overloaded who need not be."""

Draw = Callable[[Random], float]


def between(low: float, high: float) -> Draw:
    return lambda chance: round(chance.uniform(low, high), 2)


def one_of(*values: float) -> Draw:
    return lambda chance: chance.choice(values)


SPACES: Mapping[str, Mapping[str, Draw]] = MappingProxyType(
    {
        "chwbl": {
            "ring_factor": between(1.05, 2.0),
            "key_blocks": one_of(1, 2, 4, 8, 11, 12, 16),
        },
        "weighted": {
            "weights.queue": between(0, 4),
            "weights.kv_cache": between(0, 4),
            "weights.prefix": between(0.5, 5),
            "weights.requests": between(0, 4),
        },
        OURS: {
            "prediction.tolerance": between(0.0, 0.3),
            "prediction.ring_credit": between(0.0, 1.0),
            "prediction.drain_s": between(0.1, 1.0),
            "prediction.evidence": one_of(1, 4, 16),
        },
    }
)
"""All other pickers have nothing that could be set."""


def main(pickers: Sequence[str]) -> None:
    """Each is written down when it is found."""
    for picker in pickers or SPACES:
        tuned = read()
        kept = tuple(each for each in tuned.settings if each.picker != picker)
        tuned = msgspec.structs.replace(tuned, settings=kept)
        found = search(picker, tuned)
        write(msgspec.structs.replace(tuned, settings=(*kept, *found)))


def search(picker: str, tuned: Tuned) -> list[Setting]:
    """The best settings of one picker."""
    chance = source("tune", picker)
    tries = [{name: draw(chance) for name, draw in SPACES[picker].items()} for _ in range(TRIES)]
    tries.insert(0, {})
    scores = {case: [score(picker, case, each, tuned) for each in tries] for case in CASES}
    if picker == OURS:
        sums = [sum(each) / len(each) for each in zip(*scores.values(), strict=True)]
        return [choose(picker, EVERYWHERE, tries, sums)]
    return [choose(picker, case, tries, found) for case, found in scores.items()]


def choose(
    picker: str, case: str, tries: Sequence[dict[str, float]], scores: Sequence[float]
) -> Setting:
    best = min(range(len(tries)), key=scores.__getitem__)
    gain = round(math.expm1(scores[best] - scores[0]), 3)
    print(f"{picker:15} {case:7} {gain:+.0%} with {tries[best] or 'the defaults'}", flush=True)
    return Setting(picker, case, tries[best], len(tries), gain)


def score(picker: str, case: str, changes: dict[str, float], tuned: Tuned) -> float:
    """The mean logarithm of p95 TTFT."""
    setting = Setting(picker, case, changes, 0, 0.0)
    tuned = msgspec.structs.replace(tuned, settings=(setting,))
    loads = LOADS if not CASES[case].threads else (100, 100)
    logs = [
        math.log(run(Spec(case, picker, load, seed), tuned).p95_ttft_s)
        for load, seed in zip(loads, SEEDS, strict=True)
    ]
    return sum(logs) / len(logs)


if __name__ == "__main__":
    main(sys.argv[1:])
